//! What a program printed to its own streams.

use std::os::fd::AsFd;

use super::attr::{Fd, ProgStreamRead, PtrMut};
use super::cmd::call;
use super::errno::SysError;
use crate::uapi::Cmd;

/// `BPF_PROG_STREAM_READ_BY_FD`: takes up to `buffer.len()` bytes out of a program's stream, 1 for standard
/// output, 2 for standard error; 0 bytes if there is nothing now. Linux 6.17; `EINVAL` before that, `ENOENT` for
/// other streams.
pub fn prog_stream_read(prog: impl AsFd, stream: u32, buffer: &mut [u8]) -> Result<usize, SysError> {
    let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let mut attr = ProgStreamRead {
        stream_buf_len: len,
        stream_buf: PtrMut::to(buffer),
        stream_id: stream,
        prog_fd: Fd::of(&prog),
        pad: 0,
    };
    // SAFETY: the buffer was set together with its length. Test:
    // `live_maps::events::a_program_stream_has_the_kernels_reports`.
    unsafe { call(Cmd::ProgStreamReadByFd, &mut attr) }.map(|n| n as usize)
}
