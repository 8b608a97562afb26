//! XDP without a link: over netlink, as it was before Linux 5.9.
//!
//! The program stays on the interface when the process ends, and whoever comes next can put another in its place. A
//! careful one says which program it expects to find there, and the kernel refuses if it is another by then.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::hook_kind::HookKind;
use super::interface::Interface;
use super::refusal::{Attempt, Needs, describe_program};
use super::xdp_mode::XdpMode;
use super::{AttachError, Link, Undo, xdp};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::netlink::{ACK, Message, Netlink, NetlinkError};
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::{ProgType, Release};

/// Where an XDP program is to run, without a link. Linux 4.8; `replace` 5.7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpNetlink {
    /// Name of the interface.
    pub interface: String,
    /// In the driver or in the stack.
    pub mode: XdpMode,
    /// Id of the program to take the place of; nothing may be there if not given.
    pub replace: Option<u32>,
}

impl XdpNetlink {
    /// On an interface that has no program.
    pub fn new(interface: impl Into<String>, mode: XdpMode) -> XdpNetlink {
        XdpNetlink { interface: interface.into(), mode, replace: None }
    }
}

/// `XDP_FLAGS_UPDATE_IF_NOEXIST`: never replaces a program.
const IF_NOEXIST: u32 = 1;
/// `XDP_FLAGS_REPLACE`: replaces only the program that is expected.
const REPLACE: u32 = 1 << 4;

static NEEDS: Needs =
    Needs { what: "XDP over netlink", since: Release(4, 8, 0), config: "", caps: &[Cap::NetAdmin] };

/// An XDP program that is on an interface without a link.
#[derive(Debug)]
pub(super) struct OurXdp {
    ifindex: u32,
    mode: XdpMode,
    held: Mutex<(Netlink, OwnedFd)>,
}

impl OurXdp {
    /// `netlink` was opened where the interface is: it stays in that network namespace.
    pub(super) fn new(netlink: Netlink, ifindex: u32, mode: XdpMode, program: OwnedFd) -> OurXdp {
        OurXdp { ifindex, mode, held: Mutex::new((netlink, program)) }
    }
}

impl HookKind for XdpNetlink {
    fn words(&self) -> String {
        format!("XDP on {}", self.interface)
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        "RTM_SETLINK"
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ifindex", format!("index of {}", self.interface)),
            ("IFLA_XDP_FLAGS", format!("{:#x}", self.mode.flags())),
        ]
    }
}

/// Attaches an XDP program without a link.
pub(super) fn attach(program: &Program, target: &XdpNetlink) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("XDP on {}", target.interface));
    attempt.wants("XDP", ProgType::Xdp)?;
    let interface = xdp::find(&target.interface)?;
    let fail = |e| attempt.explain(e, &NEEDS);
    let mut netlink = Netlink::route().map_err(fail)?;
    let copy = program.as_fd().try_clone_to_owned().map_err(|e| fail(SysError::other("fcntl", e)))?;
    let old = match target.replace {
        Some(id) => Some(sys::fd_by_id(ObjectKind::Prog, id).map_err(|e| match e.errno {
            Errno::ENOENT => attempt.missing(format!("there is no program {id} to replace")),
            _ => fail(e),
        })?),
        None => None,
    };
    let flags = target.mode.flags() | if old.is_some() { REPLACE } else { IF_NOEXIST };
    let fd = program.as_fd().as_raw_fd();
    match set(&mut netlink, interface.index, fd, flags, old.as_ref()) {
        Ok(()) => Ok(Link::undone_by(OurXdp::new(netlink, interface.index, target.mode, copy))),
        Err(e) => Err(explain(&attempt, target, interface.index, e)),
    }
}

fn explain(attempt: &Attempt<'_>, target: &XdpNetlink, ifindex: u32, e: NetlinkError) -> AttachError {
    let there = Interface::numbered(ifindex).ok().flatten().and_then(|i| i.xdp.first().copied());
    if let (Errno::EBUSY | Errno::EEXIST, Some((mode, id))) = (e.source.errno, there) {
        let advice = match target.replace {
            Some(expected) => format!("; program {expected} was expected"),
            None => "; say which program to replace, or unload it first".into(),
        };
        return attempt.taken(format!("program {}, in {} mode,", describe_program(id), mode.name()), advice);
    }
    if e.message.is_empty() {
        attempt.explain(e.source, &NEEDS)
    } else {
        attempt.refused(e.source, e.message)
    }
}

/// `RTM_SETLINK` with `IFLA_XDP`: fd -1 takes the program away. With `expected`, only if that one is there.
pub(super) fn set(
    netlink: &mut Netlink,
    ifindex: u32,
    fd: i32,
    flags: u32,
    expected: Option<&OwnedFd>,
) -> Result<(), NetlinkError> {
    const RTM_SETLINK: u16 = 19;
    const IFLA_XDP: u16 = 43;
    const IFLA_XDP_FD: u16 = 1;
    const IFLA_XDP_FLAGS: u16 = 3;
    const IFLA_XDP_EXPECTED_FD: u16 = 8;
    let head: Vec<u8> = [0, ifindex, 0, 0].iter().flat_map(|n: &u32| n.to_ne_bytes()).collect();
    let message = Message::new(RTM_SETLINK, ACK, &head).nest(IFLA_XDP, |xdp| {
        xdp.push(IFLA_XDP_FD, &fd.to_ne_bytes());
        xdp.push(IFLA_XDP_FLAGS, &flags.to_ne_bytes());
        if let Some(expected) = expected {
            xdp.push(IFLA_XDP_EXPECTED_FD, &expected.as_raw_fd().to_ne_bytes());
        }
    });
    netlink.request(message).map(drop)
}

impl Undo for OurXdp {
    fn undo(&mut self) -> Result<(), SysError> {
        let (netlink, program) = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let flags = self.mode.flags() | REPLACE;
        match set(netlink, self.ifindex, -1, flags, Some(program)).map_err(|e| e.source) {
            // Another program is there by now, or the interface is gone.
            Err(e) if [Errno::EEXIST, Errno::ENODEV].contains(&e.errno) => Ok(()),
            other => other,
        }
    }

    fn update(&self, program: &Program) -> Result<(), SysError> {
        let copy = program.as_fd().try_clone_to_owned().map_err(|e| SysError::other("fcntl", e))?;
        let flags = self.mode.flags() | REPLACE;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (netlink, now) = &mut *held;
        set(netlink, self.ifindex, copy.as_raw_fd(), flags, Some(now)).map_err(|e| e.source)?;
        *now = copy;
        Ok(())
    }
}
