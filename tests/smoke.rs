//! The smallest live tests: they show that the harness runs on a kernel, before the library is asked to.
//!
//! They speak bpf(2) by themselves, through raw attribute bytes, so that a fault in the library cannot hide here.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::gate::{ARENA, ROOT, require};

const MAP_CREATE: libc::c_long = 0;
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const SOCKET_FILTER: u32 = 1;

/// A `union bpf_attr`, zeroed but for these fields.
fn attr(fields: &[(usize, &[u8])]) -> [u8; 128] {
    let mut attr = [0; 128];
    for (at, bytes) in fields {
        attr[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    attr
}

fn bpf(cmd: libc::c_long, attr: &mut [u8; 128]) -> io::Result<i32> {
    // SAFETY: attr is 128 bytes long, and the addresses in it are of buffers that the callers keep alive.
    let n = unsafe { libc::syscall(libc::SYS_bpf, cmd, attr.as_mut_ptr(), attr.len()) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as i32) }
}

fn new_fd(cmd: libc::c_long, attr: &mut [u8; 128]) -> io::Result<OwnedFd> {
    // SAFETY: these commands return a new file descriptor that nobody else owns.
    bpf(cmd, attr).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn map(kind: u32, key: u32, value: u32, entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let fields = [kind, key, value, entries, flags].map(u32::to_ne_bytes).concat();
    new_fd(MAP_CREATE, &mut attr(&[(0, &fields)]))
}

/// `r0 = value; exit`: eight bytes an instruction, the immediate last, in the kernel's byte order.
fn filter(value: i32) -> io::Result<OwnedFd> {
    let mut insns = vec![0xb7, 0, 0, 0];
    insns.extend(value.to_ne_bytes());
    insns.extend([0x95, 0, 0, 0, 0, 0, 0, 0]);
    let license = c"GPL";
    new_fd(
        PROG_LOAD,
        &mut attr(&[
            (0, &SOCKET_FILTER.to_ne_bytes()),
            (4, &2u32.to_ne_bytes()),
            (8, &(insns.as_ptr() as u64).to_ne_bytes()),
            (16, &(license.as_ptr() as u64).to_ne_bytes()),
        ]),
    )
}

#[test]
fn the_kernel_runs_a_filter() {
    require!(ROOT);
    use std::os::fd::AsRawFd as _;
    let prog = filter(42).expect("load");
    let packet = [0u8; 64];
    let mut run = attr(&[
        (0, &prog.as_raw_fd().to_ne_bytes()),
        (8, &64u32.to_ne_bytes()),
        (16, &(packet.as_ptr() as u64).to_ne_bytes()),
    ]);
    bpf(PROG_TEST_RUN, &mut run).expect("run");
    assert_eq!(run[4..8], 42u32.to_ne_bytes());
}

#[test]
fn an_array_map_can_be_made() {
    require!(ROOT);
    map(2, 4, 8, 1, 0).expect("array map");
}

#[test]
fn an_arena_map_can_be_made() {
    require!(ROOT);
    let _arena = require!(ARENA, map(33, 0, 0, 16, 1 << 10 /* BPF_F_MMAPABLE */));
}
