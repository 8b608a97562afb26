//! Lightweight tunnels: programs that run for the packets of one route.
//!
//! A route may carry an *encapsulation*; one kind of it is a program. What it may do depends on where on the packet's
//! way it runs, and so on its type:
//!
//! ```text
//!   ip route add 10.9.0.0/16 encap bpf in|out|xmit PROGRAM dev eth0
//!     lwt_in    packets that arrived and take this route       may look, may drop
//!     lwt_out   packets that this machine sends by it          may look, may drop
//!     lwt_xmit  just before the device                         may rewrite and redirect too
//!     lwt_seg6local   IPv6 segment routing, action End.BPF
//! ```
//!
//! The attachment is the route itself: to detach is to remove it.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use super::hook_kind::HookKind;
use super::refusal::{Attempt, Needs};
use super::{AttachError, Link, Undo, xdp};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::netlink::{ACK, DUMP, Message, Netlink, NetlinkError, attributes, number};
use crate::sys::{Errno, SysError};
use crate::uapi::{ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs = &[("lwt", "a route has to be named")];

/// The route whose packets a program is to see, in the main table of the current network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpAddr,
    /// How many bits of it count.
    pub prefix: u8,
    /// Through which interface.
    pub interface: String,
    /// By way of this neighbour.
    pub gateway: Option<IpAddr>,
    /// Bytes that an `lwt_xmit` program may put in front of a packet; 256 at most.
    pub headroom: u32,
}

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const ENCAP_BPF: u16 = 6;
const ENCAP_SEG6_LOCAL: u16 = 7;
const LWT_BPF_PROG_FD: u16 = 1;
const LWT_BPF_PROG_NAME: u16 = 2;
const LWT_BPF_XMIT_HEADROOM: u16 = 4;
const SEG6_LOCAL_BPF: u16 = 8;
/// `NLM_F_CREATE | NLM_F_EXCL`
const CREATE: u16 = 0x600;
/// `NLM_F_CREATE | NLM_F_REPLACE`
const REPLACE: u16 = 0x500;
const NESTED: u16 = 1 << 15;

/// The attribute of the encapsulation for each type of program.
fn direction(prog_type: ProgType) -> Option<u16> {
    match prog_type {
        ProgType::LwtIn => Some(1),
        ProgType::LwtOut => Some(2),
        ProgType::LwtXmit => Some(3),
        _ => None,
    }
}

impl Route {
    /// `struct rtmsg`, and the attributes that name the route.
    fn message(&self, kind: u16, flags: u16, ifindex: u32) -> Message {
        const MAIN_TABLE: u8 = 254;
        const PROTO_STATIC: u8 = 4;
        const SCOPE_GLOBAL: u8 = 0;
        const SCOPE_LINK: u8 = 253;
        const UNICAST: u8 = 1;
        let scope =
            if self.gateway.is_none() && self.destination.is_ipv4() { SCOPE_LINK } else { SCOPE_GLOBAL };
        let family = if self.destination.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
        let mut head = vec![family, self.prefix, 0, 0, MAIN_TABLE, PROTO_STATIC, scope, UNICAST];
        head.extend([0; 4]);
        let mut message = Message::new(kind, flags, &head)
            .attr(RTA_DST, &octets(self.destination))
            .attr(RTA_OIF, &ifindex.to_ne_bytes());
        if let Some(gateway) = self.gateway {
            message.push(RTA_GATEWAY, &octets(gateway));
        }
        message
    }

    /// The encapsulation that is the program.
    fn encapsulated(&self, mut message: Message, program: &Program) -> Message {
        let fd = program.as_fd().as_raw_fd() as u32;
        let name = [marked(program).as_bytes(), &[0]].concat();
        match direction(program.prog_type()) {
            Some(direction) => {
                message.push(RTA_ENCAP_TYPE, &ENCAP_BPF.to_ne_bytes());
                message.nest(RTA_ENCAP, |encap| {
                    let inner = nest(&[(LWT_BPF_PROG_FD, &fd.to_ne_bytes()), (LWT_BPF_PROG_NAME, &name)]);
                    encap.push(direction | NESTED, &inner);
                    if self.headroom != 0 {
                        encap.push(LWT_BPF_XMIT_HEADROOM, &self.headroom.to_ne_bytes());
                    }
                })
            }
            None => {
                const ACTION: u16 = 1;
                const END_BPF: u32 = 15;
                message.push(RTA_ENCAP_TYPE, &ENCAP_SEG6_LOCAL.to_ne_bytes());
                message.nest(RTA_ENCAP, |encap| {
                    encap.push(ACTION, &END_BPF.to_ne_bytes());
                    let inner = nest(&[(LWT_BPF_PROG_FD, &fd.to_ne_bytes()), (LWT_BPF_PROG_NAME, &name)]);
                    encap.push(SEG6_LOCAL_BPF | NESTED, &inner);
                })
            }
        }
    }
}

/// A program's name with its id, `name:[id]`: the kernel tells only the name of a route's program, and by its id it can be
/// found again.
fn marked(program: &Program) -> String {
    let name = program.name();
    program.info().map_or_else(|_| name.to_string(), |info| format!("{name}:[{}]", info.id))
}

/// Name and id of a program, 0 if the name does not hold it.
fn unmarked(name: &str) -> (&str, u32) {
    let parts = name.strip_suffix(']').and_then(|name| name.rsplit_once(":["));
    parts.and_then(|(name, id)| Some((name, id.parse().ok()?))).unwrap_or((name, 0))
}

/// Attributes in a row, each padded to 4 bytes.
fn nest(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, value) in attributes {
        out.extend(((value.len() + 4) as u16).to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(*value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

static NEEDS: Needs = Needs {
    what: "a route through a program",
    since: Release(4, 10, 0),
    config: "CONFIG_LWTUNNEL_BPF",
    caps: &[Cap::NetAdmin],
};

/// A route of ours.
#[derive(Debug)]
pub(super) struct OurRoute {
    netlink: Mutex<Netlink>,
    route: Route,
    ifindex: u32,
}

impl HookKind for Route {
    fn words(&self) -> String {
        format!("route {self}")
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        "RTM_NEWROUTE"
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("route", self.to_string())]
    }
}

/// Adds a route whose packets the program sees.
pub(super) fn attach(program: &Program, route: &Route) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("the route {route}"));
    if direction(program.prog_type()).is_none() && program.prog_type() != ProgType::LwtSeg6local {
        attempt.wants("route", ProgType::LwtXmit)?;
    }
    let interface = xdp::find(&route.interface)?;
    let mut netlink = Netlink::route().map_err(|e| attempt.explain(e, &NEEDS))?;
    let message = route.message(RTM_NEWROUTE, ACK | CREATE, interface.index);
    match netlink.request(route.encapsulated(message, program)) {
        Ok(_) => {
            let (netlink, route) = (Mutex::new(netlink), route.clone());
            Ok(Link::undone_by(OurRoute { netlink, route, ifindex: interface.index }))
        }
        Err(e) => Err(explain(&attempt, e)),
    }
}

fn explain(attempt: &Attempt<'_>, e: NetlinkError) -> AttachError {
    match e.source.errno {
        Errno::EEXIST => attempt.taken("another route".into(), "; remove it, or choose a longer prefix"),
        Errno::EOPNOTSUPP | Errno::ENOTSUPP => attempt.unsupported(
            NEEDS.unmet().unwrap_or_else(|| "this kernel has no routes through programs of this type".into()),
        ),
        _ if e.message.is_empty() => attempt.explain(e.source, &NEEDS),
        _ => attempt.refused(e.source, e.message),
    }
}

impl OurRoute {
    /// One that is there: so that it can be removed and changed. `netlink` was opened where the route is.
    pub(super) fn adopt(netlink: Netlink, seen: Seen) -> OurRoute {
        OurRoute { netlink: Mutex::new(netlink), route: seen.route, ifindex: seen.ifindex }
    }
}

impl Undo for OurRoute {
    fn undo(&mut self) -> Result<(), SysError> {
        let message = self.route.message(RTM_DELROUTE, ACK, self.ifindex);
        let netlink = self.netlink.get_mut().unwrap_or_else(PoisonError::into_inner);
        match netlink.request(message).map_err(|e| e.source) {
            Err(e) if [Errno::ESRCH, Errno::ENODEV].contains(&e.errno) => Ok(()),
            other => other.map(drop),
        }
    }

    fn update(&self, program: &Program) -> Result<(), SysError> {
        let message = self.route.message(RTM_NEWROUTE, ACK | REPLACE, self.ifindex);
        let mut netlink = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        netlink.request(self.route.encapsulated(message, program)).map(drop).map_err(|e| e.source)
    }
}

/// A route that has a program.
#[derive(Debug)]
pub(super) struct Seen {
    /// Where to, and on which way: `10.9.0.0/16 out`.
    pub(super) place: String,
    /// The program's name.
    pub(super) program: String,
    /// The program's id; 0 if who made the route did not write it into the name.
    pub(super) prog_id: u32,
    route: Route,
    ifindex: u32,
}

/// The routes of the current network namespace that have programs.
pub(super) fn programs(netlink: &mut Netlink) -> Result<Vec<Seen>, NetlinkError> {
    let mut out = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let head = [family as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (_, body) in netlink.request(Message::new(RTM_GETROUTE, DUMP, &head))? {
            seen(family, &body, &mut out);
        }
    }
    Ok(out)
}

/// The programs of one route.
fn seen(family: i32, body: &[u8], out: &mut Vec<Seen>) {
    let all: Vec<(u16, &[u8])> = body.get(12..).map(|b| attributes(b).collect()).unwrap_or_default();
    let of = |wanted: u16| all.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    let encap = of(RTA_ENCAP_TYPE).and_then(number).and_then(|kind| u16::try_from(kind).ok());
    let prefix = body.get(1).copied().unwrap_or(0);
    let destination = address(family, of(RTA_DST).unwrap_or_default());
    let headroom =
        attributes(of(RTA_ENCAP).unwrap_or_default()).find(|(kind, _)| *kind == LWT_BPF_XMIT_HEADROOM);
    for (kind, nested) in attributes(of(RTA_ENCAP).unwrap_or_default()) {
        let way = match (encap, kind) {
            (Some(ENCAP_BPF), 1) => "in",
            (Some(ENCAP_BPF), 2) => "out",
            (Some(ENCAP_BPF), 3) => "xmit",
            (Some(ENCAP_SEG6_LOCAL), SEG6_LOCAL_BPF) => "seg6local",
            _ => continue,
        };
        let name = attributes(nested).find(|(kind, _)| *kind == LWT_BPF_PROG_NAME);
        let name = name.map(|(_, v)| String::from_utf8_lossy(v.strip_suffix(&[0]).unwrap_or(v)).into_owned());
        let name = name.unwrap_or_default();
        let (program, prog_id) = unmarked(&name);
        let route = Route {
            destination,
            prefix,
            interface: String::new(),
            gateway: of(RTA_GATEWAY).map(|gateway| address(family, gateway)),
            headroom: headroom.and_then(|(_, value)| number(value)).unwrap_or(0),
        };
        let ifindex = of(RTA_OIF).and_then(number).unwrap_or(0);
        let place = format!("{destination}/{prefix} {way}");
        out.push(Seen { place, program: program.into(), prog_id, route, ifindex });
    }
}

fn address(family: i32, octets: &[u8]) -> IpAddr {
    let v6: [u8; 16] = std::array::from_fn(|n| octets.get(n).copied().unwrap_or(0));
    match v6 {
        [a, b, c, d, ..] if family == libc::AF_INET => IpAddr::from([a, b, c, d]),
        v6 => IpAddr::from(v6),
    }
}

impl Route {
    /// Where to, and on which way a program of this type sees its packets, as the list of attachments has it.
    pub fn place(&self, prog_type: ProgType) -> String {
        let way = match prog_type {
            ProgType::LwtIn => "in",
            ProgType::LwtOut => "out",
            ProgType::LwtSeg6local => "seg6local",
            _ => "xmit",
        };
        format!("{}/{} {way}", self.destination, self.prefix)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.destination, self.prefix)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.interface)
    }
}

impl FromStr for Route {
    type Err = String;

    /// `ADDRESS/BITS[,via=ADDRESS],dev=IF[,headroom=BYTES]`.
    ///
    /// ```
    /// use rawbpf::links::Route;
    /// let route: Route = "10.9.0.0/16,dev=eth0".parse()?;
    /// assert_eq!(route.to_string(), "10.9.0.0/16 dev eth0");
    /// # Ok::<(), String>(())
    /// ```
    fn from_str(text: &str) -> Result<Route, String> {
        let mut parts = text.split(',');
        let wrong = |part: &str| {
            format!("`{part}` in `{text}`: a route is ADDRESS/BITS[,via=ADDRESS],dev=IF[,headroom=BYTES]")
        };
        let first = parts.next().unwrap_or_default();
        let (address, bits) = first.split_once('/').ok_or_else(|| wrong(first))?;
        let mut out = Route {
            destination: address.parse().map_err(|_| wrong(address))?,
            prefix: bits.parse().map_err(|_| wrong(bits))?,
            interface: String::new(),
            gateway: None,
            headroom: 0,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("dev", name)) => out.interface = name.into(),
                Some(("via", gateway)) => out.gateway = Some(gateway.parse().map_err(|_| wrong(part))?),
                Some(("headroom", bytes)) => out.headroom = bytes.parse().map_err(|_| wrong(part))?,
                _ => return Err(wrong(part)),
            }
        }
        if out.interface.is_empty() { Err(wrong(text)) } else { Ok(out) }
    }
}
