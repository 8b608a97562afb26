//! A socket that does not hear comments: a filter decides how much of each packet a socket gets.
//!
//! ```text
//! cargo run --example socket_filter
//! ```
//!
//! A socket filter returns how many bytes of the packet to keep; 0 drops it. The filter of a UDP socket
//! sees the packet from the UDP header on. It reads the packet by `load_packet`, the oldest way there is
//! (`BPF_LD_ABS`): no pointers and no bounds to check, because a packet that is too short ends the program
//! with 0.

use std::error::Error;
use std::net::UdpSocket;
use std::time::Duration;

use rawbpf::elf::Object;
use rawbpf::insn::prelude::*;
use rawbpf::links::attach_socket_filter;
use rawbpf::{Kernel, Options};

/// How many bytes of a datagram the socket gets.
const KEEP: i32 = 8;

/// `if (payload[0] == '#') return 0; return sizeof(struct udphdr) + KEEP;`
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let mut a = Asm::named("no_comments");
    let drop = a.label();
    a.mov64(R6, R1) // load_packet reads the packet of the context in r6
        .load_packet(Narrow::B, udp::BYTES) // r0 = the first byte behind the header
        .jeq(R0, b'#', drop)
        .mov64(R0, i32::from(udp::BYTES) + KEEP)
        .exit();
    a.bind(drop).mov64(R0, 0).exit();
    Ok(Object::builder("socket_filter").license("GPL").program("socket", a.finish()?).finish()?)
}

/// Sends datagrams to a socket with the filter, and gives what it hears, up to the last one sent.
pub(crate) fn heard(sent: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let loaded = program()?.plan(&Kernel::host(), &Options::default())?.run()?;
    let filter = loaded.program("no_comments").ok_or("no program")?;
    let ear = UdpSocket::bind("127.0.0.1:0")?;
    ear.set_read_timeout(Some(Duration::from_secs(10)))?;
    attach_socket_filter(&ear, filter)?;

    let mouth = UdpSocket::bind("127.0.0.1:0")?;
    for text in sent.iter().chain(&["."]) {
        mouth.send_to(text.as_bytes(), ear.local_addr()?)?;
    }
    let mut heard = Vec::new();
    loop {
        let mut buffer = [0; 64];
        let len = ear.recv(&mut buffer)?;
        match String::from_utf8_lossy(&buffer[..len]).into_owned() {
            end if end == "." => return Ok(heard),
            text => heard.push(text),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let sent = ["hello", "# a comment", "good morning", ""];
    println!("sent  {sent:?}\nheard {:?}", heard(&sent)?);
    Ok(())
}
