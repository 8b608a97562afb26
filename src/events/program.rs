//! What a program prints to its own streams: `bpf_stream_printk`, and the kernel's reports about it. Linux 6.17.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::progs::Program;
use crate::sys::{self, SysError};

/// Which of a program's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// What the program prints.
    Out = 1,
    /// What the kernel reports of it: loops that ran too long, faults in an arena, and what it prints there.
    Err = 2,
}

/// The reader of one stream of a program. What is read is gone. There is no waiting: a read of an empty stream
/// gives 0 bytes, and the caller asks again later.
#[derive(Debug)]
pub struct ProgStream {
    program: OwnedFd,
    kind: StreamKind,
}

impl ProgStream {
    /// Reads from a stream of a program.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.17.
    pub fn new(program: &Program, kind: StreamKind) -> Result<ProgStream, SysError> {
        let fd = program.as_fd().try_clone_to_owned().map_err(|e| SysError::other("fcntl", e))?;
        // No bytes: only whether the kernel has streams at all.
        sys::prog_stream_read(&fd, kind as u32, &mut [])?;
        Ok(ProgStream { program: fd, kind })
    }

    /// All that is there now.
    pub fn read_now(&mut self) -> Result<Vec<u8>, SysError> {
        let mut out = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match sys::prog_stream_read(&self.program, self.kind as u32, &mut buffer)? {
                0 => return Ok(out),
                n => out.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            }
        }
    }
}

impl Read for ProgStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::prog_stream_read(&self.program, self.kind as u32, buffer)
            .map_err(|e| io::Error::from_raw_os_error(e.errno.0))
    }
}
