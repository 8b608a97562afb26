//! The tools of examples/ that watch connections and steer them, as processes, with real traffic.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::gate::{FENTRY, Feature, HOST, KPROBE, LITTLE_ENDIAN, RINGBUF, ROOT, TRACEPOINT, require};
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

    /// Writes a line to its standard input.
    fn tell(&self, line: &str) {
        let mut to = self.child.stdin.as_ref().expect("a pipe");
        to.write_all(format!("{line}\n").as_bytes()).expect("it listens");
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

fn read(from: &mut TcpStream, bytes: u64) {
    let mut got = vec![0; bytes as usize];
    from.read_exact(&mut got).expect("it arrives");
    assert!(got.iter().all(|&b| b == 7));
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
        let tool = require!(*feature, Tool::start("tcp_top", &args, "watching by"));
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
            std::iter::repeat_with(|| tool.json()).find(|d| rows(d) == want || since.elapsed() > PATIENCE);
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
            assert!(since.elapsed() < PATIENCE, "closed connections stay");
        }
        tool.end();
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

/// A cgroup with this thread in it, and those that it starts. A process cannot be in two.
struct Group {
    path: PathBuf,
    home: PathBuf,
}

impl Group {
    fn new(name: &str) -> Group {
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let own = fs::read_to_string("/proc/self/cgroup").expect("procfs is mounted");
        let own = own.lines().find_map(|l| l.strip_prefix("0::/")).expect("this process is in a cgroup");
        let home = mount.join(own);
        let path = home.join(format!("rawbpf-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a cgroup is made");
        fs::write(path.join("cgroup.type"), "threaded").expect("it takes threads");
        let group = Group { path, home };
        enter(&group.path);
        group
    }

    /// Serves as long as the process lives: tells its number, and echoes. The socket is one of the group's, the threads
    /// are not, or the group could not be removed.
    fn backend(&self, number: u8, listener: TcpListener) -> SocketAddr {
        let (address, home) = (listener.local_addr().expect("an address"), self.home.clone());
        std::thread::spawn(move || {
            enter(&home);
            for mut client in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    client.write_all(&[number])?;
                    std::io::copy(&mut client.try_clone()?, &mut client)
                });
            }
        });
        address
    }
}

/// Moves this thread to a cgroup.
fn enter(path: &Path) {
    let thread = nix::unistd::gettid().to_string();
    fs::write(path.join("cgroup.threads"), thread).expect("the thread is moved");
}

impl Drop for Group {
    fn drop(&mut self) {
        enter(&self.home);
        // The threads that read what a tool says end with the tool.
        let since = Instant::now();
        while fs::remove_dir(&self.path).is_err() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Connects to a service so often; how often each backend answered.
fn answers(service: &str, times: usize) -> [usize; 3] {
    let service: SocketAddr = service.parse().expect("an address");
    let mut out = [0; 3];
    for _ in 0..times {
        let mut client = TcpStream::connect(service).expect("it connects");
        assert_eq!(client.peer_addr().expect("an address"), service, "the client sees the service");
        let mut number = [0];
        client.read_exact(&mut number).expect("it answers");
        out[usize::from(number[0])] += 1;
    }
    out
}

const MESH: [&str; 6] = ["bypass", "join", "peer_ip4", "peer_ip6", "connect_ip4", "connect_ip6"];

#[test]
fn mesh_balances_by_weight_and_skips_the_dead() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_network("gal-mesh", || {
        let group = Group::new("mesh-balance");
        let (service, service6) = ("10.99.0.1:80", "[2001:db8::99]:80");
        let (heavy, light) =
            (group.backend(0, listener("127.0.0.1:0")), group.backend(1, listener("127.0.0.1:0")));
        let six = group.backend(2, listener("[::1]:0"));
        let add = [
            format!("add {service} {heavy} 3"),
            format!("add {service} {light}"),
            format!("add {service6} {six}"),
        ];
        let path = group.path.display().to_string();
        let tool =
            Tool::start("mesh", &["--cgroup", &path, "--check", "50", &add[0], &add[1], &add[2]], "steering");
        let tool = tool.expect("it starts");
        // The standard deviation is 6.1; five of it.
        let [heavies, lights, _] = answers(service, 200);
        assert!(heavies.abs_diff(150) < 31 && heavies + lights == 200, "{heavies} and {lights}");
        assert_eq!(answers(service6, 3), [0, 0, 3]);
        // What is no service is left alone.
        let direct = TcpStream::connect(light).expect("it connects");
        assert_eq!(direct.peer_addr().expect("an address"), light);

        tool.tell("add nonsense 127.0.0.1:1");
        tool.line(|l| l.contains("`nonsense` is no ADDRESS:PORT"));
        tool.tell(&format!("remove {service} {heavy}"));
        tool.tell("list");
        let row = tool.line(|l| l.contains(&light.to_string()));
        let words: Vec<String> = row.split_whitespace().map(String::from).collect();
        assert_eq!(words[..5], [service, &light.to_string(), "1", "true", &lights.to_string()], "{row}");
        assert_eq!(answers(service, 20), [0, 20, 0]);

        // A port that nobody has: it is found dead, and taken back when somebody is there.
        let dead = listener("127.0.0.1:0").local_addr().expect("an address");
        tool.tell(&format!("add {service} {dead} 60"));
        tool.line(|l| l.contains(&format!("{dead} is dead")));
        tool.tell("list");
        tool.line(|l| l.contains(&dead.to_string()) && l.contains("false"));
        assert_eq!(answers(service, 20), [0, 20, 0]);
        group.backend(0, listener(&dead.to_string()));
        tool.line(|l| l.contains(&format!("{dead} lives")));
        tool.tell("list");
        tool.line(|l| l.contains(&dead.to_string()) && l.contains("true"));
        assert!(answers(service, 20)[0] > 0);
        tool.end();
        assert_gone(&MESH);
        let address: SocketAddr = service.parse().expect("an address");
        let after = TcpStream::connect_timeout(&address, Duration::from_millis(50));
        assert!(after.is_err(), "nothing is steered any more");
    });
}

/// Bytes that lo has carried in this network.
fn carried() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/dev").expect("procfs is mounted");
    let lo = text.lines().find_map(|l| l.trim().strip_prefix("lo:")).expect("there is lo");
    lo.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn mesh_passes_bytes_past_tcp() {
    const BYTES: u64 = 4 << 20;
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_network("gal-bypass", || {
        let group = Group::new("mesh-bypass");
        for (service, to) in [("10.99.0.1:80", "127.0.0.1:0"), ("[2001:db8::99]:80", "[::1]:0")] {
            let to = group.backend(0, listener(to));
            let path = group.path.display().to_string();
            let args = ["--cgroup", &path, "--check", "0", "--json", &format!("add {service} {to}")];
            let tool = Tool::start("mesh", &args, "steering").expect("it starts");
            let mut client = TcpStream::connect(service).expect("it connects");
            client.read_exact(&mut [9]).expect("it answers");
            let before = carried();
            let mut sender = client.try_clone().expect("a copy");
            let sending = std::thread::spawn(move || {
                (0..64).try_for_each(|_| sender.write_all(&vec![7; BYTES as usize / 64]))
            });
            read(&mut client, BYTES);
            sending.join().expect("it ends").expect("it is sent");
            let grown = carried() - before;
            assert!(grown < BYTES / 50, "{grown} bytes went over lo");
            tool.tell("list");
            let row = |document: Json| document["backends"][0].clone();
            let counted = row(tool.json());
            let number = |name: &str| counted[name].as_u64().expect("a number");
            assert_eq!((number("connections"), number("open")), (1, 1), "{counted}");
            // The backend told its number, too.
            assert_eq!([number("sent"), number("received")], [BYTES, BYTES + 1], "{counted}");
            assert!(number("bypassed") >= 2 * BYTES, "{counted}");
            drop(client);
            let since = Instant::now();
            loop {
                tool.tell("list");
                if row(tool.json())["open"] == 0 {
                    break;
                }
                assert!(since.elapsed() < PATIENCE, "it stays open");
            }
            tool.end();
            assert_gone(&MESH);
        }
    });
}

#[test]
fn mesh_makes_and_removes_its_cgroup() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let name = format!("rawbpf-gallery-{}", std::process::id());
    let path = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted").join(&name);
    let tool = Tool::start("mesh", &["--cgroup", &name], "steering").expect("it starts");
    assert!(path.exists());
    tool.end();
    assert!(!path.exists());
}

/// The ratios are not judged: this machine may be busy. That they are there is.
#[test]
fn mesh_measures_itself() {
    require!(HOST);
    require!(ROOT);
    in_network("gal-bench", || {
        let name = format!("rawbpf-bench-{}", std::process::id());
        let tool = Tool::start("mesh", &["--cgroup", &name, "--bench"], "ROUND TRIP").expect("it measures");
        for path in ["plain loopback TCP", "mesh"] {
            let row = tool.line(|l| l.starts_with(path));
            assert!(row.contains(" us ") && row.contains(" GB/s "), "{row}");
        }
    });
}
