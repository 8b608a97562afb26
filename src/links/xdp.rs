//! XDP: a program that sees each packet as it comes in, before the kernel makes anything of it.
//!
//! One program an interface. It runs in one of three places, which is the *mode*: in the driver (native,
//! fast, only some drivers), in the network stack (generic, every interface), or in the card
//! (offloaded). A driver may refuse a program for reasons that it states only over netlink: an MTU whose
//! packets do not fit a page, receive offloads that are on, channels that are missing. So when the kernel says
//! no, the same question is put again over netlink, where the answer comes with a sentence.

use std::os::fd::{AsFd, AsRawFd};

use super::hook_kind::{HookKind, Needs};
use super::interface::{Interface, interfaces};
use super::refusal::{describe_program, lacking};
use super::remedy::Remedy;
use super::xdp_features::{XdpFeatures, features as xdp_features};
use super::xdp_mode::XdpMode;
use super::xdp_netlink::set;
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, TargetFd};
use crate::sys::netlink::Netlink;
use crate::sys::{self, Errno, SysError};
use crate::uapi::{AttachType, ProgType};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: Needs = &[
    ("xdp/", "it runs from a devmap or cpumap, whose elements name it"),
    ("xdp.frags/", "it runs from a devmap or cpumap, whose elements name it"),
    ("xdp", "an interface has to be named"),
];

/// Where an XDP program is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xdp {
    /// Name of the interface.
    pub interface: String,
    /// In the driver or in the stack.
    pub mode: XdpMode,
}

impl HookKind for Xdp {
    fn words(&self) -> String {
        format!("XDP on {}", self.interface)
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("target_ifindex", format!("index of {}", self.interface)),
            ("attach_type", format!("{:?}", AttachType::Xdp)),
            ("flags", format!("{:#x}", self.mode.flags())),
        ]
    }
}

/// Attaches an XDP program. Linux 5.9.
pub(super) fn attach(program: &Program, xdp: &Xdp) -> Result<Link, AttachError> {
    if program.prog_type() != ProgType::Xdp {
        return Err(AttachError::WrongType {
            program: program.name().into(),
            found: program.prog_type(),
            hook: "XDP",
            wanted: ProgType::Xdp,
        });
    }
    let interface = find(&xdp.interface)?;
    let refused = match create(program, interface.index, xdp.mode) {
        Ok(link) => return Ok(link),
        Err(e) => e,
    };
    // In mode auto a driver that has XDP but refuses this program leaves the stack to try.
    let taken = [Errno::EBUSY, Errno::EEXIST].contains(&refused.errno);
    if xdp.mode == XdpMode::Auto && !taken && !refused.errno.is_permission() {
        let why = ask_why(program, interface.index, XdpMode::Native.flags());
        if let Ok(link) = create(program, interface.index, XdpMode::Generic) {
            let why = if why.is_empty() { refused.errno.to_string() } else { why };
            return Ok(link.noting(format!(
                "{}: fell back to generic mode, the driver refuses: {why}",
                interface.name
            )));
        }
    }
    Err(explain(program, xdp, &interface, refused))
}

fn create(program: &Program, ifindex: u32, mode: XdpMode) -> Result<Link, SysError> {
    let fd = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        target_fd: TargetFd::ifindex(ifindex),
        attach_type: AttachType::Xdp,
        flags: mode.flags(),
        ..Default::default()
    })?;
    Ok(Link::new(fd))
}

/// The interface of this name, or an error that lists those that are there.
pub(super) fn find(name: &str) -> Result<Interface, AttachError> {
    let all = interfaces().map_err(|source| AttachError::Interfaces { name: name.into(), source })?;
    let known = all.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
    all.into_iter()
        .find(|i| i.is_called(name))
        .ok_or_else(|| AttachError::NoInterface { name: name.into(), known })
}

/// Turns the kernel's number into its reason.
fn explain(program: &Program, xdp: &Xdp, interface: &Interface, source: SysError) -> AttachError {
    let hook = format!("XDP on {}", interface.name);
    let name = program.name().to_string();
    let other = Interface::numbered(interface.index).ok().flatten().and_then(|i| i.xdp.first().copied());
    if let (Errno::EBUSY | Errno::EEXIST, Some((mode, id))) = (source.errno, other) {
        let holder = format!("program {}, in {} mode,", describe_program(id), mode.name());
        let (advice, remedy) = match source.errno {
            Errno::EEXIST => ("; native and generic XDP exclude each other on one interface", None),
            _ => ("", Some(Remedy::MakeRoom)),
        };
        return AttachError::Taken { program: name, hook, holder, advice: advice.into(), remedy };
    }
    if let (true, Some(missing)) = (source.errno.is_permission(), lacking(&[Cap::NetAdmin])) {
        return AttachError::NotPermitted { program: name, hook, missing, source };
    }
    let said = ask_why(program, interface.index, xdp.mode.flags());
    let (guess, remedy) = guess(xdp.mode, interface, source.errno);
    let why: Vec<String> = [said, guess].into_iter().filter(|w| !w.is_empty()).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    AttachError::Refused { program: name, hook, source, why, remedy }
}

/// What the number means here, and what to do; empty if that is not known.
fn guess(mode: XdpMode, interface: &Interface, errno: Errno) -> (String, Option<Remedy>) {
    /// A packet, its headroom and the kernel's bookkeeping have to fit a page of 4 KiB.
    const LARGEST: u32 = 3520;
    let name = &interface.name;
    match (mode, errno) {
        (XdpMode::Native, Errno::EOPNOTSUPP | Errno::ENOTSUPP)
            if xdp_features(interface.index).is_ok_and(|f| f.is_some_and(XdpFeatures::is_native)) =>
        {
            (String::new(), None)
        }
        (XdpMode::Native, Errno::EOPNOTSUPP | Errno::ENOTSUPP) => {
            (format!("the driver of {name} has no native XDP"), Some(Remedy::Mode(&[XdpMode::Generic])))
        }
        (XdpMode::Offloaded, Errno::EOPNOTSUPP | Errno::ENOTSUPP | Errno::EINVAL) => {
            let others = Remedy::Mode(&[XdpMode::Native, XdpMode::Generic]);
            (format!("the card behind {name} runs no programs"), Some(others))
        }
        _ if interface.mtu > LARGEST => {
            let why = format!(
                "its MTU is {}, and native XDP takes at most about {LARGEST} unless the program is in SEC(\"xdp.frags\")",
                interface.mtu
            );
            (why, Some(Remedy::LowerMtu(name.clone())))
        }
        _ => (String::new(), None),
    }
}

/// Asks again over netlink, where a refusal comes with a sentence. Should it be granted there, it is
/// taken back at once.
fn ask_why(program: &Program, ifindex: u32, flags: u32) -> String {
    /// `XDP_FLAGS_UPDATE_IF_NOEXIST`: never replaces a program.
    const IF_NOEXIST: u32 = 1;
    let Ok(mut netlink) = Netlink::route() else { return String::new() };
    let fd = program.as_fd().as_raw_fd();
    match set(&mut netlink, ifindex, fd, flags | IF_NOEXIST, None) {
        Ok(()) => {
            let _ = set(&mut netlink, ifindex, -1, flags, None);
            String::new()
        }
        Err(e) => e.message,
    }
}
