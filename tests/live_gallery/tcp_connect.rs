//! tcp_connect: the connections that are made are the ones reported.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, TcpStream};

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::*;
use crate::gate::{FENTRY, Feature, KPROBE, LITTLE_ENDIAN, RINGBUF, ROOT, TRACEPOINT, require};

/// What tcp_connect reports is what was connected, by each way of being called.
fn connections_are_reported(way: &str, feature: &Feature, programs: &[&str]) {
    let command = format!("gal-{way}");
    in_network(&command, || {
        let tool =
            Tool::ready("tcp_connect", &["--json", "--via", way, "--command", &command], "watching by");
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
        let rest = tool.end(Signal::SIGTERM);
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
        let tool = require!(RINGBUF, Tool::ready("tcp_connect", &args, "watching by"));
        let connect = |to| drop(TcpStream::connect(to).expect("it connects"));
        [other, to, other, to].into_iter().for_each(connect);
        for _ in 0..2 {
            tool.line(|l| l.contains("gal-filter"));
        }
        let rest = tool.end(Signal::SIGTERM);
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
        let tool = require!(RINGBUF, Tool::ready("tcp_connect", &args, "watching by"));
        let (four, six) = (listener("127.0.0.1:0"), listener("[::1]:0"));
        let mut want = BTreeSet::new();
        for to in [&four, &six, &four].map(|s| s.local_addr().expect("an address")) {
            let from = TcpStream::connect(to).expect("it connects").local_addr().expect("an address");
            want.insert((1, from.to_string(), to.to_string()));
        }
        TcpStream::connect("127.0.0.1:1").expect_err("nobody is there");
        let mut told = BTreeSet::new();
        let mut refused = 0;
        for line in tool.end(Signal::SIGTERM) {
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
