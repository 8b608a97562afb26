//! The table of tcp_top over HTTP: as JSON, and as OpenMetrics for Prometheus.

use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{counter::Counter, family::Family};
use prometheus_client::registry::{Registry, Unit};
use tiny_http::{Header, Response, Server};

use crate::{Row, Who};

pub(crate) fn document(rows: &[Row]) -> String {
    serde_json::json!({ "connections": rows }).to_string()
}

fn metrics(rows: &[Row]) -> String {
    let (sent, received) = (Family::<Who, Counter>::default(), Family::<Who, Counter>::default());
    for row in rows {
        sent.get_or_create(&row.who).inc_by(row.sent);
        received.get_or_create(&row.who).inc_by(row.received);
    }
    let mut registry = Registry::default();
    registry.register_with_unit("tcp_sent", "Bytes that a connection sent", Unit::Bytes, sent);
    registry.register_with_unit("tcp_received", "Bytes that a connection received", Unit::Bytes, received);
    let mut text = String::new();
    encode(&mut text, &registry).map_or_else(|e| e.to_string(), |()| text)
}

/// Answers requests with the rows of the last look, as long as the process lives.
pub(crate) fn serve(server: &Server, rows: &Mutex<Vec<Row>>) {
    for request in server.incoming_requests() {
        let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, kind, text) = match request.url() {
            "/" => (200, "application/json", document(&rows)),
            "/metrics" => (200, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics(&rows)),
            _ => (404, "text/plain", "there are / and /metrics\n".into()),
        };
        drop(rows);
        let kind = Header::from_bytes("Content-Type", kind).into_iter();
        let response = kind.fold(Response::from_string(text).with_status_code(status), Response::with_header);
        let _ = request.respond(response);
    }
}
