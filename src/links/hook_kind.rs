//! What every kind of hook says of itself. Each says it in its own file, and `table` has a row for each.

use super::order::Via;
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::progs::Program;

/// A kind of hook.
pub(super) trait HookKind {
    /// The hook in a few words, such as `XDP on eth0`.
    fn words(&self) -> String;

    /// Attaches a program. A refusal has its reason.
    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError>;

    /// The call that attaches it, as far as it is known before it is made.
    fn call(&self) -> &'static str {
        "BPF_LINK_CREATE"
    }

    /// The fields of that call, by their UAPI names.
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("target", self.words())]
    }

    /// Takes a value that programs read by `bpf_get_attach_cookie`. False if the hook has no cookies.
    fn set_cookie(&mut self, _cookie: u64) -> bool {
        false
    }

    /// Limits the hook to one process. False if the hook cannot be limited.
    fn set_pid(&mut self, _pid: u32) -> bool {
        false
    }
}

/// The call for hooks that have both a link and the old call.
pub(super) fn call_by(via: Via) -> &'static str {
    if via == Via::Direct { "BPF_PROG_ATTACH" } else { "BPF_LINK_CREATE" }
}

/// A kind of hook that a section name can say.
pub(super) trait FromSection: Sized {
    /// What the section names: `function`, `tracepoint`.
    const OBJECT: &'static str = "function";

    /// How it is written, for those who wrote it otherwise.
    const SYNTAX: &'static str;

    /// Reads the name. The error says what is wrong with it.
    fn from_section(name: &SectionName<'_>) -> Result<Self, String>;
}

/// A section name: `kprobe/tcp_connect`.
#[derive(Debug, Clone, Copy)]
pub(super) struct SectionName<'s> {
    /// Before the slash: `kprobe`.
    pub(super) base: &'s str,
    /// Behind it: `tcp_connect`.
    pub(super) rest: &'s str,
}

impl SectionName<'_> {
    /// Whether it is about the return from a function.
    pub(super) fn is_exit(&self) -> bool {
        self.base.starts_with("kret") || self.base.starts_with("uret")
    }
}

/// How the section names of a hook begin that has to be named by other means, and what has to be named.
pub(super) type Needs = &'static [(&'static str, &'static str)];
