//! kprobe.multi: one program at the entry or the return of any number of kernel functions, by one link.
//!
//! A kprobe for each of 5,000 functions takes minutes to attach. This takes a moment, as the kernel patches
//! all of them at once through its function tracer, and only functions that can be traced so are possible:
//! those in `/sys/kernel/tracing/available_filter_functions`.
//!
//! A *session* runs the program at the entry, and at the return if it said 0 at the entry.

use std::ffi::CString;
use std::fmt;

use super::functions::{self, Traceable};
use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::{AttachError, Link, SkippedFunction, kprobe, refusal};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::attr::{Fd, KprobePlaces, LinkCreate, LinkExtra, StrPtr};
use crate::sys::{self, Errno, LinkFd, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// Functions of the kernel to probe together. Linux 5.18; sessions 6.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KprobeMulti {
    /// Which.
    pub functions: Functions,
    /// Where in them.
    pub kind: MultiKind,
    /// What the program gets by `bpf_get_attach_cookie`: none, one for all functions, or one for each in the
    /// order of a list of names or addresses.
    pub cookies: Vec<u64>,
}

/// Which functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Functions {
    /// All traceable functions whose name matches `[MODULE:]PATTERN`, in which `*` stands for any letters and
    /// `?` for one. Those that the kernel keeps probes off are left out: see
    /// [`Link::skipped`](super::Link::skipped).
    Pattern(String),
    /// These, by name. The order does not matter, but for cookies.
    Names(Vec<String>),
    /// These, by address.
    Addresses(Vec<u64>),
}

/// Where in each function the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiKind {
    /// At the entry.
    #[default]
    Entry,
    /// At the return.
    Exit,
    /// At both.
    Session,
}

impl MultiKind {
    pub(super) fn of_section(name: &SectionName<'_>) -> MultiKind {
        match name.is_exit() {
            _ if name.base.contains(".session") => MultiKind::Session,
            true => MultiKind::Exit,
            false => MultiKind::Entry,
        }
    }
}

impl fmt::Display for KprobeMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            MultiKind::Entry => "kprobe.multi/",
            MultiKind::Exit => "kretprobe.multi/",
            MultiKind::Session => "kprobe.session/",
        })?;
        match &self.functions {
            Functions::Pattern(pattern) => f.write_str(pattern),
            Functions::Names(names) => write!(f, "({} functions)", names.len()),
            Functions::Addresses(addresses) => write!(f, "({} addresses)", addresses.len()),
        }
    }
}

/// What the kernel must have been configured with.
const OPTIONS: &[&str] = &["KPROBES", "FPROBE", "BPF_EVENTS"];

impl HookKind for KprobeMulti {
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
}

impl FromSection for KprobeMulti {
    const SYNTAX: &'static str = "write kprobe.multi/PATTERN, with * and ?";

    fn from_section(name: &SectionName<'_>) -> Result<KprobeMulti, String> {
        let functions = Functions::Pattern(name.rest.into());
        Ok(KprobeMulti { functions, kind: MultiKind::of_section(name), cookies: Vec::new() })
    }
}

/// Attaches a program to many functions.
pub(super) fn attach(kernel: &Kernel, program: &Program, multi: &KprobeMulti) -> Result<Link, AttachError> {
    refusal::check_type(program, "kprobe.multi", ProgType::Kprobe)?;
    let refused = |source| explain(kernel, program, multi, source);
    let each = match &multi.functions {
        // A single name: the kernel finds it faster than we do.
        Functions::Pattern(name) if !functions::is_pattern(name) && !name.contains(':') => {
            let link = by_names(program, multi, &[(name, cookie(multi, 0))]).map_err(refused)?;
            return Ok(Link::new(link));
        }
        Functions::Pattern(pattern) => return by_pattern(kernel, program, multi, pattern),
        Functions::Names(names) => {
            let items: Vec<_> =
                names.iter().enumerate().map(|(i, n)| (n.as_str(), cookie(multi, i))).collect();
            let attach = |some: &[(&str, u64)]| by_names(program, multi, some);
            functions::attach_most(&items, |(name, _)| (*name).to_string(), attach)
        }
        Functions::Addresses(addresses) => {
            let items: Vec<_> = addresses.iter().enumerate().map(|(i, a)| (*a, cookie(multi, i))).collect();
            let attach = |some: &[(u64, u64)]| by_addresses(program, multi, some);
            functions::attach_most(&items, |(address, _)| format!("{address:#x}"), attach)
        }
    };
    let (link, skipped) = each.map_err(refused)?;
    Ok(Link::new(link).skipping(skipped))
}

fn by_pattern(
    kernel: &Kernel,
    program: &Program,
    multi: &KprobeMulti,
    pattern: &str,
) -> Result<Link, AttachError> {
    let refused = |source| explain(kernel, program, multi, source);
    let (name, hook) = (|| program.name().to_string(), || multi.to_string());
    let Some(found) = functions::traceable(kernel, pattern) else {
        let why = refusal::unconfigured(kernel, OPTIONS)
            .or_else(|| refusal::permission(Errno::EPERM))
            .unwrap_or_else(|| super::tracefs::NOT_MOUNTED.into());
        return Err(AttachError::Unsupported { program: name(), hook: hook(), why, remedy: None });
    };
    let (kept_off, found): (Vec<Traceable>, Vec<Traceable>) = {
        let list = kprobe::blacklist();
        found.into_iter().partition(|f| list.contains(&f.name))
    };
    if found.is_empty() {
        let what = "traceable kernel function";
        let near = " (see /sys/kernel/tracing/available_filter_functions)".into();
        return Err(AttachError::NotFound {
            program: name(),
            hook: hook(),
            what,
            name: pattern.into(),
            near,
        });
    }
    let attach = |some: &[Traceable]| {
        let items: Vec<_> = some.iter().map(|f| (f.address, cookie(multi, 0))).collect();
        by_addresses(program, multi, &items)
    };
    let (link, mut skipped) = functions::attach_most(&found, |f| f.name.clone(), attach).map_err(refused)?;
    let why = "the kernel keeps probes off it";
    skipped.extend(kept_off.into_iter().map(|f| SkippedFunction { name: f.name, why: why.into() }));
    Ok(Link::new(link).skipping(skipped))
}

/// The cookie of the n-th function.
fn cookie(multi: &KprobeMulti, n: usize) -> u64 {
    match multi.cookies.as_slice() {
        [one] => *one,
        each => each.get(n).copied().unwrap_or(0),
    }
}

fn by_names(program: &Program, multi: &KprobeMulti, items: &[(&str, u64)]) -> Result<LinkFd, SysError> {
    let nul = |_| SysError::other("attach to a function", Errno::ENOENT);
    let names: Vec<CString> =
        items.iter().map(|(name, _)| CString::new(*name).map_err(nul)).collect::<Result<_, _>>()?;
    let pointers: Vec<StrPtr<'_>> = names.iter().map(|name| StrPtr::to(name)).collect();
    let cookies: Vec<u64> = items.iter().map(|(_, cookie)| *cookie).collect();
    create(program, multi, KprobePlaces::Names(&pointers), &cookies)
}

fn by_addresses(program: &Program, multi: &KprobeMulti, items: &[(u64, u64)]) -> Result<LinkFd, SysError> {
    let (addresses, cookies): (Vec<u64>, Vec<u64>) = items.iter().copied().unzip();
    create(program, multi, KprobePlaces::Addresses(&addresses), &cookies)
}

fn create<'a>(
    program: &'a Program,
    multi: &KprobeMulti,
    places: KprobePlaces<'a>,
    cookies: &'a [u64],
) -> Result<LinkFd, SysError> {
    /// `BPF_F_KPROBE_MULTI_RETURN`
    const RETURN: u32 = 1;
    let flags = if multi.kind == MultiKind::Exit { RETURN } else { 0 };
    let cookies = if multi.cookies.is_empty() { &[] } else { cookies };
    let attach_type = match multi.kind {
        MultiKind::Session => AttachType::TraceKprobeSession,
        _ => AttachType::TraceKprobeMulti,
    };
    let extra = LinkExtra::kprobe_multi(flags, places, cookies);
    let extra = extra.ok_or(SysError::other("a cookie for each function", Errno::EINVAL))?;
    sys::link_create(&LinkCreate { prog_fd: Fd::of(program), attach_type, extra, ..Default::default() })
}

fn explain(kernel: &Kernel, program: &Program, multi: &KprobeMulti, source: SysError) -> AttachError {
    let name = match &multi.functions {
        Functions::Pattern(name) if !functions::is_pattern(name) => Some(name),
        _ => None,
    };
    let unknown = matches!(source.errno, Errno::ESRCH | Errno::ENOENT | Errno::EINVAL);
    if let Some(name) = name.filter(|_| unknown) {
        let symbols = kernel.symbols();
        if !symbols.is_empty() && symbols.named(name).next().is_none() {
            let code = symbols.all().filter(|s| "tT".contains(s.kind)).map(|s| s.name);
            return AttachError::NotFound {
                program: program.name().into(),
                hook: multi.to_string(),
                what: "kernel function",
                name: name.clone(),
                near: nearest(name, code),
            };
        }
    }
    let wanted = match multi.kind {
        MultiKind::Session => AttachType::TraceKprobeSession,
        _ => AttachType::TraceKprobeMulti,
    };
    let loaded_for = program.attach_type();
    let too_old = [(Release(5, 18, 0), "probes of many functions"), (Release(6, 10, 0), "sessions")];
    let needed = if multi.kind == MultiKind::Session { &too_old[..] } else { &too_old[..1] };
    let invalid = source.errno == Errno::EINVAL;
    if let Some((since, what)) = needed.iter().find(|(since, _)| invalid && kernel.release() < *since) {
        let why = format!(
            "{what} came with Linux {}.{}, and this kernel is {}",
            since.0,
            since.1,
            kernel.release()
        );
        return AttachError::Unsupported {
            program: program.name().into(),
            hook: multi.to_string(),
            why,
            remedy: None,
        };
    }
    let guess = match source.errno {
        Errno::EINVAL if loaded_for != wanted && loaded_for != AttachType::default() => {
            "the program was loaded for another hook; load it as `kprobe.multi` or `kprobe.session`"
        }
        Errno::ESRCH | Errno::ENOENT | Errno::EINVAL if name.is_some() => {
            "the function tracer cannot patch this function; a plain kprobe may do"
        }
        _ => "",
    };
    refusal::refused_because(kernel, program, multi, source, OPTIONS, guess)
}
