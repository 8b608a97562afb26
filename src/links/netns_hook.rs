//! Programs of a whole network namespace: the flow dissector, and socket lookup.
//!
//! * The *flow dissector* finds addresses and ports in a packet, for hashing. A program replaces the kernel's own, one
//!   a namespace, and none if the first namespace has one: that one then serves all.
//! * *Socket lookup* (`sk_lookup`) decides which socket a new connection goes to, before the kernel looks at the
//!   sockets' own addresses. Up to 64 programs a namespace, in the order in which they were attached.
//!
//! Both are attached to a descriptor of the namespace, and need not be in it.

use std::os::fd::AsFd;

use super::direct::{Direct, How, Spot};
use super::hook_kind::{HookKind, call_by};
use super::netns::{Home, NetNs, OpenNetNs};
use super::order::Via;
use super::refusal::{Attempt, Needs, describe_program};
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, TargetFd};
use crate::sys::{self, Errno, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs = &[
    ("sk_lookup", "a network namespace has to be named"),
    ("flow_dissector", "a network namespace has to be named"),
];

/// The network namespace whose packets or connections a program is to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetnsHook {
    /// Which.
    pub netns: NetNs,
    /// By a link or without; only a flow dissector can do without.
    pub via: Via,
}

/// The hook for a program of this type.
pub(super) fn attach_type(prog_type: ProgType) -> Option<AttachType> {
    match prog_type {
        ProgType::FlowDissector => Some(AttachType::FlowDissector),
        ProgType::SkLookup => Some(AttachType::SkLookup),
        _ => None,
    }
}

static FLOW_DISSECTOR: Needs = Needs {
    what: "a link for the flow dissector",
    since: Release(5, 8, 0),
    config: "",
    caps: &[Cap::NetAdmin],
};
static SK_LOOKUP: Needs =
    Needs { what: "socket lookup by a program", since: Release(5, 9, 0), config: "", caps: &[Cap::NetAdmin] };

impl HookKind for NetnsHook {
    fn words(&self) -> String {
        format!("network namespace {}", self.netns)
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        call_by(self.via)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("target_fd", format!("network namespace {}", self.netns))]
    }
}

/// Attaches a flow dissector or a socket lookup program.
pub(super) fn attach(program: &Program, target: &NetnsHook) -> Result<Link, AttachError> {
    let Some(attach_type) = attach_type(program.prog_type()) else {
        let attempt = Attempt::new(program, format!("network namespace {}", target.netns));
        return Err(attempt
            .wants("network namespace", ProgType::SkLookup)
            .err()
            .unwrap_or_else(|| attempt.wrong("")));
    };
    let attempt = Attempt::new(program, format!("{attach_type} of network namespace {}", target.netns));
    let needs = if attach_type == AttachType::SkLookup { &SK_LOOKUP } else { &FLOW_DISSECTOR };
    let netns = target.netns.open().map_err(|e| {
        let mut why = e.to_string();
        if let Some(source) = std::error::Error::source(&e) {
            why = format!("{why}: {source}");
        }
        attempt.missing(why)
    })?;
    if target.via == Via::Direct {
        if attach_type == AttachType::SkLookup {
            return Err(attempt.wrong("socket lookup programs are attached by links only"));
        }
        return direct(program, attach_type, netns).map_err(|e| explain(&attempt, needs, None, e));
    }
    let linked = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        target_fd: TargetFd::of(&netns),
        attach_type,
        ..Default::default()
    });
    match linked {
        Ok(fd) => Ok(Link::new(fd)),
        // A kernel without such links; or something else is wrong, and then the old call fails as well.
        Err(e) if e.errno == Errno::EINVAL && target.via == Via::Auto => {
            direct(program, attach_type, netns).map_err(|_| explain(&attempt, needs, None, e))
        }
        Err(e) => {
            let holder = standing(&netns, attach_type);
            Err(explain(&attempt, needs, holder, e))
        }
    }
}

fn direct(program: &Program, attach_type: AttachType, netns: OpenNetNs) -> Result<Link, SysError> {
    Direct::attach(program, Spot::Netns(Home::of(netns)), attach_type, How::default(), None)
}

/// What stands there, in a few words.
fn standing(netns: &OpenNetNs, attach_type: AttachType) -> Option<String> {
    let found = sys::prog_query(TargetFd::of(&netns.as_fd()), attach_type, 0).ok()?;
    let list: Vec<String> =
        found.programs.iter().map(|p| format!("program {}", describe_program(p.prog_id))).collect();
    (!list.is_empty()).then(|| list.join(", "))
}

fn explain(attempt: &Attempt<'_>, needs: &Needs, holder: Option<String>, e: SysError) -> AttachError {
    match (e.errno, holder) {
        (Errno::E2BIG, Some(holder)) => attempt.taken(holder, "; no more fit"),
        (Errno::EEXIST | Errno::EBUSY, Some(holder)) => {
            attempt.taken(holder, " without a link; detach it first (`bpftool prog detach`)")
        }
        (Errno::EEXIST, None) => attempt.taken(
            "a program of another network namespace".into(),
            "; a flow dissector of the first namespace serves all others, and excludes theirs",
        ),
        _ => attempt.explain(e, needs),
    }
}
