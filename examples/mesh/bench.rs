//! What a service costs: round trips and throughput beside plain loopback TCP and beside an nftables DNAT, in one run.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::services::Mesh;
use crate::tool::Stop;

const ROUND_TRIPS: u32 = 2000;
const MEBIBYTES: usize = 64;
/// Each path is measured so often, in turns, and the best counts: the others were disturbed.
const ROUNDS: usize = 5;
/// Nobody listens here.
const SERVICE: &str = "127.77.0.1:7700";
const TRANSLATED: &str = "127.77.0.2:7700";

/// Echoes 64 bytes at a time, or takes a mebibyte at a time and says so: the first byte tells which.
fn serve(mut client: TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut kind = [0];
    client.read_exact(&mut kind)?;
    let mut buffer = vec![0; if kind[0] == b'e' { 64 } else { 1 << 20 }];
    loop {
        client.read_exact(&mut buffer)?;
        client.write_all(&buffer[..64])?;
    }
}

/// Microseconds a round trip, and gigabytes a second.
fn measure(to: SocketAddr) -> std::io::Result<[f64; 2]> {
    let measured = |kind: u8, size: usize, times: u32| {
        let mut server = TcpStream::connect(to)?;
        server.set_nodelay(true)?;
        server.write_all(&[kind])?;
        let (data, mut answer) = (vec![1; size], [0; 64]);
        let since = Instant::now();
        for _ in 0..times {
            data.chunks(1 << 16).try_for_each(|chunk| server.write_all(chunk))?;
            server.read_exact(&mut answer)?;
        }
        std::io::Result::Ok(since.elapsed().as_secs_f64())
    };
    let trips = measured(b'e', 64, ROUND_TRIPS)? * 1e6 / f64::from(ROUND_TRIPS);
    let bytes = (MEBIBYTES << 20) as f64 / measured(b's', 1 << 20, MEBIBYTES as u32)? / 1e9;
    Ok([trips, bytes])
}

/// A table of nftables that leads one address to another; gone with the value.
struct Translation;

impl Translation {
    fn new(from: SocketAddr, to: SocketAddr) -> Result<Translation, String> {
        let (ip, port) = (from.ip(), from.port());
        let rule = format!("ip daddr {ip} tcp dport {port} dnat to {to}");
        nft(&format!(
            "table ip rawbpf_mesh {{ chain out {{ type nat hook output priority -100; {rule}; }}; }}\n"
        ))?;
        Ok(Translation)
    }
}

impl Drop for Translation {
    fn drop(&mut self) {
        let _ = nft("delete table ip rawbpf_mesh\n");
    }
}

fn nft(rules: &str) -> Result<(), String> {
    let child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|e| format!("nft cannot be run ({e}); Debian has it as nftables"))?;
    let told = child.stdin.take().map(|mut to| to.write_all(rules.as_bytes()));
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or_default().to_string();
    if out.status.success() && told.is_some_and(|t| t.is_ok()) { Ok(()) } else { Err(said) }
}

/// This process in another cgroup; back home with the end of the value.
struct Inside(PathBuf);

impl Inside {
    fn new(group: &Path) -> Result<Inside, Box<dyn Error>> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|l| l.strip_prefix("0::/")).ok_or("this process is in no cgroup2")?;
        let mount = rawbpf::links::cgroup::mount_point().ok_or("no cgroup2 is mounted")?;
        let home = Inside(mount.join(own).join("cgroup.procs"));
        fs::write(group.join("cgroup.procs"), "0")?;
        Ok(home)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, "0");
    }
}

pub(crate) fn run(group: &Path, stop: &Stop) -> Result<(), Box<dyn Error>> {
    let (service, translated) = (SERVICE.parse()?, TRANSLATED.parse()?);
    let mut mesh = Mesh::start(group, false)?;
    // The server, too, has to be in the group when its sockets are made. Nothing but the service's address is steered.
    let inside = Inside::new(group)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|client| drop(std::thread::spawn(|| serve(client))));
    });
    mesh.command(&format!("add {service} {to}"))?;
    let translation = Translation::new(translated, to);
    let mut paths = vec![("plain loopback TCP", to, [f64::MAX, 0.0]), ("mesh", service, [f64::MAX, 0.0])];
    match &translation {
        Ok(_) => paths.push(("nftables DNAT", translated, [f64::MAX, 0.0])),
        Err(why) => eprintln!("mesh: without nftables: {why}"),
    }
    for _ in 0..ROUNDS {
        for (_, to, best) in &mut paths {
            if stop.wait(None, Duration::ZERO)? {
                return Err("interrupted".into());
            }
            let [trip, bytes] = measure(*to)?;
            *best = [best[0].min(trip), best[1].max(bytes)];
        }
    }
    drop(inside);
    println!("{:20} {:>12} {:>9} {:>12} {:>9}", "PATH", "ROUND TRIP", "OF PLAIN", "THROUGHPUT", "OF PLAIN");
    let plain = paths[0].2;
    for (name, _, [trip, bytes]) in &paths {
        let (slower, faster) = (trip / plain[0], bytes / plain[1]);
        println!("{name:20} {trip:9.1} us {slower:9.2} {bytes:7.2} GB/s {faster:9.2}");
    }
    Ok(())
}
