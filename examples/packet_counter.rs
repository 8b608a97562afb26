//! Counts the packets that come in on an interface, with a program assembled here, in Rust.
//!
//! ```text
//! cargo run --example packet_counter -- eth0
//! ```
//!
//! It is `bpf/packet_count.bpf.c` by hand: the same map, the same lookup, the same atomic addition. No
//! compiler, no object file: the instructions below go straight to the kernel.

use std::error::Error;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::insn::net::XDP_PASS;
use rawbpf::insn::prelude::*;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Options, Target, Xdp, XdpMode};

/// The program: `if ((count = bpf_map_lookup_elem(&packet_count_map, &0))) ++*count; return XDP_PASS`.
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let mut a = Asm::named("count_packets");
    let out = a.label();
    a.store(W, R10 - 4, 0) // u32 key = 0, on the stack
        .mov64(R2, R10)
        .add64(R2, -4) // second argument: its address
        .lddw(R1, map("packet_count_map")) // first argument: the map
        .call(Helper::MapLookupElem)
        .jeq(R0, 0, out) // the verifier insists: a lookup may find nothing
        .mov64(R1, 1)
        .atomic(AtomicOp::Add, W64, R0 + 0, R1) // other CPUs count too
        .bind(out)
        .mov64(R0, XDP_PASS)
        .exit();
    let object = Object::builder("packet_counter")
        .license("Dual MIT/GPL")
        .map(MapDecl::new("packet_count_map", MapType::Array, 1).key(Ty::U32).value(Ty::U64))
        .program("xdp", a.finish()?)
        .finish()?;
    Ok(object)
}

fn main() -> Result<(), Box<dyn Error>> {
    let interface = std::env::args().nth(1).ok_or("usage: packet_counter INTERFACE")?;
    let object = program()?;
    // Ctrl-C and SIGTERM are waited for below, so that leaving main detaches the program.
    let mut end = SigSet::empty();
    end.add(Signal::SIGINT);
    end.add(Signal::SIGTERM);
    end.thread_block()?;

    let loaded = object.plan(&Kernel::host(), &Options::default())?.run()?;
    let counter = loaded.program("count_packets").ok_or("no program")?;
    let counts = loaded.map("packet_count_map").ok_or("no map")?;
    let _link = rawbpf::attach(counter, &Target::Xdp(Xdp { interface, mode: XdpMode::Auto }))?;
    loop {
        let value = counts.get(&0u32.to_ne_bytes())?.unwrap_or_default();
        println!("Packet count: {}", u64::from_ne_bytes(value.as_slice().try_into()?));
        if wait(&end, Duration::from_secs(1))? {
            return Ok(());
        }
    }
}

/// Waits for a signal, but not for long; true if one came.
fn wait(signals: &SigSet, at_most: Duration) -> Result<bool, Box<dyn Error>> {
    let fd = nix::sys::signalfd::SignalFd::new(signals)?;
    let mut poll = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&fd), nix::poll::PollFlags::POLLIN)];
    Ok(nix::poll::poll(&mut poll, u16::try_from(at_most.as_millis())?)? > 0)
}
