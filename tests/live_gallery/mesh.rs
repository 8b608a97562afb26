//! mesh: weights hold, the dead are skipped, and bytes pass by TCP.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::*;
use crate::cgroup::{Group, enter};
use crate::gate::{HOST, LITTLE_ENDIAN, ROOT, require};

/// Serves as long as the process lives: tells its number, and echoes. The socket is one of the group's, the threads
/// are not, or the group could not be removed.
fn backend(group: &Group, number: u8, listener: TcpListener) -> SocketAddr {
    let (address, home) = (listener.local_addr().expect("an address"), group.home.clone());
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
        enter(&group.path);
        let (service, service6) = ("10.99.0.1:80", "[2001:db8::99]:80");
        let (heavy, light) =
            (backend(&group, 0, listener("127.0.0.1:0")), backend(&group, 1, listener("127.0.0.1:0")));
        let six = backend(&group, 2, listener("[::1]:0"));
        let add = [
            format!("add {service} {heavy} 3"),
            format!("add {service} {light}"),
            format!("add {service6} {six}"),
        ];
        let path = group.path.display().to_string();
        let tool =
            Tool::ready("mesh", &["--cgroup", &path, "--check", "50", &add[0], &add[1], &add[2]], "steering");
        let tool = tool.expect("it starts");
        // The standard deviation is 6.1; five of it.
        let [heavies, lights, _] = answers(service, 200);
        assert!(heavies.abs_diff(150) < 31 && heavies + lights == 200, "{heavies} and {lights}");
        assert_eq!(answers(service6, 3), [0, 0, 3]);
        // What is no service is left alone.
        let direct = TcpStream::connect(light).expect("it connects");
        assert_eq!(direct.peer_addr().expect("an address"), light);

        tool.say("add nonsense 127.0.0.1:1");
        tool.line(|l| l.contains("`nonsense` is no ADDRESS:PORT"));
        tool.say(&format!("remove {service} {heavy}"));
        tool.say("list");
        let row = tool.line(|l| l.contains(&light.to_string()));
        let words: Vec<String> = row.split_whitespace().map(String::from).collect();
        assert_eq!(words[..5], [service, &light.to_string(), "1", "true", &lights.to_string()], "{row}");
        assert_eq!(answers(service, 20), [0, 20, 0]);

        // A port that nobody has: it is found dead, and taken back when somebody is there.
        let dead = listener("127.0.0.1:0").local_addr().expect("an address");
        tool.say(&format!("add {service} {dead} 60"));
        tool.line(|l| l.contains(&format!("{dead} is dead")));
        tool.say("list");
        tool.line(|l| l.contains(&dead.to_string()) && l.contains("false"));
        assert_eq!(answers(service, 20), [0, 20, 0]);
        backend(&group, 0, listener(&dead.to_string()));
        tool.line(|l| l.contains(&format!("{dead} lives")));
        tool.say("list");
        tool.line(|l| l.contains(&dead.to_string()) && l.contains("true"));
        assert!(answers(service, 20)[0] > 0);
        tool.end(Signal::SIGTERM);
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
        enter(&group.path);
        for (service, to) in [("10.99.0.1:80", "127.0.0.1:0"), ("[2001:db8::99]:80", "[::1]:0")] {
            let to = backend(&group, 0, listener(to));
            let path = group.path.display().to_string();
            let args = ["--cgroup", &path, "--check", "0", "--json", &format!("add {service} {to}")];
            let tool = Tool::ready("mesh", &args, "steering").expect("it starts");
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
            tool.say("list");
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
                tool.say("list");
                if row(tool.json())["open"] == 0 {
                    break;
                }
                assert!(since.elapsed() < LONG, "it stays open");
            }
            tool.end(Signal::SIGTERM);
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
    let tool = Tool::ready("mesh", &["--cgroup", &name], "steering").expect("it starts");
    assert!(path.exists());
    tool.end(Signal::SIGTERM);
    assert!(!path.exists());
}

/// The ratios are not judged: this machine may be busy. That they are there is.
#[test]
fn mesh_measures_itself() {
    require!(HOST);
    require!(ROOT);
    in_network("gal-bench", || {
        let name = format!("rawbpf-bench-{}", std::process::id());
        let tool = Tool::ready("mesh", &["--cgroup", &name, "--bench"], "ROUND TRIP").expect("it measures");
        for path in ["plain loopback TCP", "mesh"] {
            let row = tool.line(|l| l.starts_with(path));
            assert!(row.contains(" us ") && row.contains(" GB/s "), "{row}");
        }
    });
}
