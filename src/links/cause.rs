//! Why the kernel refuses to attach: from an error number to a sentence.
//!
//! The number alone says little: `EPERM` may mean a missing capability or another program's flags, `EINVAL` a kernel
//! that is too old or an order that makes no sense. So after a refusal the machine is asked what it is: which
//! capabilities this thread has, which release this is and how it was configured, who stands at the hook.

use super::AttachError;
use super::info::{self, Hook, LinkInfo};
use super::why;
use crate::kernel::policy::{Cap, Policy};
use crate::kernel::{Kernel, release_text};
use crate::progs::{ProgInfo, Program};
use crate::sys::SysError;
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
        why::check_type(self.program, hook, wanted)
    }

    /// Another program is in the way.
    pub(super) fn taken(&self, holder: String, advice: impl Into<String>) -> AttachError {
        AttachError::Taken {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            holder,
            advice: advice.into(),
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
        }
    }

    /// This kernel cannot.
    pub(super) fn unsupported(&self, why: impl Into<String>) -> AttachError {
        AttachError::Unsupported {
            program: self.program.name().into(),
            hook: self.hook.clone(),
            why: why.into(),
        }
    }

    /// The kernel refused; `why` is a sentence, or empty.
    pub(super) fn refused(&self, source: SysError, why: impl Into<String>) -> AttachError {
        let why = why.into();
        let why = if why.is_empty() { why } else { format!(": {why}") };
        AttachError::Refused { program: self.program.name().into(), hook: self.hook.clone(), source, why }
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
