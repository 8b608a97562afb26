//! tc: a program that sees each packet of an interface with all that the kernel knows of it, coming in or going out.
//!
//! There are two ways. Since Linux 6.6 an interface has a list of programs for each direction (*tcx*), and a program
//! stands in it by a link. Before that a program is a *filter* on a queueing discipline made for the purpose,
//! `clsact`, and is put there over netlink: no link, no owner, and it stays until it is taken away.
//!
//! ```text
//!            packet in ──► XDP ──► tcx ingress: a, b, c ──► clsact ingress filters ──► the stack
//!   the wire ◄── driver ◄── qdisc ◄── clsact egress filters ◄── tcx egress: d ◄── the stack
//! ```
//!
//! A program may be written for both ways: `TC_ACT_*` and `TCX_*` verdicts have the same numbers.

use std::fmt;

use super::hook_kind::{HookKind, call_by};
use super::mprog::List;
use super::order::{Order, Via};
use super::refusal::{Attempt, Needs};
use super::{AttachError, Link, clsact, xdp};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs =
    &[("tc", "an interface has to be named"), ("classifier", "an interface has to be named")];

/// Where a tc program is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tc {
    /// Name of the interface.
    pub interface: String,
    /// Which packets.
    pub direction: Direction,
    /// tcx or clsact.
    pub hook: TcHook,
    /// Where in the list, or among the filters.
    pub order: Order,
    /// By a link or without; without one, always, with clsact.
    pub via: Via,
    /// Id of a program, attached there without a link, to take the place of.
    pub replace: Option<u32>,
}

/// Coming in or going out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Packets that the interface receives.
    Ingress,
    /// Packets that it sends.
    Egress,
}

/// Which of the two tc hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TcHook {
    /// tcx if the kernel has it, else clsact.
    #[default]
    Auto,
    /// The list of programs; Linux 6.6.
    Tcx,
    /// A filter on the clsact qdisc; Linux 4.5, direct action 4.4.
    Clsact,
}

impl Tc {
    /// At the default place, by the best way that the kernel has.
    pub fn new(interface: impl Into<String>, direction: Direction) -> Tc {
        Tc {
            interface: interface.into(),
            direction,
            hook: TcHook::Auto,
            order: Order::default(),
            via: Via::Auto,
            replace: None,
        }
    }
}

impl Direction {
    /// The attach type of tcx.
    pub fn attach_type(self) -> AttachType {
        match self {
            Direction::Ingress => AttachType::TcxIngress,
            Direction::Egress => AttachType::TcxEgress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
    }
}

/// What tcx needs.
pub(super) static TCX: Needs =
    Needs { what: "tcx", since: Release(6, 6, 0), config: "CONFIG_NET_XGRESS", caps: &[Cap::NetAdmin] };

impl HookKind for Tc {
    fn words(&self) -> String {
        format!("tc {} of {}", self.direction, self.interface)
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        if self.hook == TcHook::Clsact { "RTM_NEWTFILTER" } else { call_by(self.via) }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut out = vec![
            ("target_ifindex", format!("index of {}", self.interface)),
            ("attach_type", format!("{:?}", self.direction.attach_type())),
        ];
        if self.order != Order::default() {
            out.push(("tcx.order", self.order.place.to_string()));
        }
        out
    }
}

/// Attaches a tc program.
pub(super) fn attach(program: &Program, tc: &Tc) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("tc {} of {}", tc.direction, tc.interface));
    attempt.wants("tc", ProgType::SchedCls)?;
    let interface = xdp::find(&tc.interface)?;
    if tc.hook == TcHook::Clsact {
        return clsact::attach(&attempt, tc, &interface);
    }
    let list = List {
        ifindex: interface.index,
        attach_type: tc.direction.attach_type(),
        order: &tc.order,
        via: tc.via,
        replace: tc.replace,
        needs: &TCX,
    };
    match list.attach(&attempt) {
        Err(AttachError::Unsupported { .. }) if tc.hook == TcHook::Auto && tc.via != Via::Link => {
            clsact::attach(&attempt, tc, &interface)
        }
        other => other,
    }
}
