//! kprobes: a program at any instruction of the kernel, or at the return of any function.
//!
//! ```text
//!   kprobe/tcp_connect         entry           ctx: struct pt_regs, arguments by PT_REGS_PARM1 ...
//!   kretprobe/tcp_connect      return          ctx: struct pt_regs, result by PT_REGS_RC
//!   kprobe/tcp_connect+0x12    in between      must be where an instruction begins
//!   kprobe/nf_tables:nft_do_chain              a function of a module
//!   kprobe/0xffffffff81234560                  an address, for names that several functions have
//! ```
//!
//! The kernel is asked for the plain name first. Only if it refuses is the list of symbols read, to find
//! the address of an ambiguous name, or the name that was meant.
//!
//! A *ksyscall* is a kprobe on the function that implements a system call, whose name depends on the
//! architecture: `__x64_sys_openat` here, `__arm64_sys_openat` there.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::{fmt, fs};

use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::tracefs::{self, WrittenProbe};
use super::{AttachError, Link, perf_link, refusal};
use crate::kernel::{Kernel, Symbol};
use crate::progs::Program;
use crate::sys::{self, Errno, PerfAttr, Sampling, SysError, perf_type};
use crate::uapi::ProgType;

/// A kernel function to probe. Linux 4.1; `Cookie`s since 5.15.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kprobe {
    /// `FUNCTION`, `MODULE:FUNCTION`, or `0xADDRESS`.
    pub function: String,
    /// Bytes from its start; 0 for a return.
    pub offset: u64,
    /// At the return, not at the entry.
    pub exit: bool,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 5.15.
    pub cookie: u64,
    /// How the probe is made.
    pub via: ProbeVia,
}

/// How a kprobe or uprobe is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeVia {
    /// By `perf_event_open` where the kernel can (Linux 4.17), else through tracefs.
    #[default]
    Auto,
    /// By a line in tracefs's `kprobe_events` or `uprobe_events`. It is visible there, under the group
    /// `rawbpf`, and stays behind if this process is killed; [`left_probes`](super::left_probes) finds it then.
    Tracefs,
}

/// A system call to probe, by its name without prefix: `openat`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ksyscall {
    /// Its name.
    pub name: String,
    /// At the return, not at the entry.
    pub exit: bool,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 5.15.
    pub cookie: u64,
}

impl Kprobe {
    /// The entry of a function.
    pub fn entry(function: &str) -> Kprobe {
        Kprobe { function: function.into(), ..Kprobe::default() }
    }

    /// The return of a function.
    pub fn exit(function: &str) -> Kprobe {
        Kprobe { exit: true, ..Kprobe::entry(function) }
    }

    /// `[MODULE:]FUNCTION[+OFFSET]`
    pub(super) fn parse(text: &str, exit: bool) -> Result<Kprobe, String> {
        let (function, offset) = match text.split_once('+') {
            None => (text, 0),
            Some((function, offset)) => {
                let value = number(offset).ok_or_else(|| format!("the offset `{offset}` is not a number"))?;
                (function, value)
            }
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "_.:$".contains(c);
        if function.contains(['*', '?']) {
            let kind = if exit { "kretprobe" } else { "kprobe" };
            return Err(format!("`{function}` is a pattern; write {kind}.multi/{function}"));
        }
        if function.ends_with(':') || function.starts_with(':') {
            return Err(format!("`{function}` lacks the module or the function; write MODULE:FUNCTION"));
        }
        if function.is_empty() || !function.chars().all(known) {
            return Err(format!("`{function}` cannot be the name of a function"));
        }
        if exit && offset != 0 {
            return Err("a return has no offset".into());
        }
        Ok(Kprobe { function: function.into(), offset, exit, ..Kprobe::default() })
    }

    /// The module and the function.
    fn parts(&self) -> (Option<&str>, &str) {
        match self.function.split_once(':') {
            Some((module, function)) => (Some(module), function),
            None => (None, &self.function),
        }
    }
}

/// A number as in C: decimal, `0x` hexadecimal, or octal with a leading zero.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Kprobe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exit { "kretprobe" } else { "kprobe" };
        write!(f, "{kind}/{}", self.function)?;
        if self.offset == 0 { Ok(()) } else { write!(f, "+{:#x}", self.offset) }
    }
}

impl fmt::Display for Ksyscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exit { "kretsyscall" } else { "ksyscall" };
        write!(f, "{kind}/{}", self.name)
    }
}

/// What the kernel must have been configured with.
const OPTIONS: &[&str] = &["KPROBES", "KPROBE_EVENTS", "BPF_EVENTS"];

impl HookKind for Kprobe {
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
}

impl FromSection for Kprobe {
    const SYNTAX: &'static str = "write kprobe/[MODULE:]FUNCTION[+OFFSET]";

    fn from_section(name: &SectionName<'_>) -> Result<Kprobe, String> {
        Kprobe::parse(name.rest, name.is_exit())
    }
}

/// Attaches a program to a function of the kernel.
pub(super) fn attach(kernel: &Kernel, program: &Program, probe: &Kprobe) -> Result<Link, AttachError> {
    refusal::check_type(program, "kprobe", ProgType::Kprobe)?;
    let refused = |source| explain(kernel, program, probe, source);
    if probe.via == ProbeVia::Tracefs || pmu("kprobe").is_none() {
        let Some(root) = tracefs::root() else {
            let options = refusal::unconfigured(kernel, OPTIONS);
            let why = options.unwrap_or_else(|| tracefs::NOT_MOUNTED.into());
            let (program, hook) = (program.name().into(), probe.to_string());
            return Err(AttachError::Unsupported { program, hook, why, remedy: None });
        };
        return written(program, probe, &root).map_err(refused);
    }
    let (event, note) = match address(probe) {
        Some(address) => (open_at(probe, address).map_err(refused)?, None),
        None => match open(probe, &probe.function) {
            Ok(event) => (event, None),
            Err(e) => by_address(kernel, probe).ok_or(e).map_err(refused)?,
        },
    };
    let link = perf_link::attach(program, vec![event], probe.cookie).map_err(refused)?;
    Ok(match note {
        Some(note) => link.noting(note),
        None => link,
    })
}

impl HookKind for Ksyscall {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach_syscall(kernel, program, self)
    }

    fn set_cookie(&mut self, cookie: u64) -> bool {
        self.cookie = cookie;
        true
    }
}

impl FromSection for Ksyscall {
    const OBJECT: &'static str = "system call";
    const SYNTAX: &'static str = "write ksyscall/NAME";

    fn from_section(name: &SectionName<'_>) -> Result<Ksyscall, String> {
        Ok(Ksyscall { name: name.rest.into(), exit: name.is_exit(), cookie: 0 })
    }
}

/// Attaches a program to a system call.
pub(super) fn attach_syscall(
    kernel: &Kernel,
    program: &Program,
    call: &Ksyscall,
) -> Result<Link, AttachError> {
    refusal::check_type(program, "ksyscall", ProgType::Kprobe)?;
    let base = Kprobe { exit: call.exit, cookie: call.cookie, ..Kprobe::default() };
    let names = || SYSCALL_PREFIXES.iter().map(|prefix| format!("{prefix}{}", call.name));
    if pmu("kprobe").is_none() {
        let function = names().next().unwrap_or_default();
        return attach(kernel, program, &Kprobe { function, ..base });
    }
    for name in names() {
        let refused =
            |source| explain(kernel, program, &Kprobe { function: name.clone(), ..base.clone() }, source);
        match open(&base, &name) {
            Ok(event) => return perf_link::attach(program, vec![event], call.cookie).map_err(refused),
            Err(e) if e.errno == Errno::ENOENT => {}
            Err(e) => return Err(refused(e)),
        }
    }
    let of = |prefix: &'static str| move |s: Symbol<'_>| s.name.strip_prefix(prefix).map(String::from);
    let symbols = kernel.symbols().all();
    let known: Vec<String> =
        SYSCALL_PREFIXES.iter().flat_map(|prefix| symbols.clone().filter_map(of(prefix))).collect();
    Err(AttachError::NotFound {
        program: program.name().into(),
        hook: call.to_string(),
        what: "system call",
        name: call.name.clone(),
        near: nearest(&call.name, known.iter().map(String::as_str)),
    })
}

/// How the functions behind system calls are called: wrapped ones (Linux 4.17) by architecture, then
/// those that take their arguments as they are.
const SYSCALL_PREFIXES: &[&str] = &[
    #[cfg(target_arch = "x86_64")]
    "__x64_sys_",
    #[cfg(target_arch = "x86")]
    "__ia32_sys_",
    #[cfg(target_arch = "aarch64")]
    "__arm64_sys_",
    #[cfg(target_arch = "s390x")]
    "__s390x_sys_",
    #[cfg(target_arch = "riscv64")]
    "__riscv_sys_",
    "__se_sys_",
    "sys_",
];

/// The numbers of a dynamic event source: its type, and the bit of `config` that means "at the return".
pub(super) fn pmu(name: &str) -> Option<(u32, u64)> {
    let dir = format!("/sys/bus/event_source/devices/{name}");
    let kind = fs::read_to_string(format!("{dir}/type")).ok()?.trim().parse().ok()?;
    let format = fs::read_to_string(format!("{dir}/format/retprobe")).unwrap_or_default();
    let bit: u32 = format.trim().strip_prefix("config:").and_then(|bit| bit.parse().ok()).unwrap_or(0);
    Some((kind, 1u64.checked_shl(bit)?))
}

/// A kprobe sees all processes, so one CPU stands for all.
fn perf_open(event: &PerfAttr<'_>) -> Result<OwnedFd, SysError> {
    sys::perf_event_open(event, -1, 0)
}

fn source(probe: &Kprobe) -> Result<(u32, u64), SysError> {
    let (kind, exit) = pmu("kprobe").ok_or(SysError::other("perf_event_open", Errno::ENOENT))?;
    Ok((kind, if probe.exit { exit } else { 0 }))
}

fn open(probe: &Kprobe, function: &str) -> Result<OwnedFd, SysError> {
    let name = CString::new(function).map_err(|_| SysError::other("perf_event_open", Errno::EINVAL))?;
    let (kind, config) = source(probe)?;
    perf_open(&PerfAttr::probe(kind, config, &name, probe.offset))
}

fn open_at(probe: &Kprobe, address: u64) -> Result<OwnedFd, SysError> {
    let (kind, config) = source(probe)?;
    perf_open(&PerfAttr::probe_at(kind, config, address.wrapping_add(probe.offset)))
}

/// The address, if that is what was given.
fn address(probe: &Kprobe) -> Option<u64> {
    probe.function.starts_with("0x").then(|| number(&probe.function)).flatten()
}

/// The functions that a probe may mean, by address.
fn candidates<'k>(kernel: &'k Kernel, probe: &'k Kprobe) -> Vec<Symbol<'k>> {
    let (module, name) = probe.parts();
    let is_meant = |s: &Symbol<'_>| {
        s.address != 0 && "tTwW".contains(s.kind) && module.is_none_or(|m| s.module.unwrap_or("vmlinux") == m)
    };
    let mut out: Vec<Symbol<'_>> = kernel.symbols().named(name).filter(is_meant).collect();
    out.sort_by_key(|s| s.address);
    out
}

/// Opens the function by its address: one of a module, or the first of several that have the name.
fn by_address(kernel: &Kernel, probe: &Kprobe) -> Option<(OwnedFd, Option<String>)> {
    let all = candidates(kernel, probe);
    let first = all.first()?;
    if all.len() == 1 && probe.parts().0.is_none() {
        return None; // the kernel has found the same one, and refuses it
    }
    let event = open_at(probe, first.address).ok()?;
    let note = (all.len() > 1).then(|| {
        let list = all.iter().map(|s| format!("{:#x}", s.address)).collect::<Vec<_>>().join(", ");
        format!(
            "{} functions are called {}: attached to the one at {:#x}; name another by its address ({list})",
            all.len(),
            probe.parts().1,
            first.address
        )
    });
    Some((event, note))
}

/// The probe as a line in tracefs.
fn written(program: &Program, probe: &Kprobe, root: &std::path::Path) -> Result<Link, SysError> {
    let place = match probe.offset {
        0 => probe.function.clone(),
        offset => format!("{}+{offset:#x}", probe.function),
    };
    let made = WrittenProbe::create(root, "kprobe_events", probe.exit, &place)?;
    attach_written(program, made, root, -1, probe.cookie)
}

/// Puts a program behind a probe in tracefs, which goes when the program is detached, or if it cannot be
/// attached.
pub(super) fn attach_written(
    program: &Program,
    mut probe: WrittenProbe,
    root: &std::path::Path,
    pid: i32,
    cookie: u64,
) -> Result<Link, SysError> {
    use super::Undo as _;
    let attached = probe.id(root).and_then(|id| {
        let event = PerfAttr::counter(perf_type::TRACEPOINT, id, Sampling::Period(1));
        let event = sys::perf_event_open(&event, pid, if pid == -1 { 0 } else { -1 })?;
        perf_link::attach(program, vec![event], cookie)
    });
    match attached {
        Ok(link) => Ok(link.and_then(probe)),
        Err(e) => {
            let _ = probe.undo();
            Err(e)
        }
    }
}

/// Turns the kernel's number into its reason.
fn explain(kernel: &Kernel, program: &Program, probe: &Kprobe, source: SysError) -> AttachError {
    let (module, name) = probe.parts();
    let symbols = kernel.symbols();
    let missing = !symbols.is_empty() && address(probe).is_none() && candidates(kernel, probe).is_empty();
    let hidden = symbols.hidden() && symbols.named(name).next().is_some();
    if missing && !hidden && !source.errno.is_permission() {
        let near = match module {
            None if name.len() > 8 && u64::from_str_radix(name, 16).is_ok() => {
                format!("; an address is written 0x{name}")
            }
            Some(m) if m != "vmlinux" && !symbols.all().any(|s| s.module == Some(m)) => {
                format!("; module `{m}` is not loaded")
            }
            _ => nearest(name, symbols.all().filter(|s| "tT".contains(s.kind)).map(|s| s.name)),
        };
        let (program, hook) = (program.name().into(), probe.to_string());
        return AttachError::NotFound {
            program,
            hook,
            what: "kernel function",
            name: probe.function.clone(),
            near,
        };
    }
    let guess = match source.errno {
        Errno::EINVAL if blacklist().contains(name) => {
            "the kernel keeps probes off this function, as it is part of how probes work (/sys/kernel/debug/kprobes/blacklist)"
        }
        Errno::ENOENT | Errno::EINVAL if address(probe).is_some() => {
            "no function of the kernel is there, or the kernel keeps probes off it"
        }
        Errno::EINVAL | Errno::EILSEQ if probe.offset != 0 || address(probe).is_some() => {
            "no instruction begins at this offset, or it is outside of the function"
        }
        Errno::EINVAL if probe.cookie != 0 => "cookies came with Linux 5.15",
        Errno::EOPNOTSUPP if probe.cookie != 0 => "cookies came with Linux 5.15",
        Errno::EADDRNOTAVAIL => {
            "several functions have this name, and their addresses are hidden from this process (kernel.kptr_restrict)"
        }
        _ => "",
    };
    refusal::refused_because(kernel, program, probe, source, OPTIONS, guess)
}

/// The functions that the kernel's own list keeps probes off. Empty if it cannot be read.
pub(super) fn blacklist() -> HashSet<String> {
    let list = fs::read_to_string("/sys/kernel/debug/kprobes/blacklist").unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().nth(1)).map(String::from).collect()
}
