//! A record of a ring is lent for one call: the kernel writes over it afterwards.
#![forbid(unsafe_code)]

use rawbpf::events::RingBuf;

fn keep(ring: &mut RingBuf) -> Vec<&[u8]> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let _ = ring.consume(|record| kept.push(record));
    kept
}

fn main() {}
