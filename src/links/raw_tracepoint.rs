//! Raw tracepoints: the arguments of a tracepoint as the kernel passes them, without a record being made.
//!
//! The program gets an array of u64, one for each argument of the tracepoint's `TP_PROTO`. Nothing of perf
//! or tracefs is needed.

use std::ffi::CString;
use std::fmt;

use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::{AttachError, Link, refusal, tracefs};
use crate::btf::{BtfKind, KindSet};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::{self, Errno, SysError};
use crate::uapi::{AttachType, ProgType};

/// A raw tracepoint. Linux 4.17.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawTracepoint {
    /// Its name, without a category: `sched_switch`.
    pub name: String,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 6.10.
    pub cookie: u64,
}

impl fmt::Display for RawTracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw_tracepoint/{}", self.name)
    }
}

impl HookKind for RawTracepoint {
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

impl FromSection for RawTracepoint {
    const OBJECT: &'static str = "tracepoint";
    const SYNTAX: &'static str = "write raw_tracepoint/NAME";

    fn from_section(name: &SectionName<'_>) -> Result<RawTracepoint, String> {
        Ok(RawTracepoint { name: name.rest.into(), cookie: 0 })
    }
}

/// Attaches a program to a raw tracepoint.
pub(super) fn attach(kernel: &Kernel, program: &Program, point: &RawTracepoint) -> Result<Link, AttachError> {
    if program.prog_type() != ProgType::RawTracepointWritable {
        refusal::check_type(program, "raw tracepoint", ProgType::RawTracepoint)?;
    }
    let refused = |source: SysError| explain(kernel, program, point, source);
    let name = CString::new(point.name.as_str())
        .map_err(|_| refused(SysError::other("open a raw tracepoint", Errno::ENOENT)))?;
    sys::raw_tracepoint_open(Some(&name), program, point.cookie).map(Link::new).map_err(refused)
}

fn explain(kernel: &Kernel, program: &Program, point: &RawTracepoint, source: SysError) -> AttachError {
    if source.errno == Errno::ENOENT {
        return AttachError::NotFound {
            program: program.name().into(),
            hook: point.to_string(),
            what: "tracepoint",
            name: point.name.clone(),
            near: near(kernel, &point.name),
        };
    }
    let guess = match source.errno {
        Errno::EEXIST => "this program is attached there already, and this kernel takes a program once",
        Errno::E2BIG | Errno::EINVAL if point.cookie != 0 => {
            "cookies of raw tracepoints came with Linux 6.10"
        }
        Errno::EINVAL if program.attach_type() != AttachType::default() => "the program is of another kind",
        Errno::EINVAL => "the program reads or writes more arguments than this tracepoint has",
        _ => "",
    };
    refusal::refused_because(kernel, program, point, source, &["TRACEPOINTS", "BPF_EVENTS"], guess)
}

/// The names that are near, from the kernel's types, or from tracefs.
fn near(kernel: &Kernel, name: &str) -> String {
    let mut names = Vec::new();
    if let Ok(btf) = kernel.btf() {
        let typedefs = KindSet::of(&[BtfKind::Typedef]);
        let all = btf.iter().flatten().filter(|ty| typedefs.contains(ty.tag()));
        names.extend(all.filter_map(|ty| ty.name.to_str().strip_prefix("btf_trace_").map(String::from)));
    } else if let Some(root) = tracefs::root() {
        names.extend(tracefs::list(&root, "").iter().flat_map(|category| tracefs::list(&root, category)));
    }
    nearest(name, names.iter().map(String::as_str))
}
