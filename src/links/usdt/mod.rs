//! USDT: probes that a program's own developers placed in it, with arguments.
//!
//! `DTRACE_PROBE1(app, request, id)` compiles to a `nop` and a note in the file: where the nop is, what the
//! probe is called, and where its arguments are at that moment.
//!
//! ```text
//!   .note.stapsdt   0x1139  app:request  -4@%ebx 8@-16(%rbp)   ──► a uprobe at the nop
//!                                        │
//!                   arguments, as the assembler wrote them     ──► a *spec*, in a map of the program
//!                                                                  (__bpf_usdt_specs), by which
//!                                                                  bpf_usdt_arg() finds the value
//! ```
//!
//! One probe may be at many places, each with its arguments elsewhere; so each place has a spec, and the
//! place's cookie is the spec's number. Kernels before 5.15 have no cookies; there a second map
//! (`__bpf_usdt_ip_to_spec_id`) leads from the address to the spec, which needs a process whose addresses
//! they are.
//!
//! A probe with a *semaphore* costs the program something even to offer, so it looks at a counter first
//! whether anybody listens; the kernel counts for us.

use std::path::Path;
use std::{fmt, fs};

use super::exe::{CodeFile, Exe};
use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::remedy::Remedy;
use super::uprobe::{self, About};
use super::uprobe_multi::{self, Site};
use super::{AttachError, Link, Undo, refusal};
use crate::kernel::{Feature, Kernel};
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::{Errno, SysError};
use crate::uapi::{AttachType, ProgType};

mod arg;
mod note;
mod spec;

use note::Probe;
use spec::Specs;

/// A USDT probe. Linux 4.20; a process has to be named before 5.15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usdt {
    /// A path, or the name of a library or of a program in `$PATH`; `ARCHIVE!/ENTRY` for a library in a ZIP file.
    pub file: String,
    /// The group that the probe belongs to.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Only in this process.
    pub pid: Option<u32>,
    /// What the program gets by `bpf_usdt_cookie`.
    pub cookie: u64,
}

impl Usdt {
    /// `FILE:PROVIDER:NAME`
    pub(super) fn parse(text: &str) -> Option<Usdt> {
        let (rest, name) = text.rsplit_once(':')?;
        let (file, provider) = rest.rsplit_once(':')?;
        if [file, provider, name].iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(Usdt { file: file.into(), provider: provider.into(), name: name.into(), pid: None, cookie: 0 })
    }
}

impl fmt::Display for Usdt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usdt/{}:{}:{}", self.file, self.provider, self.name)?;
        self.pid.map_or(Ok(()), |pid| write!(f, " in process {pid}"))
    }
}

/// What the kernel must have been configured with.
const OPTIONS: &[&str] = &["UPROBES", "UPROBE_EVENTS", "BPF_EVENTS"];

impl HookKind for Usdt {
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

impl FromSection for Usdt {
    const OBJECT: &'static str = "file and probe";
    const SYNTAX: &'static str = "write usdt/FILE:PROVIDER:NAME";

    fn from_section(name: &SectionName<'_>) -> Result<Usdt, String> {
        Usdt::parse(name.rest).ok_or_else(|| Self::SYNTAX.into())
    }
}

/// Attaches a program to all places of a probe.
pub(super) fn attach(kernel: &Kernel, program: &Program, usdt: &Usdt) -> Result<Link, AttachError> {
    refusal::check_type(program, "USDT", ProgType::Kprobe)?;
    let hook = usdt.to_string();
    let about = About { program, hook: &hook };
    let code = about.file(&usdt.file, usdt.pid)?;
    let exe = about.open(&code)?;
    let probes = probes(&about, &code, &exe, usdt)?;
    let refused = |source| explain(kernel, program, usdt, source);
    let mut specs = Specs::of(program).map_err(|why| unsupported(&about, why))?;
    let mut sites = Vec::new();
    let mut notes = Vec::new();
    for probe in &probes {
        let (arguments, unread) = arg::parse_all(&probe.arguments);
        notes.extend(unread);
        let id = specs.add(&arguments, usdt.cookie, &mut notes).map_err(refused)?;
        sites.push(Site {
            offset: probe.offset,
            ref_ctr_offset: probe.semaphore,
            cookie: id.into(),
            name: format!("{}:{} at {:#x}", usdt.provider, usdt.name, probe.offset),
        });
    }
    let link = match kernel.has(Feature::AttachCookie).allows() {
        true => with_cookies(program, &code.path, usdt, &sites).map_err(refused)?.and_then(specs),
        false => by_address(&about, &code.path, &exe, usdt, &probes, &sites, specs)?,
    };
    notes.sort();
    notes.dedup();
    Ok(if notes.is_empty() { link } else { link.noting(notes.join("; ")) })
}

/// All probes of a file.
pub(super) fn all(exe: &Exe) -> Result<Vec<Probe>, super::exe::ExeError> {
    note::read(exe)
}

fn unsupported(about: &About<'_>, why: String) -> AttachError {
    AttachError::Unsupported {
        program: about.program.name().into(),
        hook: about.hook.into(),
        why,
        remedy: None,
    }
}

/// The places of the probe.
fn probes(about: &About<'_>, code: &CodeFile, exe: &Exe, usdt: &Usdt) -> Result<Vec<Probe>, AttachError> {
    if !exe.is_64() || exe.endian() != crate::bytes::Endian::NATIVE {
        return Err(about.bad_file(code, "is for another kind of machine than this kernel's own"));
    }
    let all = note::read(exe).map_err(|e| about.bad_file(code, e))?;
    let is_meant = |p: &&Probe| p.provider == usdt.provider && p.name == usdt.name;
    let found: Vec<Probe> = all.iter().filter(is_meant).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let wanted = format!("{}:{}", usdt.provider, usdt.name);
    let names: Vec<String> = all.iter().map(|p| format!("{}:{}", p.provider, p.name)).collect();
    let near = match names.is_empty() {
        true => format!(" in {code}, which has none"),
        false => format!(" in {code}{}", nearest(&wanted, names.iter().map(String::as_str))),
    };
    Err(AttachError::NotFound {
        program: about.program.name().into(),
        hook: about.hook.into(),
        what: "USDT probe",
        name: wanted,
        near,
    })
}

/// One link if the program was loaded for that (Linux 6.6), else an event for each place.
fn with_cookies(program: &Program, path: &Path, usdt: &Usdt, sites: &[Site]) -> Result<Link, SysError> {
    let multi = AttachType::TraceUprobeMulti;
    // What kind it was loaded as is not known of a program that others loaded.
    if [multi, AttachType::default()].contains(&program.attach_type()) {
        let made = uprobe_multi::link(program, path, usdt.pid, multi, false, sites);
        match made {
            Err(e) if e.errno == Errno::EINVAL && program.attach_type() != multi => {}
            other => return other.map(Link::new),
        }
    }
    let places: Vec<_> = sites.iter().map(|s| (s.offset, s.ref_ctr_offset, s.cookie)).collect();
    uprobe::attach_places(program, path, usdt.pid, &places)
}

/// Without cookies: the program looks up the address that it was called at.
fn by_address(
    about: &About<'_>,
    path: &Path,
    exe: &Exe,
    usdt: &Usdt,
    probes: &[Probe],
    sites: &[Site],
    mut specs: Specs,
) -> Result<Link, AttachError> {
    let refused = |source| AttachError::Refused {
        program: about.program.name().into(),
        hook: about.hook.into(),
        source,
        why: String::new(),
        remedy: None,
    };
    for (probe, site) in probes.iter().zip(sites) {
        let address = match (exe.is_dynamic(), usdt.pid) {
            (false, _) => Some(probe.address),
            (true, Some(pid)) => mapped_at(pid, path, site.offset),
            (true, None) => {
                let why = "this kernel has no cookies (Linux 5.15), so that the addresses of a position-independent \
                           program are only known in a process";
                return Err(unsupported(about, why.into()).with(Some(Remedy::NameProcess)));
            }
        };
        let missing = || unsupported(about, format!("the process has not mapped {}", path.display()));
        specs.note_address(address.ok_or_else(missing)?, site.cookie as u32).map_err(refused)?;
    }
    let places: Vec<_> = sites.iter().map(|s| (s.offset, s.ref_ctr_offset, 0)).collect();
    let link = uprobe::attach_places(about.program, path, usdt.pid, &places).map_err(refused)?;
    Ok(link.and_then(specs))
}

/// Where a process has mapped a byte of a file, as code.
fn mapped_at(pid: u32, path: &Path, offset: u64) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).ok()?.ino().to_string();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        // START-END PERMISSIONS OFFSET DEVICE INODE PATH
        let words: Vec<&str> = line.split_whitespace().collect();
        let [range, permissions, start, _, inode, ..] = words.as_slice() else { return None };
        let (low, high) = range.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let (low, high, start) = (number(low)?, number(high)?, number(start)?);
        let at = offset.checked_sub(start)?.checked_add(low)?;
        (permissions.contains('x') && *inode == file && at < high).then_some(at)
    })
}

/// A program that has no such map cannot read arguments.
fn find_map(maps: &[Map], name: &str) -> Option<usize> {
    // The kernel keeps 15 letters of a name; the full one is known by BTF.
    let short = name.get(..15).unwrap_or(name);
    maps.iter().position(|map| map.name() == name || map.name() == short)
}

impl Undo for Specs {
    fn undo(&mut self) -> Result<(), SysError> {
        self.release()
    }

    fn keep(&mut self) {
        self.forget();
    }
}

fn explain(kernel: &Kernel, program: &Program, usdt: &Usdt, source: SysError) -> AttachError {
    let guess = match source.errno {
        Errno::E2BIG => "the map of argument places is full; compile with a larger BPF_USDT_MAX_SPEC_CNT",
        Errno::ESRCH => "the process is gone",
        Errno::EINVAL if program.attach_type() == AttachType::TraceUprobeMulti => {
            "the kernel refuses a place of the probe, or its semaphore"
        }
        _ => "",
    };
    refusal::refused_because(kernel, program, usdt, source, OPTIONS, guess)
}
