//! tcp_top: bytes are exact, on the screen, as JSON and as metrics.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::*;
use crate::gate::{FENTRY, Feature, KPROBE, LITTLE_ENDIAN, ROOT, require};

/// Both ends of a connection.
fn pair(server: &TcpListener) -> [TcpStream; 2] {
    let client = TcpStream::connect(server.local_addr().expect("an address")).expect("it connects");
    [client, server.accept().expect("it is accepted").0]
}

/// Sends more than there is room for, so that a call takes less than it was given; how many bytes were taken.
fn stuff(into: &mut TcpStream) -> u64 {
    into.set_nonblocking(true).expect("it is set");
    let (chunk, mut sum) = (vec![7; 200_000], 0);
    loop {
        match into.write(&chunk) {
            Ok(n) => sum += n as u64,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock, "{e}");
                into.set_nonblocking(false).expect("it is set");
                return sum;
            }
        }
    }
}

fn http(address: &str, path: &str) -> String {
    let mut server = TcpStream::connect(address).expect("it serves");
    write!(server, "GET {path} HTTP/1.0\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    server.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
    assert!(head.contains(" 200 "), "{head}");
    body.to_string()
}

/// The rows of a document of tcp_top: local, remote, sent, received.
fn rows(document: &Json) -> BTreeSet<(String, String, u64, u64)> {
    let text = |v: &Json| v.as_str().expect("text").to_string();
    let number = |v: &Json| v.as_u64().expect("a number");
    let rows = document["connections"].as_array().expect("a list").iter();
    rows.map(|r| (text(&r["local"]), text(&r["remote"]), number(&r["sent"]), number(&r["received"])))
        .collect()
}

fn bytes_are_counted(way: &str, feature: &Feature, programs: &[&str]) {
    in_network("gal-top", || {
        let four = listener("127.0.0.1:0");
        let port = four.local_addr().expect("an address").port();
        let six = listener(&format!("[::1]:{port}"));
        let args = [
            "--json",
            "--interval",
            "0.1",
            "--via",
            way,
            "--port",
            &port.to_string(),
            "--listen",
            "127.0.0.1:0",
        ];
        let tool = require!(*feature, Tool::ready("tcp_top", &args, "watching by"));
        let serving = tool.line(|l| l.contains("serving http://"));
        let address =
            serving.split("//").nth(1).and_then(|a| a.strip_suffix('/')).expect("an address").to_string();

        let mut want = BTreeSet::new();
        let mut open = Vec::new();
        for (server, back) in [(&four, 12_345), (&six, 1)] {
            let [mut client, mut accepted] = pair(server);
            let there = stuff(&mut client);
            // Looking is not taking.
            accepted.peek(&mut [0; 100]).expect("it has come");
            read(&mut accepted, there);
            accepted.write_all(&vec![7; back as usize]).expect("it is sent");
            read(&mut client, back);
            // The end of a stream is no byte.
            client.shutdown(std::net::Shutdown::Write).expect("it is ended");
            assert_eq!(accepted.read(&mut [0; 9]).expect("it has ended"), 0);
            let ends = [&client, &accepted].map(|s| plain(s.local_addr().expect("an address")));
            want.insert((ends[0].clone(), ends[1].clone(), there, back));
            want.insert((ends[1].clone(), ends[0].clone(), back, there));
            open.push([client, accepted]);
        }
        let since = Instant::now();
        let document =
            std::iter::repeat_with(|| tool.json()).find(|d| rows(d) == want || since.elapsed() > LONG);
        let document = document.expect("it goes on");
        assert_eq!(rows(&document), want);
        let row = &document["connections"][0];
        assert_eq!(
            (row["pid"].as_u64(), row["command"].as_str()),
            (Some(std::process::id().into()), Some("gal-top"))
        );
        // What is served is a look, and may be one older than what was printed.
        tool.json();
        assert_eq!(rows(&serde_json::from_str(&http(&address, "/")).expect("a document")), want);
        let metrics = http(&address, "/metrics");
        for (local, remote, sent, received) in &want {
            let labels = format!(
                "local=\"{local}\",remote=\"{remote}\",pid=\"{}\",command=\"gal-top\"",
                std::process::id()
            );
            assert!(metrics.contains(&format!("tcp_sent_bytes_total{{{labels}}} {sent}\n")), "{metrics}");
            assert!(
                metrics.contains(&format!("tcp_received_bytes_total{{{labels}}} {received}\n")),
                "{metrics}"
            );
        }
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        // What is closed is shown once more, and then no longer.
        drop(open);
        let since = Instant::now();
        while !rows(&tool.json()).is_empty() {
            assert!(since.elapsed() < LONG, "closed connections stay");
        }
        tool.end(Signal::SIGTERM);
        assert_gone(programs);
    });
}

#[test]
fn tcp_top_counts_bytes_by_fentry() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    bytes_are_counted(
        "fentry",
        &FENTRY,
        &["sendmsg_fexit", "recvmsg_fentry", "cleanup_fentry", "close_fentry"],
    );
}

#[test]
fn tcp_top_counts_bytes_by_kprobe() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let programs = ["sendmsg_kprobe", "sendmsg_return", "recvmsg_kprobe", "cleanup_kprobe", "close_kprobe"];
    bytes_are_counted("kprobe", &KPROBE, &programs);
}
