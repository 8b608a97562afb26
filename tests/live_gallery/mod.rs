//! The tools of examples/ as their users run them: as processes, on real traffic, until a signal ends them. What they
//! say is exact, and they leave nothing behind.

mod hello;
mod mesh;
mod pid_writes;
mod tcp_connect;
mod tcp_top;
mod xdp_drop;
mod xdp_filter;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rawbpf::links;
use serde_json::Value as Json;

/// How long a slow machine may take for anything.
const LONG: Duration = Duration::from_secs(60);

/// An executable of examples/. `make test` and `make test-kernels` build them.
fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_rawbpf")).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing; build it: cargo build --all-features --examples", path.display());
    path
}

/// A tool that runs, and what it says.
struct Tool {
    child: Child,
    lines: Receiver<String>,
}

impl Tool {
    /// Starts it in the namespaces of this thread.
    fn start(name: &str, args: &[&str]) -> Tool {
        let mut command = Command::new(example(name));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (send, lines) = channel();
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        for pipe in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let send = send.clone();
            std::thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
            });
        }
        Tool { child, lines }
    }

    /// The same, and waits until it says that it works: a line with `ready`. What it said instead, if it ends.
    fn ready(name: &str, args: &[&str], ready: &str) -> Result<Tool, String> {
        let tool = Tool::start(name, args);
        let mut before = String::new();
        while let Ok(line) = tool.lines.recv_timeout(LONG) {
            if line.contains(ready) {
                return Ok(tool);
            }
            before = before + &line + "; ";
        }
        Err(before)
    }

    /// The next line that fits; those before it are passed over.
    #[track_caller]
    fn line(&self, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + LONG;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if fits(&line) {
                return line;
            }
            seen.push(line);
        }
        panic!("it did not say that, but: {seen:#?}");
    }

    #[track_caller]
    fn line_with(&self, text: &str) -> String {
        self.line(|line| line.contains(text))
    }

    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.line(|l| l.starts_with('{'))).expect("a document")
    }

    fn say(&self, line: &str) {
        let mut stdin = self.child.stdin.as_ref().expect("a pipe");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Ends it by a signal. It ends with success, and this is what it still had to say.
    #[track_caller]
    fn end(mut self, signal: Signal) -> Vec<String> {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("a signal is sent");
        let status = self.child.wait().expect("it ends");
        let rest: Vec<String> = self.lines.iter().collect();
        assert!(status.success(), "{status}: {rest:#?}");
        rest
    }
}

/// A test that fails leaves no tool behind.
impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a tool that is expected to end by itself.
fn run(name: &str, args: &[&str]) -> Output {
    Command::new(example(name)).args(args).stdin(Stdio::null()).output().expect("it runs")
}

#[track_caller]
fn fails(name: &str, args: &[&str]) -> String {
    let out = run(name, args);
    assert_eq!(out.status.code(), Some(1), "{name} {args:?}: {out:?}");
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Waits until it is true; the kernel frees some things in the background.
#[track_caller]
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_true() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Programs attached to an interface of this network namespace, however it was done.
fn xdp_on(interface: &str) -> usize {
    let all = links::interfaces().expect("the interfaces are listed");
    all.iter().filter(|i| i.name == interface).map(|i| i.xdp.len()).sum()
}

#[track_caller]
fn nothing_is_left(interface: &str) {
    eventually("a program is still attached", || xdp_on(interface) == 0);
    assert!(!Path::new("/sys/fs/bpf/rawbpf").exists(), "pins are left");
}

/// An Ethernet frame of `len` bytes with an IP packet from this address.
fn frame(source: std::net::IpAddr, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 12];
    match source {
        std::net::IpAddr::V4(source) => {
            frame.extend([0x08, 0x00, 0x45]);
            frame.resize(14 + 12, 0);
            frame.extend(source.octets());
        }
        std::net::IpAddr::V6(source) => {
            frame.extend([0x86, 0xdd, 0x60]);
            frame.resize(14 + 8, 0);
            frame.extend(source.octets());
        }
    }
    frame.resize(len, 0);
    frame
}

fn from(address: &str, len: usize) -> Vec<u8> {
    frame(address.parse().expect("an address"), len)
}

/// A program stays loaded as long as anything holds it: a process, a link, a probe, a pin. The kernel frees what is
/// left in the background.
fn assert_gone(programs: &[&str]) {
    let left = || {
        let loaded = rawbpf::progs::list().expect("they are listed");
        loaded
            .into_iter()
            .map(|p| p.name)
            .filter(|name| programs.contains(&name.as_str()))
            .collect::<Vec<_>>()
    };
    eventually("programs are left behind", || left().is_empty());
}

/// A network of its own with IPv4 and IPv6, and a name for the thread, by which its doings are told from others'.
fn in_network(command: &str, test: impl FnOnce() + Send) {
    crate::net::in_namespace(|| {
        for which in ["all", "default", "lo"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "0");
        }
        crate::net::up(1).expect("lo comes up");
        std::fs::write("/proc/thread-self/comm", command).expect("a thread may have a name");
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

fn read(from: &mut TcpStream, bytes: u64) {
    let mut got = vec![0; bytes as usize];
    from.read_exact(&mut got).expect("it arrives");
    assert!(got.iter().all(|&b| b == 7));
}
