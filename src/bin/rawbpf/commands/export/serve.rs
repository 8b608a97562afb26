//! The HTTP server: three pages, one answer a connection.
//!
//! Whoever can reach the port can ask, so everything is bounded: connections at a time, the time that one may take,
//! and the size of its head. Maps are read by one request at a time; `/healthz` waits for none of them.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::collect::Collector;
use super::text::{self, Dialect};
use crate::ui::error::CliError;

/// Connections at a time; the next one waits to be accepted.
const CONNECTIONS: usize = 64;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a failure to accept (no descriptors left), before the next try.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take to say what it wants.
const HEAD_TIME: Duration = Duration::from_secs(3);
const HEAD_BYTES: usize = 16 * 1024;

/// A port that is taken, and not yet answered at.
pub(super) struct Port {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Port {
    pub(super) fn take(address: SocketAddr) -> Result<Port, CliError> {
        let doing = format!("listen at {address}");
        let listener = TcpListener::bind(address).map_err(CliError::io(&doing))?;
        listener.set_nonblocking(true).map_err(CliError::io(&doing))?;
        let address = listener.local_addr().map_err(CliError::io(&doing))?;
        Ok(Port { listener, address })
    }

    /// Answers from now on, in a thread of its own, as long as the process lives.
    pub(super) fn serve(self, collector: Collector) -> Result<(), CliError> {
        let fail = || CliError::io("start the server");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail())?;
        let collector = Arc::new(Mutex::new(collector));
        let run = move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(self.listener) {
                    Ok(listener) => accept(listener, collector).await,
                    Err(e) => eprintln!("error: cannot listen: {e}"),
                }
            });
        };
        std::thread::Builder::new().name("http".into()).spawn(run).map(drop).map_err(fail())
    }
}

async fn accept(listener: tokio::net::TcpListener, collector: Arc<Mutex<Collector>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let collector = Arc::clone(&collector);
        tokio::spawn(async move {
            // A scrape goes on when its client has gone: it keeps the place until it is over.
            let place = Arc::new(place);
            let answer =
                service_fn(move |request| answer(request, Arc::clone(&collector), Arc::clone(&place)));
            let mut http = http1::Builder::new();
            http.keep_alive(false).max_buf_size(HEAD_BYTES);
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
            // What goes wrong with one connection is the client's to see.
            let _ = tokio::time::timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), answer)).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    collector: Arc<Mutex<Collector>>,
    place: Arc<OwnedSemaphorePermit>,
) -> Result<Response<String>, Infallible> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    Ok(match request.uri().path() {
        "/metrics" => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            let dialect = Dialect::asked(accept);
            // Reading maps takes as long as it takes; other connections go on meanwhile.
            let write = move || {
                let mut collector = collector.lock().unwrap_or_else(PoisonError::into_inner);
                let families = collector.collect();
                drop(collector);
                let text = text::write(&families, dialect);
                drop(place);
                text
            };
            match tokio::task::spawn_blocking(write).await {
                Ok(text) => page(StatusCode::OK, dialect.content_type(), text),
                Err(e) => page(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{e}\n")),
            }
        }
        "/healthz" => page(StatusCode::OK, PLAIN, "ok\n".into()),
        "/" => page(StatusCode::OK, PLAIN, "rawbpf export: /metrics, /healthz\n".into()),
        _ => page(StatusCode::NOT_FOUND, PLAIN, "there are /metrics and /healthz\n".into()),
    })
}

fn page(status: StatusCode, content_type: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
