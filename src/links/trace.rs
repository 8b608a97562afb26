//! Programs that were bound to their hook when they were loaded, by the kernel's types: `fentry`, `fexit`,
//! `fmod_ret`, `fsession`, `tp_btf`, LSM, and `freplace`.
//!
//! The verifier knows the function's arguments, so the program reads them as they are, typed. To attach it
//! nothing more has to be said; only a replacement (`freplace`) can be put into another program than the
//! one it was loaded for, if that has a function of the same type.
//!
//! Up to Linux 5.14 these were attached by the command for raw tracepoints, without a name.

use std::fmt;

use super::hook_kind::HookKind;
use super::{AttachError, Link, refusal};
use crate::btf::BtfKind;
use crate::kernel::Kernel;
use crate::progs::{ProgInfo, Program, loaded_btf};
use crate::sys::attr::{Fd, LinkCreate, LinkExtra, TargetFd};
use crate::sys::{self, Errno, LinkFd, ProgFd, SysError};
use crate::uapi::{AttachType, ProgType};

/// How to attach what is bound already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// What the program gets by `bpf_get_attach_cookie`: fentry and its kin, since Linux 6.0.
    pub cookie: u64,
    /// For `freplace`: another program than the one it was loaded for, by id, and the function in it. Linux 5.10.
    pub into: Option<(u32, String)>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.into {
            Some((id, function)) => write!(f, "function `{function}` of program {id}"),
            None => f.write_str("the function that it was loaded for"),
        }
    }
}

impl HookKind for Trace {
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

/// Attaches a program to what it was loaded for.
pub(super) fn attach(kernel: &Kernel, program: &Program, trace: &Trace) -> Result<Link, AttachError> {
    if !matches!(program.prog_type(), ProgType::Tracing | ProgType::Lsm | ProgType::Ext) {
        refusal::check_type(program, "tracing", ProgType::Tracing)?;
    }
    let made = match &trace.into {
        Some((id, function)) => into(program, *id, function, trace.cookie),
        None => create(program, trace.cookie),
    };
    made.map(Link::new).map_err(|source| explain(kernel, program, trace, source))
}

fn create(program: &Program, cookie: u64) -> Result<LinkFd, SysError> {
    let made = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        attach_type: program.attach_type(),
        extra: LinkExtra::tracing(0, cookie),
        ..Default::default()
    });
    match made {
        Err(e) if e.errno == Errno::EINVAL && cookie == 0 => {
            // The answer of the newer command is the better one if both fail, but for a kernel that has
            // only the older.
            sys::raw_tracepoint_open(None, program, 0)
                .map_err(|old| if old.errno == Errno::EINVAL { e } else { old })
        }
        other => other,
    }
}

/// Puts a replacement into another program.
fn into(program: &Program, id: u32, function: &str, cookie: u64) -> Result<LinkFd, SysError> {
    let none = SysError::other("find the function by the program's types", Errno::ENOENT);
    let target = ProgFd::by_id(id)?;
    let btf = loaded_btf(ProgInfo::of(&target)?.btf_id).ok_or(none)?;
    let function = btf.find(function, BtfKind::Func).map_err(|_| none)?;
    sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        target_fd: TargetFd::of(&target),
        attach_type: program.attach_type(),
        extra: LinkExtra::tracing(function.0, cookie),
        ..Default::default()
    })
}

fn explain(kernel: &Kernel, program: &Program, trace: &Trace, source: SysError) -> AttachError {
    let hook = match program.section() {
        _ if trace.into.is_some() => trace.to_string(),
        "" => trace.to_string(),
        section => section.to_string(),
    };
    let lsm = program.prog_type() == ProgType::Lsm;
    let options: &[&str] = match program.prog_type() {
        ProgType::Lsm => &["BPF_LSM"],
        ProgType::Tracing if program.attach_type() != AttachType::TraceRawTp => {
            &["BPF_EVENTS", "FUNCTION_TRACER"]
        }
        _ => &[],
    };
    let guess = match source.errno {
        Errno::EINVAL if trace.cookie != 0 => "cookies of these programs came with Linux 6.0",
        Errno::EBUSY if lsm => "the hook has as many programs as it can take (38)",
        Errno::EBUSY | Errno::E2BIG => "another program is there, or as many as the function can take (38)",
        Errno::ENOTSUPP | Errno::EOPNOTSUPP | Errno::ENOMEM if !is_jit_on() => {
            "it needs the JIT compiler, which is off: sysctl net.core.bpf_jit_enable=1"
        }
        Errno::ENOENT => "what it was loaded for is gone",
        _ => "",
    };
    refusal::refused_because(kernel, program, hook, source, options, guess)
}

fn is_jit_on() -> bool {
    std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").map_or(true, |text| text.trim() != "0")
}
