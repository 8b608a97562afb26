//! Lists for a link go with their lengths: there is no pointer without one.
#![forbid(unsafe_code)]

use rawbpf::sys::attr::{Fd, KprobePlaces, LinkCreate, LinkExtra, Ptr, TargetFd};

fn main() {
    let cookies = [1u64];
    let _ = LinkExtra::kprobe_multi(0, 1000, Ptr::NULL, Ptr::to(&cookies), Ptr::NULL);
    let _ = LinkExtra::kprobe_multi(0, KprobePlaces::Addresses(&[1]), Ptr::to(&cookies));
    let _ = LinkExtra([0; 6]);
    // An interface is no descriptor.
    let _ = LinkCreate { prog_fd: Fd::ifindex(3), ..Default::default() };
    let _ = LinkCreate { prog_fd: TargetFd::ifindex(3), ..Default::default() };
}
