//! The only room with `unsafe` in it: the system calls, each behind a safe function.
//!
//! # How user space talks to BPF
//!
//! One system call does nearly everything: `bpf(cmd, attr, size)`. `cmd` is one of about forty
//! [`Cmd`](crate::uapi::Cmd)s. `attr` points to a union that the kernel reads according to `cmd`, and into which it
//! may write results. `size` tells how much of that union this program knows:
//!
//! ```text
//!          bpf(2)                       our side
//!   cmd ──────────────► BPF_PROG_LOAD   one `Attr` type per command: `attr::ProgLoad`
//!   attr ─┐
//!         ├ u32 prog_type               typed fields: `ProgType`, not u32
//!         ├ u64 insns     ── pointer    `Ptr<'a, [u8; 8]>`: cannot outlive what it points to
//!         ├ u32 log_size                lengths are set together with their pointers
//!         └ ...
//!   size ─ bytes of `attr` that we know. A newer kernel treats the missing tail as zero. An older
//!          kernel accepts a longer one if the bytes it does not know are zero, else E2BIG.
//! ```
//!
//! So `attr` only ever grows, zero always means "not given", and no padding byte may hold rubbish: the
//! [`attr`] module asserts at compile time that its structs have no padding at all.
//!
//! Two traps shape the rest of this module:
//!
//! * **fd 0 means "unset"** in half of the fields, so every file descriptor that the kernel returns is
//!   moved above 2 (module `fd`).
//! * **`BPF_MAP_LOOKUP_ELEM` writes the kernel's value size**, whatever buffer it was given, and for
//!   per-CPU maps that size is not the map's `value_size`. [`map::MapFd`] owns a descriptor together with its
//!   sizes and checks the length of every buffer.
//!
//! Every call of `bpf(2)` passes through one function, `cmd`'s `call`. An observer can be set there and at the few
//! other calls that attach programs ([`observe`]): that is all that `rawbpf --explain` is.

#![allow(unsafe_code)]

mod ask;
pub mod attr;
mod batch;
mod claim;
mod cmd;
mod cpu;
mod errno;
mod fd;
pub mod info;
mod link_info;
pub mod map;
mod mmap;
pub(crate) mod net;
pub mod netlink;
mod object;
mod observe;
mod perf;
pub mod perf_buffer;
mod pidfd;
mod plain;
pub(crate) mod plain_types;
mod query;
pub mod ring;
mod socket;
mod stream;
pub(crate) mod user_ring;

pub use ask::*;
pub use batch::{Batch, Partly};
pub use cmd::*;
pub use cpu::{cpu_limit, cpus_to_try, online_cpus, possible_cpu_list, possible_cpus};
pub use errno::{Call, Errno, SysError};
pub use fd::lock_exclusive;
pub use link_info::*;
pub(crate) use mmap::Mapping;
pub use mmap::{SharedMapping, SharedU32};
pub use object::*;
pub use observe::{Observed, observe};
pub use perf::{PerfAttr, Sampling, perf_type};
pub(crate) use perf::{perf_disable, perf_enable, perf_event_open, perf_set_bpf};
pub use pidfd::pidfd_open;
pub use plain::Plain;
pub use query::*;
pub use socket::*;
pub use stream::prog_stream_read;
