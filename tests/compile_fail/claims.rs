//! A consumer of a ring is one: it cannot be copied, and what it lends is not kept.
#![forbid(unsafe_code)]

use rawbpf::events::{RingBuf, UserRingBuf};

fn copied(ring: &RingBuf, user: &UserRingBuf) {
    let _: RingBuf = ring.clone();
    let _: UserRingBuf = user.clone();
}

fn kept(ring: &mut RingBuf) -> Option<&[u8]> {
    let record = ring.next()?;
    let bytes: &[u8] = &record;
    drop(ring);
    let _ = ring.consume(|_| ());
    Some(bytes)
}

fn main() {}
