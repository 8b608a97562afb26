//! How fast can a packet be dropped, and where? The comparison that the papers about XDP make, on this machine.
//!
//! Packets of 60 bytes go through a pair of veth interfaces, as fast as they can be made, and what receives them drops
//! them: XDP, nftables, or a program that reads them from a socket and forgets them. The kernel receives on the CPU
//! that sends, so every figure but the first has the cost of sending in it.

use std::error::Error;
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rawbpf::XdpMode;
use rawbpf::sys::TestRun;

use crate::Dropper;
use crate::network::{ADDRESS, IN, PORT, Sender};

/// Where nftables can drop: name, family, and chain.
const CHAINS: [(&str, &str, &str); 3] = [
    ("nftables, ingress of the interface", "netdev", "hook ingress device \"in0\" priority 0"),
    ("nftables, before conntrack", "ip", "hook prerouting priority raw"),
    ("nftables, input", "ip", "hook input priority filter"),
];

/// How often each is measured.
const ROUNDS: u32 = 5;

/// Packets in a second, or why it was not measured.
type Rate = Result<f64, Box<dyn Error>>;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let ms = std::env::args().nth(2).map_or(Ok(1000), |ms| ms.parse())?;
    let time = Duration::from_millis(ms) / ROUNDS;
    let mut sender = Sender::new()?;
    let native = best(|| through_xdp(&mut sender, XdpMode::Native, time))?;
    let (bytes, way) = (sender.frame().len(), sender.way());
    println!(
        "dropping UDP packets of {bytes} bytes that {way} makes, on this machine, best of {ROUNDS} times {time:?}"
    );
    println!("{:<36} {:>12}  {:>6}", "WHERE", "PACKETS/S", "RATIO");
    let row = |name: &str, rate: Rate| match rate {
        Ok(rate) => println!("{name:<36} {rate:>12.0}  {:>6.2}", rate / native),
        Err(why) => println!("{name:<36} not measured: {why}"),
    };
    row("XDP, the program alone (test run)", best(|| alone(&sender)));
    row("XDP, in the driver", Ok(native));
    row("XDP, in the stack (generic)", best(|| through_xdp(&mut sender, XdpMode::Generic, time)));
    for (name, family, chain) in CHAINS {
        row(name, best(|| through_nft(&mut sender, family, chain, time)));
    }
    row("user space, a UDP socket", best(|| through_socket(&mut sender, time)));
    Ok(())
}

/// The best of a few rounds: what else the machine does only ever makes a figure worse.
fn best(mut measure: impl FnMut() -> Rate) -> Rate {
    (1..ROUNDS).try_fold(measure()?, |best, _| Ok(best.max(measure()?)))
}

/// The kernel runs the program many times over on one packet.
fn alone(sender: &Sender) -> Rate {
    let dropper = Dropper::load()?;
    let run = TestRun { data: sender.frame().to_vec(), repeat: 1_000_000, ..TestRun::default() };
    let ran = dropper.program().ok_or("no program")?.test_run(&run)?;
    Ok(1e9 / f64::from(ran.duration_ns.max(1)))
}

fn through_xdp(sender: &mut Sender, mode: XdpMode, time: Duration) -> Rate {
    let dropper = Dropper::load()?;
    let link = dropper.attach(IN, mode)?;
    let begin = Instant::now();
    sender.send_for(time)?;
    let (dropped, took) = (dropper.dropped()?, begin.elapsed());
    link.detach()?;
    Ok(dropped.packets as f64 / took.as_secs_f64())
}

fn through_nft(sender: &mut Sender, family: &str, chain: &str, time: Duration) -> Rate {
    nft(&format!("table {family} bench {{ chain drops {{ type filter {chain}; counter drop; }}; }}"))?;
    let begin = Instant::now();
    sender.send_for(time)?;
    let took = begin.elapsed();
    // "counter packets 123 bytes 456 drop"
    let rules = nft(&format!("list table {family} bench"))?;
    nft(&format!("delete table {family} bench"))?;
    let mut words = rules.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    let dropped: f64 = words.next().ok_or("nft shows no counter")?.parse()?;
    Ok(dropped / took.as_secs_f64())
}

/// Gives nft commands; what it prints.
fn nft(commands: &str) -> Result<String, Box<dyn Error>> {
    let pipes = || Stdio::piped();
    let spawned =
        Command::new("nft").args(["-f", "-"]).stdin(pipes()).stdout(pipes()).stderr(pipes()).spawn();
    let mut child = spawned.map_err(|e| format!("cannot run `nft` (Debian package nftables): {e}"))?;
    child.stdin.take().ok_or("no pipe")?.write_all(commands.as_bytes())?;
    let out = child.wait_with_output()?;
    match out.status.success() {
        true => Ok(String::from_utf8(out.stdout)?),
        false => {
            let why = String::from_utf8_lossy(&out.stderr);
            Err(why.lines().next().unwrap_or("nft fails").into())
        }
    }
}

/// A thread of ours reads packets from a socket and forgets them: what it cannot keep up with is not counted.
fn through_socket(sender: &mut Sender, time: Duration) -> Rate {
    let socket = UdpSocket::bind((ADDRESS, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let over = AtomicBool::new(false);
    let begin = Instant::now();
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut read, mut buffer) = (0u64, [0; 2048]);
            // At least once: what has come waits in the socket.
            loop {
                read += u64::from(socket.recv(&mut buffer).is_ok());
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            read
        });
        let sent = sender.send_for(time);
        over.store(true, Ordering::Relaxed);
        let read = reader.join().map_err(|_| "the reader panicked")?;
        sent.map(|()| read)
    })?;
    Ok(read as f64 / begin.elapsed().as_secs_f64())
}
