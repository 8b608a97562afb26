//! Tracepoints: places that kernel developers chose and named, such as `sched/sched_switch`.
//!
//! The program gets the event's record, whose fields `/sys/kernel/tracing/events/CATEGORY/NAME/format`
//! lists. A [raw tracepoint](super::RawTracepoint) is the same place without the record being made.

use std::fmt;

use super::hook_kind::{FromSection, HookKind, SectionName};
use super::nearest::nearest;
use super::{AttachError, Link, perf_link, refusal, tracefs};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::{self, Errno, PerfAttr, Sampling, SysError, perf_type};
use crate::uapi::ProgType;

/// A tracepoint. Linux 4.7.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracepoint {
    /// Directory under `events`: `syscalls`.
    pub category: String,
    /// `sys_enter_openat`.
    pub name: String,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 5.15.
    pub cookie: u64,
}

impl fmt::Display for Tracepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tracepoint/{}/{}", self.category, self.name)
    }
}

impl HookKind for Tracepoint {
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

impl FromSection for Tracepoint {
    const OBJECT: &'static str = "tracepoint";
    const SYNTAX: &'static str = "write tracepoint/CATEGORY/NAME";

    fn from_section(name: &SectionName<'_>) -> Result<Tracepoint, String> {
        match name.rest.split_once('/') {
            Some((category, name)) if !category.is_empty() && !name.is_empty() => {
                Ok(Tracepoint { category: category.into(), name: name.into(), cookie: 0 })
            }
            _ => Err(Self::SYNTAX.into()),
        }
    }
}

/// Attaches a program to a tracepoint.
pub(super) fn attach(kernel: &Kernel, program: &Program, point: &Tracepoint) -> Result<Link, AttachError> {
    refusal::check_type(program, "tracepoint", ProgType::Tracepoint)?;
    let lost = |why: String| AttachError::Unsupported {
        program: program.name().into(),
        hook: point.to_string(),
        why,
        remedy: None,
    };
    let Some(root) = tracefs::root() else {
        let options = refusal::unconfigured(kernel, &["TRACING", "BPF_EVENTS"]);
        // A kernel that is locked down shows an empty directory.
        let cause = options.or_else(|| refusal::permission(Errno::EPERM));
        return Err(lost(cause.unwrap_or_else(|| tracefs::NOT_MOUNTED.into())));
    };
    let refused = |source: SysError| match source.errno {
        Errno::ENOENT => AttachError::NotFound {
            program: program.name().into(),
            hook: point.to_string(),
            what: "tracepoint",
            name: format!("{}/{}", point.category, point.name),
            near: near(&root, point),
        },
        _ => {
            let old = if point.cookie != 0 { "cookies came with Linux 5.15" } else { "" };
            refusal::refused_because(kernel, program, point, source, &["TRACING", "BPF_EVENTS"], old)
        }
    };
    let id = tracefs::event_id(&root, &point.category, &point.name).map_err(refused)?;
    // A tracepoint sees all processes, so one CPU stands for all.
    let event = PerfAttr::counter(perf_type::TRACEPOINT, id, Sampling::Period(1));
    let event = sys::perf_event_open(&event, -1, 0).map_err(refused)?;
    perf_link::attach(program, vec![event], point.cookie).map_err(refused)
}

/// What else is there: in the same category, or, if there is no such category, which there are.
fn near(root: &std::path::Path, point: &Tracepoint) -> String {
    let events = tracefs::list(root, &point.category);
    if events.is_empty() {
        let categories = tracefs::list(root, "");
        let near = nearest(&point.category, categories.iter().map(String::as_str));
        return format!("; there is no category `{}`{near}", point.category);
    }
    nearest(&point.name, events.iter().map(String::as_str))
}
