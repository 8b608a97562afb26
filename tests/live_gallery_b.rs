//! The tools of examples/ that watch connections and steer them, as processes, with real traffic.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::gate::{FENTRY, Feature, KPROBE, LITTLE_ENDIAN, RINGBUF, ROOT, TRACEPOINT, require};
use crate::net::{in_namespace, up};

/// How long anything may take, on an emulated machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tool that runs, and what it says.
struct Tool {
    child: Child,
    said: Receiver<String>,
}

impl Tool {
    /// Starts it in the namespaces of this thread, and waits until it says that it works: a line with `ready`.
    fn start(name: &str, args: &[&str], ready: &str) -> Result<Tool, String> {
        let path = Path::new(env!("CARGO_BIN_EXE_rawbpf")).with_file_name("examples").join(name);
        let child = Command::new(&path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|e| {
            panic!("{}: {e}; `cargo build --all-features --examples` makes it", path.display())
        });
        let (tell, said) = channel();
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let more = tell.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| tell.send(l))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|l| more.send(l))
        });
        let tool = Tool { child, said };
        let mut before = String::new();
        while let Ok(line) = tool.said.recv_timeout(PATIENCE) {
            if line.contains(ready) {
                return Ok(tool);
            }
            before = before + &line + "; ";
        }
        Err(before)
    }

    /// The next line that fits.
    fn line(&self, fits: impl Fn(&str) -> bool) -> String {
        let mut others = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            if fits(&line) {
                return line;
            }
            others.push(line);
        }
        panic!("it did not say that, but {others:#?}");
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.line(|l| l.starts_with('{'))).expect("a document")
    }

    /// Ends it as a service manager would. Its last lines.
    fn end(mut self) -> Vec<String> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("a signal is sent");
        let status = self.child.wait().expect("it ends");
        let rest: Vec<String> = self.said.iter().collect();
        assert!(status.success(), "{status}: {rest:#?}");
        rest
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program stays loaded as long as anything holds it: a process, a link, a probe, a pin. The kernel frees what is
/// left in the background.
fn assert_gone(programs: &[&str]) {
    let since = Instant::now();
    loop {
        let left: Vec<String> =
            rawbpf::progs::list().expect("they are listed").into_iter().map(|p| p.name).collect();
        let left: Vec<&String> = left.iter().filter(|name| programs.contains(&name.as_str())).collect();
        if left.is_empty() {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "left behind: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A network of its own with IPv4 and IPv6, and a name for the thread, by which its doings are told from others'.
fn in_network(command: &str, test: impl FnOnce() + Send) {
    in_namespace(|| {
        for which in ["all", "default", "lo"] {
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "0");
        }
        up(1).expect("lo comes up");
        fs::write("/proc/thread-self/comm", command).expect("a thread may have a name");
        test();
    });
}

/// The address as a tool shows it.
fn plain(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

fn listener(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"))
}

/// What tcp_connect reports is what was connected, by each way of being called.
fn connections_are_reported(way: &str, feature: &Feature, programs: &[&str]) {
    let command = format!("gal-{way}");
    in_network(&command, || {
        let tool =
            Tool::start("tcp_connect", &["--json", "--via", way, "--command", &command], "watching by");
        let tool = require!(*feature, tool);
        let servers = [listener("127.0.0.1:0"), listener("[::1]:0")];
        let mut to: Vec<SocketAddr> = servers.iter().map(|s| s.local_addr().expect("an address")).collect();
        // IPv4 by a socket of IPv6.
        to.push((Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1), to[0].port()).into());
        let mut made = BTreeSet::new();
        let mut open = Vec::new();
        for to in to.iter().chain(&to[..2]).chain(&to[..1]) {
            let connection = TcpStream::connect(to).expect("it connects");
            made.insert((plain(connection.local_addr().expect("an address")), plain(*to)));
            open.push(connection);
        }
        // What fails is no connection.
        TcpStream::connect("127.0.0.1:1").expect_err("nobody is there");
        let mut told = BTreeSet::new();
        for _ in 0..6 {
            let event = tool.json();
            assert_eq!(
                (event["pid"].as_u64(), event["command"].as_str()),
                (Some(std::process::id().into()), Some(&*command))
            );
            assert!(event["latency_us"].as_u64().is_some_and(|us| us < 60_000_000), "{event}");
            let end = |which: &str| event[which].as_str().expect("an address").to_string();
            told.insert((end("from"), end("to")));
        }
        assert_eq!(told, made);
        let rest = tool.end();
        assert!(rest.is_empty(), "{rest:?}");
        assert_gone(programs);
    });
}

#[test]
fn tcp_connect_reports_connections_by_fentry() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    connections_are_reported("fentry", &FENTRY, &["connect_fentry", "finish_fentry"]);
}

#[test]
fn tcp_connect_reports_connections_by_kprobe() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    connections_are_reported("kprobe", &KPROBE, &["connect_kprobe", "finish_kprobe"]);
}

#[test]
fn tcp_connect_reports_connections_by_tracepoint() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    connections_are_reported("tracepoint", &TRACEPOINT, &["state_changes"]);
}

#[test]
fn tcp_connect_filters_and_sums_up() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_network("gal-filter", || {
        let (server, other) = (listener("127.0.0.1:0"), listener("127.0.0.1:0"));
        let (to, other) = (server.local_addr().expect("an address"), other.local_addr().expect("an address"));
        let (port, pid) = (to.port().to_string(), std::process::id().to_string());
        let args = ["--port", &port, "--pid", &pid, "--command", "gal-filter"];
        let tool = require!(RINGBUF, Tool::start("tcp_connect", &args, "watching by"));
        let connect = |to| drop(TcpStream::connect(to).expect("it connects"));
        [other, to, other, to].into_iter().for_each(connect);
        for _ in 0..2 {
            tool.line(|l| l.contains("gal-filter"));
        }
        let rest = tool.end();
        let table: Vec<&str> = rest.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).collect();
        let [_, row] = table.as_slice() else { panic!("{rest:?}") };
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..3], ["2", "gal-filter", &plain(to)], "{row}");
    });
}

#[test]
fn tcp_connect_counts_attempts() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_network("gal-count", || {
        // It would count for long; a signal ends it as well.
        let args = ["--count", "600", "--command", "gal-count", "--json"];
        let tool = require!(RINGBUF, Tool::start("tcp_connect", &args, "watching by"));
        let (four, six) = (listener("127.0.0.1:0"), listener("[::1]:0"));
        let mut want = BTreeSet::new();
        for to in [&four, &six, &four].map(|s| s.local_addr().expect("an address")) {
            let from = TcpStream::connect(to).expect("it connects").local_addr().expect("an address");
            want.insert((1, from.to_string(), to.to_string()));
        }
        TcpStream::connect("127.0.0.1:1").expect_err("nobody is there");
        let mut told = BTreeSet::new();
        let mut refused = 0;
        for line in tool.end() {
            let row: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let end = |which: &str| row[which].as_str().expect("an address").to_string();
            match end("to").as_str() {
                "127.0.0.1:1" => refused += row["count"].as_u64().expect("a number"),
                to => drop(told.insert((row["count"].as_u64().expect("a number"), end("from"), to.into()))),
            }
        }
        assert_eq!((told, refused), (want, 1));
    });
}
