//! A program for each protocol: tail calls through an array of programs.
//!
//! ```text
//! cargo run --example tail_call
//! ```
//!
//! A tail call is a jump into another program: same context, same stack, and no way back. The programs are
//! in a map, so they can be replaced one by one while packets arrive. Where the map has none, the call does
//! nothing, and the caller goes on with its next instruction.

use std::error::Error;

use rawbpf::elf::{MapDecl, Object};
use rawbpf::insn::prelude::*;
use rawbpf::sys::TestRun;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Options};

/// Jumps to the program at `by_protocol[ip->protocol]`.
fn dispatch() -> Result<Code, AsmError> {
    let mut a = Asm::named("dispatch");
    let pass = a.label();
    let inside = Bounds { end: R3, scratch: R0, short: pass };
    a.get(R2, R1 + xdp_md::DATA)
        .get(R3, R1 + xdp_md::DATA_END)
        .need(R2, eth::BYTES + ipv4::BYTES, inside)
        .get(R4, R2 + eth::PROTO)
        .jne(R4, ETH_P_IP, pass)
        .get(R3, R2 + eth::BYTES + ipv4::PROTOCOL) // third argument: which program
        .lddw(R2, map("by_protocol")) // second argument: where from; the first, the context, is in r1
        .call(Helper::TailCall);
    // Still here: there is no program for this protocol.
    a.bind(pass).mov64(R0, XDP_PASS).exit();
    a.finish()
}

/// Drops UDP to port 53. Its registers are as if it had been called by the kernel, so it looks at the packet
/// anew.
fn on_udp() -> Result<Code, AsmError> {
    let mut a = Asm::named("on_udp");
    let pass = a.label();
    let inside = Bounds { end: R3, scratch: R0, short: pass };
    a.get(R2, R1 + xdp_md::DATA)
        .get(R3, R1 + xdp_md::DATA_END)
        .need(R2, eth::BYTES + ipv4::BYTES + udp::BYTES, inside)
        .get(R4, R2 + eth::BYTES + ipv4::BYTES + udp::DEST)
        .jne(R4, 53, pass)
        .mov64(R0, XDP_DROP)
        .exit();
    a.bind(pass).mov64(R0, XDP_PASS).exit();
    a.finish()
}

/// Sends ICMP back to where it came from.
fn on_icmp() -> Result<Code, AsmError> {
    let mut a = Asm::named("on_icmp");
    a.mov64(R0, XDP_TX).exit();
    a.finish()
}

/// The three programs, and the map that ties them together.
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let programs = MapDecl::new("by_protocol", MapType::ProgArray, 256)
        .sizes(4, 4)
        .slot(IPPROTO_ICMP as u32, "on_icmp")
        .slot(IPPROTO_UDP as u32, "on_udp");
    Ok(Object::builder("tail_call")
        .license("GPL")
        .map(programs)
        .program("xdp", dispatch()?)
        .program("xdp", on_icmp()?)
        .program("xdp", on_udp()?)
        .finish()?)
}

/// An IPv4 packet of a protocol, with the first bytes of what it carries.
pub(crate) fn packet(protocol: i32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [0; (eth::BYTES + ipv4::BYTES) as usize];
    bytes[12..14].copy_from_slice(&(ETH_P_IP as u16).to_be_bytes());
    bytes[14] = 0x45; // version 4, five words
    bytes[14 + ipv4::PROTOCOL.off as usize] = protocol as u8;
    [&bytes, payload].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let loaded = program()?.plan(&Kernel::host(), &Options::default())?.run()?;
    let dispatch = loaded.program("dispatch").ok_or("no program")?;
    let udp_to = |port: u8| packet(IPPROTO_UDP, &[0x80, 0, 0, port, 0, 8, 0, 0]);
    let packets = [
        ("ICMP", packet(IPPROTO_ICMP, &[8, 0, 0, 0])),
        ("UDP to port 53", udp_to(53)),
        ("UDP to port 80", udp_to(80)),
        ("TCP", packet(IPPROTO_TCP, &[0; 20])),
    ];
    let verdicts = ["aborted", "dropped", "passed", "sent back"];
    for (what, data) in packets {
        let ran = dispatch.test_run(&TestRun { data, ..TestRun::default() })?;
        println!("{what}: {}", verdicts.get(ran.retval as usize).unwrap_or(&"?"));
    }
    Ok(())
}
