//! Why the kernel refuses to attach: from an error number to a sentence. What all hooks share; what a number means at one
//! hook alone stands in that hook's file.
//!
//! The number alone says little: `EPERM` may mean a missing capability, another program's flags, lockdown or
//! `perf_event_paranoid`; `EINVAL` a kernel that is too old or an order that makes no sense. So after a refusal, and only
//! then, the machine is asked what it is: which capabilities this thread has, which release this is and how it was
//! configured, what is mounted, who stands at the hook.

use super::AttachError;
use super::info::{self, Hook, LinkInfo};
use crate::kernel::policy::{Cap, Policy};
use crate::kernel::{Kernel, release_text};
use crate::progs::{ProgInfo, Program};
use crate::sys::{Errno, SysError};
use crate::uapi::{ProgType, Release};

/// A program, and the hook that it was to be attached to: what every refusal names.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) program: &'a Program,
    pub(super) hook: String,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(program: &'a Program, hook: impl Into<String>) -> Attempt<'a> {
        Attempt { program, hook: hook.into() }
    }

    /// The program has to be of this type.
    pub(super) fn wants(&self, hook: &'static str, wanted: ProgType) -> Result<(), AttachError> {
        check_type(self.program, hook, wanted)
    }

    /// Another program is in the way.
    pub(super) fn taken(&self, holder: String, advice: impl Into<String>) -> AttachError {
        AttachError::Taken {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            holder,
            advice: advice.into(),
            remedy: None,
        }
    }

    /// What was named does not exist.
    pub(super) fn missing(&self, why: impl Into<String>) -> AttachError {
        AttachError::NoTarget {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            why: why.into(),
        }
    }

    /// What was named is of the wrong kind, or the wish makes no sense.
    pub(super) fn wrong(&self, why: impl Into<String>) -> AttachError {
        AttachError::WrongTarget {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            why: why.into(),
            remedy: None,
        }
    }

    /// This kernel cannot.
    pub(super) fn unsupported(&self, why: impl Into<String>) -> AttachError {
        AttachError::Unsupported {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            why: why.into(),
            remedy: None,
        }
    }

    /// The kernel refused; `why` is a sentence, or empty.
    pub(super) fn refused(&self, source: SysError, why: impl Into<String>) -> AttachError {
        let why = why.into();
        let why = if why.is_empty() { why } else { format!(": {why}") };
        AttachError::Refused {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            source,
            why,
            remedy: None,
        }
    }

    /// What can be said of any refusal: a capability that is missing, a kernel that is too old or was built without;
    /// else the number as it is.
    pub(super) fn explain(&self, source: SysError, needs: &Needs) -> AttachError {
        if source.errno.is_permission() {
            if let Some(missing) = lacking(needs.caps) {
                let (program, hook) = (self.program.name().into(), self.hook.clone());
                return AttachError::NotPermitted { program, hook, missing, source };
            }
        } else if let Some(why) = needs.unmet() {
            return self.unsupported(why);
        }
        self.refused(source, "")
    }
}

/// What a way of attaching needs of the kernel and of the caller.
#[derive(Debug)]
pub(super) struct Needs {
    /// What it is called.
    pub(super) what: &'static str,
    /// The first release.
    pub(super) since: Release,
    /// The option it was built with; empty if it is always there.
    pub(super) config: &'static str,
    /// The capabilities.
    pub(super) caps: &'static [Cap],
}

impl Needs {
    /// Which need of the kernel's is not met, as a sentence; `None` if all are, as far as is known.
    pub(super) fn unmet(&self) -> Option<String> {
        let kernel = Kernel::host();
        if kernel.release() < self.since {
            let Release(major, minor, _) = self.since;
            return Some(format!(
                "{} came with Linux {major}.{minor}, and this kernel is {}",
                self.what,
                release_text()
            ));
        }
        let config = kernel.kconfig();
        if !self.config.is_empty() && config.lacks(self.config) {
            return Some(format!("this kernel ({}) was built without {}", release_text(), self.config));
        }
        None
    }
}

/// Those of `caps` that this thread has not, as `CAP_X and CAP_Y`. `CAP_SYS_ADMIN` stands for `CAP_BPF`.
pub(super) fn lacking(caps: &[Cap]) -> Option<String> {
    let policy = Policy::here();
    let has = |cap: Cap| policy.has_itself(cap) || cap == Cap::Bpf && policy.has_itself(Cap::SysAdmin);
    let missing: Vec<&str> = caps.iter().filter(|cap| !has(**cap)).map(|cap| cap.name()).collect();
    (!missing.is_empty()).then(|| missing.join(" and "))
}

/// `` `count_packets` (id 12)``, as far as it can be found out.
pub(super) fn describe_program(id: u32) -> String {
    let info = ProgInfo::by_id(id);
    match info {
        Ok(info) if !info.name.is_empty() => format!("`{}` (id {id})", info.name),
        _ => format!("with id {id}"),
    }
}

/// The first link of the machine that stands at this hook: link id and program id.
pub(super) fn link_at(wanted: impl Fn(&Hook) -> bool) -> Option<LinkInfo> {
    info::list().unwrap_or_default().into_iter().find(|l| wanted(&l.hook))
}

/// The error for a hook that the kernel refused, with the cause as far as the machine tells it.
/// `options`: what the kernel must have been configured with.
pub(super) fn refused(
    kernel: &Kernel,
    program: &Program,
    hook: impl ToString,
    source: SysError,
    options: &[&str],
) -> AttachError {
    refused_because(kernel, program, hook, source, options, "")
}

/// As [`refused`], with a cause to name if no better one is found.
pub(super) fn refused_because(
    kernel: &Kernel,
    program: &Program,
    hook: impl ToString,
    source: SysError,
    options: &[&str],
    guess: &str,
) -> AttachError {
    let (program, hook) = (program.name().to_string(), hook.to_string());
    if let Some(why) = unconfigured(kernel, options).filter(|_| !source.errno.is_permission()) {
        return AttachError::Unsupported { program, hook, why, remedy: None };
    }
    let cause = permission(source.errno).unwrap_or_else(|| guess.into());
    let why = if cause.is_empty() { cause } else { format!(": {cause}") };
    AttachError::Refused { program, hook, source, why, remedy: None }
}

/// What forbids it, if the number says that something does.
pub(super) fn permission(errno: Errno) -> Option<String> {
    if !errno.is_permission() {
        return None;
    }
    let policy = Policy::here();
    if let Some(mode) = policy.locked_down() {
        return Some(format!(
            "the kernel is locked down ({mode}), which forbids this kind of tracing even to root; see /sys/kernel/security/lockdown"
        ));
    }
    if !policy.has(Cap::Perfmon) {
        let paranoid = match policy.perf_event_paranoid {
            None => String::new(),
            Some(level) => format!(" (kernel.perf_event_paranoid is {level})"),
        };
        return Some(format!(
            "this process has neither CAP_PERFMON nor CAP_SYS_ADMIN, which tracing needs{paranoid}"
        ));
    }
    None
}

/// The options that the kernel was built without, as a sentence; `None` if it has all, or if nothing is
/// known about its configuration.
pub(super) fn unconfigured(kernel: &Kernel, options: &[&str]) -> Option<String> {
    let config = kernel.kconfig();
    let missing: Vec<String> =
        options.iter().map(|o| format!("CONFIG_{o}")).filter(|option| config.lacks(option)).collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!("this kernel was built without {}", missing.join(", ")))
}

/// Programs of another type cannot be attached.
pub(super) fn check_type(program: &Program, hook: &'static str, wanted: ProgType) -> Result<(), AttachError> {
    let found = program.prog_type();
    if found == wanted {
        return Ok(());
    }
    Err(AttachError::WrongType { program: program.name().into(), found, hook, wanted })
}
