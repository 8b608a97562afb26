//! A slot of a user ring buffer is gone once it is given to the kernel, and there is one at a time.
#![forbid(unsafe_code)]

use rawbpf::events::UserRingBuf;

fn afterwards(ring: &mut UserRingBuf) {
    let mut slot = ring.reserve(8).unwrap().unwrap();
    slot.commit();
    slot[0] = 1;
}

fn two(ring: &mut UserRingBuf) {
    let first = ring.reserve(8).unwrap();
    let second = ring.reserve(8).unwrap();
    drop((first, second));
}

fn main() {}
