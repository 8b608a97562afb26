//! uprobe.multi: one program at many functions of one program or library, by one link.

use std::fmt;
use std::path::Path;

use super::exe::CodeFile;
use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::uprobe::{About, c_path};
use super::{AttachError, Link, MultiKind, functions, refusal};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra};
use crate::sys::{self, Errno, LinkFd, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// Functions of a program or library to probe together. Linux 6.6; sessions 6.13.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UprobeMulti {
    /// A path, or the name of a library or of a program in `$PATH`; `ARCHIVE!/ENTRY` for a library in a ZIP file.
    pub file: String,
    /// Which places in it.
    pub spots: Spots,
    /// Where in each function the program runs.
    pub kind: MultiKind,
    /// Only in this process.
    pub pid: Option<u32>,
    /// What the program gets by `bpf_get_attach_cookie`: none, one for all, or one for each of a list.
    pub cookies: Vec<u64>,
}

/// Which places in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spots {
    /// All functions whose name matches, with `*` and `?`.
    Pattern(String),
    /// These functions.
    Names(Vec<String>),
    /// Bytes from the start of the file, or of the entry of an archive.
    Offsets(Vec<u64>),
}

impl UprobeMulti {
    /// In all processes, without cookies.
    pub fn new(file: &str, spots: Spots, kind: MultiKind) -> UprobeMulti {
        UprobeMulti { file: file.into(), spots, kind, pid: None, cookies: Vec::new() }
    }
}

impl fmt::Display for UprobeMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            MultiKind::Entry => "uprobe.multi",
            MultiKind::Exit => "uretprobe.multi",
            MultiKind::Session => "uprobe.session",
        };
        write!(f, "{kind}/{}:", self.file)?;
        match &self.spots {
            Spots::Pattern(pattern) => f.write_str(pattern)?,
            Spots::Names(names) => write!(f, "({} functions)", names.len())?,
            Spots::Offsets(offsets) => write!(f, "({} offsets)", offsets.len())?,
        }
        self.pid.map_or(Ok(()), |pid| write!(f, " in process {pid}"))
    }
}

/// One place: where in the file, its semaphore, its cookie, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) offset: u64,
    pub(super) ref_ctr_offset: u64,
    pub(super) cookie: u64,
    pub(super) name: String,
}

impl HookKind for UprobeMulti {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }

    fn set_cookie(&mut self, cookie: u64) -> bool {
        self.cookies = vec![cookie];
        true
    }

    fn set_pid(&mut self, pid: u32) -> bool {
        self.pid = Some(pid);
        true
    }
}

impl FromSection for UprobeMulti {
    const OBJECT: &'static str = "file and function";
    const SYNTAX: &'static str = "write uprobe.multi/FILE:PATTERN, with * and ?";

    fn from_section(name: &SectionName<'_>) -> Result<UprobeMulti, String> {
        match name.rest.rsplit_once(':') {
            Some((file, pattern)) if !file.is_empty() && !pattern.is_empty() => {
                let kind = MultiKind::of_section(name);
                Ok(UprobeMulti::new(file, Spots::Pattern(pattern.into()), kind))
            }
            _ => Err(Self::SYNTAX.into()),
        }
    }
}

/// Attaches a program to many functions of a file.
pub(super) fn attach(kernel: &Kernel, program: &Program, multi: &UprobeMulti) -> Result<Link, AttachError> {
    refusal::check_type(program, "uprobe.multi", ProgType::Kprobe)?;
    let hook = multi.to_string();
    let about = About { program, hook: &hook };
    let code = about.file(&multi.file, multi.pid)?;
    let sites = sites(&about, &code, multi)?;
    let attach = |some: &[Site]| create(program, &code.path, multi, some);
    let made = functions::attach_most(&sites, |site| site.name.clone(), attach);
    let (link, skipped) = made.map_err(|source| explain(kernel, program, multi, source))?;
    Ok(Link::new(link).skipping(skipped))
}

fn sites(about: &About<'_>, code: &CodeFile, multi: &UprobeMulti) -> Result<Vec<Site>, AttachError> {
    let cookie = |n: usize| match multi.cookies.as_slice() {
        [one] => *one,
        each => each.get(n).copied().unwrap_or(0),
    };
    let site = |offset, name, n| Site { offset, ref_ctr_offset: 0, cookie: cookie(n), name };
    let bad = |e: super::exe::ExeError| about.bad_file(code, e);
    let mut out = Vec::new();
    match &multi.spots {
        Spots::Offsets(offsets) => {
            let start = about.start(code)?;
            let offsets = offsets.iter().enumerate();
            out.extend(offsets.map(|(n, o)| site(start.saturating_add(*o), format!("{o:#x}"), n)));
        }
        Spots::Names(names) => {
            let exe = about.open(code)?;
            for (n, name) in names.iter().enumerate() {
                let Some(place) = exe.find(name).map_err(bad)?.into_iter().next() else {
                    return Err(missing(about, code, &exe, name));
                };
                out.push(site(place.offset, place.name, n));
            }
        }
        Spots::Pattern(pattern) => {
            let exe = about.open(code)?;
            let places = exe.matching(pattern).map_err(bad)?;
            if places.is_empty() {
                return Err(missing(about, code, &exe, pattern));
            }
            out.extend(places.into_iter().map(|p| site(p.offset, p.name, 0)));
        }
    }
    Ok(out)
}

fn missing(about: &About<'_>, code: &CodeFile, exe: &super::exe::Exe, name: &str) -> AttachError {
    let names = exe.function_names();
    let near = match names.is_empty() {
        true => ", which has no symbols".into(),
        false => nearest(name, names.iter().map(String::as_str)),
    };
    AttachError::NotFound {
        program: about.program.name().into(),
        hook: about.hook.into(),
        what: "function",
        name: name.into(),
        near: format!(" in {code}{near}"),
    }
}

fn create(program: &Program, path: &Path, multi: &UprobeMulti, sites: &[Site]) -> Result<LinkFd, SysError> {
    let attach_type = match multi.kind {
        MultiKind::Session => AttachType::TraceUprobeSession,
        _ => AttachType::TraceUprobeMulti,
    };
    link(program, path, multi.pid, attach_type, multi.kind == MultiKind::Exit, sites)
}

/// The link itself. Semaphores and cookies are given if any place has one.
pub(super) fn link(
    program: &Program,
    path: &Path,
    pid: Option<u32>,
    attach_type: AttachType,
    exit: bool,
    sites: &[Site],
) -> Result<LinkFd, SysError> {
    /// `BPF_F_UPROBE_MULTI_RETURN`
    const RETURN: u32 = 1;
    let path = c_path(path)?;
    let list = |of: fn(&Site) -> u64| sites.iter().map(of).collect::<Vec<u64>>();
    let (offsets, semaphores, cookies) = (list(|s| s.offset), list(|s| s.ref_ctr_offset), list(|s| s.cookie));
    // None, if no place has one.
    let given = |all: Vec<u64>| if all.iter().any(|&v| v != 0) { all } else { Vec::new() };
    let (semaphores, cookies) = (given(semaphores), given(cookies));
    let flags = if exit { RETURN } else { 0 };
    let extra = LinkExtra::uprobe_multi(&path, &offsets, &semaphores, &cookies, flags, pid.unwrap_or(0));
    let extra = extra.ok_or(SysError::other("a cookie for each place", Errno::EINVAL))?;
    sys::link_create(&LinkCreate { prog_fd: Fd::of(program), attach_type, extra, ..Default::default() })
}

fn explain(kernel: &Kernel, program: &Program, multi: &UprobeMulti, source: SysError) -> AttachError {
    let session = multi.kind == MultiKind::Session;
    let wanted = if session { AttachType::TraceUprobeSession } else { AttachType::TraceUprobeMulti };
    let loaded_for = program.attach_type();
    let guess = match source.errno {
        Errno::EINVAL if loaded_for != wanted && loaded_for != AttachType::default() => {
            "the program was loaded for another hook; load it as `uprobe.multi` or `uprobe.session`"
        }
        Errno::EINVAL if kernel.release() < Release(6, 6, 0) => "it came with Linux 6.6",
        Errno::EINVAL if session && kernel.release() < Release(6, 13, 0) => "sessions came with Linux 6.13",
        Errno::EINVAL => "no code of the file is there, or its file system cannot be probed",
        Errno::ESRCH => "the process is gone",
        _ => "",
    };
    refusal::refused_because(kernel, program, multi, source, &["UPROBES", "BPF_EVENTS"], guess)
}
