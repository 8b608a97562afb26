//! The kernel's trace, into which `bpf_printk` prints.
//!
//! All programs of the machine print into one log, and it does not say who printed. A reader of the global
//! `trace_pipe` also takes the lines away from every other reader. So [`TracePipe::private`] makes an *instance*
//! of the trace: a buffer of its own, in which the event `bpf_trace:bpf_trace_printk` is on, together with a
//! kernel stack trace after each event. In the stack stands the program's own symbol, `bpf_prog_TAG_NAME`, and
//! that is how an event gets its program:
//!
//! ```text
//!   curl-3104  [001] d..31  512.410163: bpf_trace_printk: connect to 10.0.0.1
//!   curl-3104  [001] d..31  512.410170: <stack trace>
//!    => bpf_trace_printk
//!    => bpf_prog_6deef7357e7b4530_connect_v4           the program
//!    => ...
//! ```
//!
//! That works where the program was compiled to machine code and the kernel can walk the stack. Elsewhere the
//! program is not known: it is `None`, never a guess.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::poller::wait_one;
use super::trace_line::TraceEvent;
use super::trace_stack::{GRACE, Waiting};
use crate::sys::SysError;

/// Why the trace cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// tracefs is not mounted.
    #[error("there is no tracefs at {}; mount one with `mount -t tracefs tracefs {}`", PLACES[0], PLACES[0])]
    NoTracefs,
    /// A file of the trace.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

/// Where tracefs is, and where older systems have it.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A reader of what programs print with `bpf_printk`.
#[derive(Debug)]
pub struct TracePipe {
    file: File,
    /// The directory of the private instance, which is removed in the end.
    instance: Option<PathBuf>,
    /// Read but not yet returned.
    buffer: Vec<u8>,
    waiting: Waiting,
    /// Whether each event is followed by a stack trace.
    stacks: bool,
}

impl TracePipe {
    /// Reads from a buffer of its own, so that no other reader misses anything, and with programs' names. Needs
    /// root. Linux 5.9; before that it is [`TracePipe::global`].
    pub fn private() -> Result<TracePipe, TraceError> {
        let tracefs = tracefs()?;
        if !tracefs.join("events/bpf_trace/bpf_trace_printk").is_dir() {
            return TracePipe::global();
        }
        /// Tells instances of one process apart.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = tracefs.join(format!("instances/rawbpf-{}-{nth}", std::process::id()));
        fs::create_dir(&dir).map_err(io_error("make the directory", &dir))?;
        let opened = TracePipe::in_instance(&dir);
        if opened.is_err() {
            let _ = fs::remove_dir(&dir);
        }
        opened
    }

    fn in_instance(dir: &Path) -> Result<TracePipe, TraceError> {
        let file = open(&dir.join("trace_pipe"))?;
        // Both may be missing in a small kernel: then there are no names.
        let stacks = fs::write(dir.join("options/stacktrace"), "1").is_ok();
        let _ = fs::write(dir.join("options/irq-info"), "1");
        let on = dir.join("events/bpf_trace/bpf_trace_printk/enable");
        fs::write(&on, "1").map_err(io_error("write to", &on))?;
        Ok(TracePipe {
            file,
            instance: Some(dir.into()),
            buffer: Vec::new(),
            waiting: Waiting::default(),
            stacks,
        })
    }

    /// Reads the machine's one trace. What is read here no other reader sees, and there are no programs' names.
    pub fn global() -> Result<TracePipe, TraceError> {
        let file = open(&tracefs()?.join("trace_pipe"))?;
        Ok(TracePipe { file, instance: None, buffer: Vec::new(), waiting: Waiting::default(), stacks: false })
    }

    /// True if the buffer is this reader's own.
    pub fn is_private(&self) -> bool {
        self.instance.is_some()
    }

    /// How many events the kernel has overwritten before they were read, as far as it has said so.
    pub fn lost(&self) -> u64 {
        self.waiting.lost
    }

    /// The next event that is there now, if there is one. Waits for nothing but, up to 0.2 s, for a stack trace that
    /// is not written yet.
    pub fn next_event(&mut self) -> Result<Option<TraceEvent>, TraceError> {
        let mut since = None;
        loop {
            if let Some(event) = self.waiting.next() {
                return Ok(Some(event));
            }
            if let Some(line) = self.line() {
                self.waiting.line(&line);
            } else if !self.fill()? {
                self.waiting.all_read();
                match self.waiting.next() {
                    None if self.waiting.is_empty() => return Ok(None),
                    None => {
                        let left = GRACE.saturating_sub(since.get_or_insert_with(Instant::now).elapsed());
                        if !self.stacks || left.is_zero() || !self.poll(Some(left)).unwrap_or(false) {
                            self.waiting.give_up();
                        }
                    }
                    event => return Ok(event),
                }
            }
        }
    }

    /// Waits until there is something to read; false when the time was over first, or a signal came.
    pub fn poll(&self, timeout: Option<Duration>) -> Result<bool, SysError> {
        wait_one(self.as_fd(), PollFlags::POLLIN, timeout)
    }

    /// The next whole line of the buffer.
    fn line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|b| *b == b'\n')?;
        let line = self.buffer.drain(..=end).take(end).collect::<Vec<u8>>();
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads more; false if there is nothing more now.
    fn fill(&mut self) -> Result<bool, TraceError> {
        /// No line is longer: what is, is cut.
        const LONGEST: usize = 1 << 20;
        if self.buffer.len() > LONGEST {
            self.buffer.push(b'\n');
            return Ok(true);
        }
        let mut chunk = [0; 8192];
        match self.file.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.buffer.extend_from_slice(chunk.get(..n).unwrap_or_default());
                Ok(true)
            }
            Err(e) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&e.kind()) => {
                Ok(false)
            }
            Err(source) => Err(TraceError::Io { doing: "read", path: "trace_pipe".into(), source }),
        }
    }
}

fn tracefs() -> Result<PathBuf, TraceError> {
    let found = PLACES.iter().map(PathBuf::from).find(|dir| dir.join("trace_pipe").exists());
    found.ok_or(TraceError::NoTracefs)
}

fn open(path: &Path) -> Result<File, TraceError> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    file.map_err(io_error("open", path))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TraceError {
    let path = path.to_path_buf();
    move |source| TraceError::Io { doing, path, source }
}

impl AsFd for TracePipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for TracePipe {
    fn drop(&mut self) {
        if let Some(dir) = self.instance.take() {
            let _ = fs::write(dir.join("events/bpf_trace/bpf_trace_printk/enable"), "0");
            // The instance cannot go while its pipe is open.
            if let Ok(nothing) = File::open("/dev/null") {
                drop(std::mem::replace(&mut self.file, nothing));
            }
            let _ = fs::remove_dir(dir);
        }
    }
}
