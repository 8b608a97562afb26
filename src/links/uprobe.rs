//! uprobes: a program at a function of user space, in every process that runs it or in one.
//!
//! ```text
//!   uprobe//usr/bin/bash:readline       a file and a function in it
//!   uretprobe/libc.so.6:malloc          the return; the library is looked for as the loader would
//!   uprobe/libc:memcpy@GLIBC_2.14       one of several versions of a function
//!   uprobe/bash:readline+0x10           in between; must be where an instruction begins
//!   uprobe/bash:0x4f2a0                 an offset in the file
//!   uprobe/app.apk!/lib/libapp.so:init  a library that lies in an archive as it is
//! ```
//!
//! The probe is set on the file. So it sees processes that start later, and it does not matter where
//! the file is mapped.

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::exe::{CodeFile, Exe, Place};
use super::hook_kind::{FromSection, HookKind, SectionName};
use super::kprobe::{ProbeVia, attach_written, number, pmu};
use super::nearest::nearest;
use super::tracefs::{self, WrittenProbe};
use super::{AttachError, Link, perf_link, refusal};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::{self, Errno, PerfAttr, SysError};
use crate::uapi::ProgType;

/// A place in a user-space program or library. Linux 4.3; cookies since 5.15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uprobe {
    /// A path, or the name of a library (`libc.so.6`, `libc`) or of a program in `$PATH`; `ARCHIVE!/ENTRY` for a
    /// library in a ZIP file, stored there as it is.
    pub file: String,
    /// Where in it.
    pub spot: Spot,
    /// At the return, not at the entry.
    pub exit: bool,
    /// Only in this process.
    pub pid: Option<u32>,
    /// Where in the file the program counts how many listen, 0 for nowhere (the semaphore of a USDT probe).
    /// Linux 4.20.
    pub ref_ctr_offset: u64,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 5.15.
    pub cookie: u64,
    /// How the probe is made.
    pub via: ProbeVia,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// A function, with its version after an `@` if it is one of several, and bytes from its start.
    Function(String, u64),
    /// Bytes from the start of the file, or of the entry of an archive.
    Offset(u64),
}

impl Uprobe {
    /// The entry of a function in all processes.
    pub fn entry(file: &str, function: &str) -> Uprobe {
        Uprobe {
            file: file.into(),
            spot: Spot::Function(function.into(), 0),
            exit: false,
            pid: None,
            ref_ctr_offset: 0,
            cookie: 0,
            via: ProbeVia::Auto,
        }
    }

    /// The return of a function in all processes.
    pub fn exit(file: &str, function: &str) -> Uprobe {
        Uprobe { exit: true, ..Uprobe::entry(file, function) }
    }

    /// `FILE:FUNCTION[+OFFSET]` or `FILE:OFFSET`
    pub(super) fn parse(text: &str, exit: bool) -> Result<Uprobe, String> {
        let parts = text.rsplit_once(':').filter(|(file, spot)| !file.is_empty() && !spot.is_empty());
        let Some((file, spot)) = parts else {
            return Err("write uprobe/FILE:FUNCTION[+OFFSET]".into());
        };
        // A `+` may also belong to the name; only a number after it is an offset.
        let with_offset = spot.rsplit_once('+').and_then(|(name, offset)| Some((name, number(offset)?)));
        let spot = match (number(spot), with_offset) {
            (Some(offset), _) => Spot::Offset(offset),
            (None, Some((name, offset))) => Spot::Function(name.into(), offset),
            (None, None) => Spot::Function(spot.into(), 0),
        };
        if exit && matches!(spot, Spot::Function(_, 1..)) {
            return Err("a return has no offset".into());
        }
        Ok(Uprobe { exit, spot, ..Uprobe::entry(file, "") })
    }
}

impl fmt::Display for Uprobe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:", if self.exit { "uretprobe" } else { "uprobe" }, self.file)?;
        match &self.spot {
            Spot::Function(name, 0) => f.write_str(name)?,
            Spot::Function(name, offset) => write!(f, "{name}+{offset:#x}")?,
            Spot::Offset(offset) => write!(f, "{offset:#x}")?,
        }
        self.pid.map_or(Ok(()), |pid| write!(f, " in process {pid}"))
    }
}

/// What the kernel must have been configured with.
const OPTIONS: &[&str] = &["UPROBES", "UPROBE_EVENTS", "BPF_EVENTS"];

impl HookKind for Uprobe {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }

    fn set_cookie(&mut self, cookie: u64) -> bool {
        self.cookie = cookie;
        true
    }

    fn set_pid(&mut self, pid: u32) -> bool {
        self.pid = Some(pid);
        true
    }
}

impl FromSection for Uprobe {
    const OBJECT: &'static str = "file and function";
    const SYNTAX: &'static str = "write uprobe/FILE:FUNCTION[+OFFSET]";

    fn from_section(name: &SectionName<'_>) -> Result<Uprobe, String> {
        Uprobe::parse(name.rest, name.is_exit())
    }
}

/// Attaches a program to a function of user space.
pub(super) fn attach(kernel: &Kernel, program: &Program, probe: &Uprobe) -> Result<Link, AttachError> {
    refusal::check_type(program, "uprobe", ProgType::Kprobe)?;
    let about = About { program, hook: &probe.to_string() };
    let code = about.file(&probe.file, probe.pid)?;
    let (offset, note) = match &probe.spot {
        Spot::Offset(offset) => (about.start(&code)?.saturating_add(*offset), None),
        Spot::Function(name, offset) => {
            let (place, note) = about.function(&code, name)?;
            (place.offset.saturating_add(*offset), note)
        }
    };
    let path = code.path.as_path();
    let refused = |source| explain(kernel, program, probe, &code, source);
    let link = if probe.via == ProbeVia::Tracefs || pmu("uprobe").is_none() {
        written(program, probe, path, offset).map_err(refused)?
    } else {
        let event = open(path, offset, probe).map_err(refused)?;
        perf_link::attach(program, vec![event], probe.cookie).map_err(refused)?
    };
    Ok(match note {
        Some(note) => link.noting(note),
        None => link,
    })
}

/// Who wants what, for messages.
pub(super) struct About<'a> {
    pub(super) program: &'a Program,
    pub(super) hook: &'a str,
}

impl About<'_> {
    fn not_found(&self, what: &'static str, name: &str, near: String) -> AttachError {
        let (program, hook) = (self.program.name().into(), self.hook.into());
        AttachError::NotFound { program, hook, what, name: name.into(), near }
    }

    pub(super) fn bad_file(&self, code: &CodeFile, why: impl ToString) -> AttachError {
        let (program, hook) = (self.program.name().into(), self.hook.into());
        AttachError::File { program, hook, path: code.path.clone(), why: why.to_string() }
    }

    /// The file of a program or library.
    pub(super) fn file(&self, name: &str, pid: Option<u32>) -> Result<CodeFile, AttachError> {
        if let Some(pid) = pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            return Err(self.not_found("process", &pid.to_string(), String::new()));
        }
        let near = " in $LD_LIBRARY_PATH, /etc/ld.so.cache, the usual directories of libraries, or $PATH";
        let code = CodeFile::find(name, pid)
            .ok_or_else(|| self.not_found("program or library", name, near.into()))?;
        if code.path.exists() {
            return Ok(code);
        }
        Err(self.not_found("file", name, String::new()))
    }

    pub(super) fn open(&self, code: &CodeFile) -> Result<Exe, AttachError> {
        Exe::open(code).map_err(|e| self.bad_file(code, e))
    }

    /// Where in the file the code begins that offsets are counted from.
    pub(super) fn start(&self, code: &CodeFile) -> Result<u64, AttachError> {
        // A file of its own need not even be read.
        if code.entry.is_none() { Ok(0) } else { Ok(self.open(code)?.start()) }
    }

    /// The place of a function, and something to say about it.
    fn function(&self, code: &CodeFile, name: &str) -> Result<(Place, Option<String>), AttachError> {
        let exe = self.open(code)?;
        let places = exe.find(name).map_err(|e| self.bad_file(code, e))?;
        let Some(place) = places.first().cloned() else {
            let names = exe.function_names();
            let near = match names.is_empty() {
                true => {
                    format!(" in {code}, which has no symbols; name an offset in the file: FILE:0xOFFSET")
                }
                false => format!(" in {code}{}", nearest(name, names.iter().map(String::as_str))),
            };
            return Err(self.not_found("function", name, near));
        };
        let note = match places.len() {
            1 if place.chooses => Some(format!(
                "{name} is chosen when the program starts: attached to the function that chooses, not to the chosen one"
            )),
            1 => None,
            many => Some(format!(
                "{many} functions are called {name}: attached to the one at {:#x}; name another by its offset ({})",
                place.offset,
                places.iter().map(|p| format!("{:#x}", p.offset)).collect::<Vec<_>>().join(", ")
            )),
        };
        Ok((place, note))
    }
}

/// A path as the kernel wants it.
pub(super) fn c_path(path: &Path) -> Result<CString, SysError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| SysError::other("perf_event_open", Errno::ENOENT))
}

/// Opens the event: of one process on all CPUs, or of all processes, for which one CPU stands.
fn open(path: &Path, offset: u64, probe: &Uprobe) -> Result<OwnedFd, SysError> {
    let invalid = SysError::other("perf_event_open", Errno::EINVAL);
    let (kind, exit) = pmu("uprobe").ok_or(invalid)?;
    let ref_ctr = u32::try_from(probe.ref_ctr_offset).map_err(|_| invalid)?;
    let config = u64::from(ref_ctr) << 32 | if probe.exit { exit } else { 0 };
    let path = c_path(path)?;
    let (pid, cpu) = match probe.pid {
        Some(pid) => (pid as i32, -1),
        None => (-1, 0),
    };
    sys::perf_event_open(&PerfAttr::probe(kind, config, &path, offset), pid, cpu)
}

/// Puts a program behind several places of one file, an event for each: offset, semaphore, cookie.
pub(super) fn attach_places(
    program: &Program,
    path: &Path,
    pid: Option<u32>,
    places: &[(u64, u64, u64)],
) -> Result<Link, SysError> {
    let mut events = Vec::new();
    for (offset, ref_ctr_offset, cookie) in places {
        let probe = Uprobe { pid, ref_ctr_offset: *ref_ctr_offset, ..Uprobe::entry("", "") };
        events.push((open(path, *offset, &probe)?, *cookie));
    }
    perf_link::attach_each(program, events)
}

/// The probe as a line in tracefs.
fn written(program: &Program, probe: &Uprobe, path: &Path, offset: u64) -> Result<Link, SysError> {
    let root = tracefs::root().ok_or(SysError::other("find tracefs", Errno::ENOENT))?;
    let place = format!("{}:{offset:#x}", path.display());
    let made = WrittenProbe::create(&root, "uprobe_events", probe.exit, &place)?;
    attach_written(program, made, &root, probe.pid.map_or(-1, |pid| pid as i32), probe.cookie)
}

fn explain(
    kernel: &Kernel,
    program: &Program,
    probe: &Uprobe,
    code: &CodeFile,
    source: SysError,
) -> AttachError {
    let guess = match source.errno {
        Errno::EINVAL | Errno::EOPNOTSUPP
            if probe.cookie != 0 && kernel.release() < crate::uapi::Release(5, 15, 0) =>
        {
            "cookies came with Linux 5.15"
        }
        Errno::EINVAL => "no code of the file is there, or its file system cannot be probed",
        Errno::ENOTSUPP | Errno::EOPNOTSUPP | Errno::EILSEQ => {
            "the instruction there cannot be probed, or none begins there"
        }
        Errno::EIO => "the file system cannot be probed",
        Errno::ENOENT | Errno::ENOTDIR => "the file is gone",
        Errno::ESRCH => "the process is gone",
        _ => "",
    };
    let hook = match code.to_string() {
        code if code != probe.file => format!("{probe} ({code})"),
        _ => probe.to_string(),
    };
    refusal::refused_because(kernel, program, hook, source, OPTIONS, guess)
}
