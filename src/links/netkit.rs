//! netkit: a virtual wire made for BPF, as the two ends of a container's network.
//!
//! A veth pair passes packets by itself, and programs are hung on its ends. A netkit pair passes them *through* the
//! programs: each end has a list of programs that sees what leaves it, before it even enters the other network
//! namespace. Both lists are managed from the primary end, so that whoever sits in the container with the peer end
//! cannot touch them.
//!
//! ```text
//!   host                              container
//!   nk0 (primary) ══════════════════ eth0 (peer)
//!    └ netkit/primary: leaving nk0     └ netkit/peer: leaving eth0; attached through nk0 as well
//! ```

use std::fmt;

use super::hook_kind::{HookKind, call_by};
use super::interface::Interface;
use super::mprog::List;
use super::order::{Order, Via};
use super::refusal::{Attempt, Needs};
use super::{AttachError, Link, xdp};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::Errno;
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs = &[("netkit", "an interface has to be named")];

/// Where a netkit program is to run. Linux 6.7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netkit {
    /// Name of the primary device.
    pub interface: String,
    /// Which end's packets.
    pub end: NetkitEnd,
    /// Where in the list.
    pub order: Order,
    /// By a link or without.
    pub via: Via,
    /// Id of a program, attached there without a link, to take the place of.
    pub replace: Option<u32>,
}

/// An end of a netkit pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetkitEnd {
    /// Packets that leave the primary device.
    Primary,
    /// Packets that leave its peer.
    Peer,
}

impl Netkit {
    /// At the end of the list, by a link.
    pub fn new(interface: impl Into<String>, end: NetkitEnd) -> Netkit {
        let order = Order::default();
        Netkit { interface: interface.into(), end, order, via: Via::Auto, replace: None }
    }
}

impl NetkitEnd {
    /// The attach type.
    pub fn attach_type(self) -> AttachType {
        match self {
            NetkitEnd::Primary => AttachType::NetkitPrimary,
            NetkitEnd::Peer => AttachType::NetkitPeer,
        }
    }
}

impl fmt::Display for NetkitEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetkitEnd::Primary => "primary",
            NetkitEnd::Peer => "peer",
        })
    }
}

static NEEDS: Needs =
    Needs { what: "netkit", since: Release(6, 7, 0), config: "CONFIG_NETKIT", caps: &[Cap::NetAdmin] };

impl HookKind for Netkit {
    fn words(&self) -> String {
        format!("netkit {} of {}", self.end, self.interface)
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        call_by(self.via)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("target_ifindex", format!("index of {}", self.interface)),
            ("attach_type", format!("{:?}", self.end.attach_type())),
        ]
    }
}

/// Attaches a netkit program.
pub(super) fn attach(program: &Program, netkit: &Netkit) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("netkit {} of {}", netkit.end, netkit.interface));
    attempt.wants("netkit", ProgType::SchedCls)?;
    let interface = xdp::find(&netkit.interface)?;
    let list = List {
        ifindex: interface.index,
        attach_type: netkit.end.attach_type(),
        order: &netkit.order,
        via: netkit.via,
        replace: netkit.replace,
        needs: &NEEDS,
    };
    list.attach(&attempt).map_err(|e| explain(&attempt, &interface, e))
}

/// Two refusals are netkit's own: the interface is something else, or it is the wrong end.
fn explain(attempt: &Attempt<'_>, interface: &Interface, e: AttachError) -> AttachError {
    let AttachError::Refused { source, .. } = &e else { return e };
    match source.errno {
        Errno::ENXIO => {
            attempt.wrong(format!("{} is {}, not a netkit device", interface.name, kind(interface)))
        }
        Errno::EACCES if interface.kind == "netkit" => attempt.wrong(format!(
            "{} is the peer end of its pair; programs of both ends are attached through the primary one",
            interface.name
        )),
        _ => e,
    }
}

/// What kind of interface it is, with its article.
fn kind(interface: &Interface) -> String {
    match interface.kind.as_str() {
        "" if interface.index == 1 => "the loopback device".into(),
        "" => "a real device".into(),
        kind => format!("a {kind}"),
    }
}
