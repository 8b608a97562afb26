//! The netlink messages of classic tc: queueing disciplines, and the filters that hang on them.
//!
//! Every message has the same fixed head, `struct tcmsg`: interface, handle, parent, and a number that for a filter
//! holds its priority and its protocol. A `clsact` qdisc has two parents for filters, the two directions:
//!
//! ```text
//!   eth0 ── clsact ffff:0 ─┬─ ffff:fff2  ingress ── priority 49152 ── bpf handle 1: program 12
//!                          └─ ffff:fff3  egress
//! ```

use crate::bytes::{Cursor, Endian};
use crate::sys::netlink::{ACK, DUMP, Message, Netlink, NetlinkError, attributes, number};
use crate::sys::{Errno, SysError};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_GETTCLASS: u16 = 42;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: the program's return value is the verdict.
const ACT_DIRECT: u32 = 1;

/// `NLM_F_REPLACE`
const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`
const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`
const CREATE: u16 = 0x400;
/// `NLM_F_ECHO`: tell me what was made.
const ECHO: u16 = 8;

/// `TC_H_CLSACT`: where the clsact and ingress qdiscs hang.
pub(super) const CLSACT: u32 = 0xffff_fff1;
/// The filters of incoming packets.
pub(super) const INGRESS: u32 = 0xffff_fff2;
/// The filters of outgoing packets.
pub(super) const EGRESS: u32 = 0xffff_fff3;
/// `ETH_P_ALL`
const ALL_PROTOCOLS: u16 = 3;

/// A queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Qdisc {
    pub(super) ifindex: u32,
    pub(super) handle: u32,
    pub(super) kind: String,
}

/// A filter that is a BPF program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) ifindex: u32,
    pub(super) parent: u32,
    pub(super) handle: u32,
    /// The lowest runs first.
    pub(super) priority: u16,
    pub(super) protocol: u16,
    pub(super) chain: u32,
    /// 0 for a classic BPF filter.
    pub(super) prog_id: u32,
    pub(super) name: String,
    /// Its return value is the verdict; else it only classifies.
    pub(super) direct_action: bool,
}

/// `struct tcmsg`
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    ifindex: u32,
    handle: u32,
    parent: u32,
    info: u32,
}

impl Head {
    fn bytes(self) -> Vec<u8> {
        [0, self.ifindex, self.handle, self.parent, self.info].iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    /// The head, and the attributes behind it.
    fn parse(body: &[u8]) -> Option<(Head, &[u8])> {
        let mut c = Cursor::new(body, Endian::NATIVE);
        c.u32().ok()?;
        let mut next = || c.u32().ok();
        let head = Head { ifindex: next()?, handle: next()?, parent: next()?, info: next()? };
        Some((head, body.get(20..)?))
    }
}

/// Priority and protocol, as `tcm_info` holds them: the protocol in network byte order.
fn info(priority: u16, protocol: u16) -> u32 {
    u32::from(priority) << 16 | u32::from(protocol.to_be())
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// All qdiscs of the network namespace.
pub(super) fn qdiscs(netlink: &mut Netlink) -> Result<Vec<Qdisc>, NetlinkError> {
    let answer = netlink.request(Message::new(RTM_GETQDISC, DUMP, &Head::default().bytes()))?;
    let parse = |body: &[u8]| {
        let (head, rest) = Head::parse(body)?;
        let kind = attributes(rest).find(|(kind, _)| *kind == TCA_KIND).map(|(_, v)| text(v))?;
        Some(Qdisc { ifindex: head.ifindex, handle: head.handle, kind })
    };
    Ok(answer.iter().filter_map(|(_, body)| parse(body)).collect())
}

/// The qdisc of this interface that has filters for packets as they come and go: `clsact` or `ingress`.
pub(super) fn clsact_of(netlink: &mut Netlink, ifindex: u32) -> Result<Option<Qdisc>, NetlinkError> {
    let is_it = |q: &Qdisc| q.ifindex == ifindex && ["clsact", "ingress"].contains(&q.kind.as_str());
    Ok(qdiscs(netlink)?.into_iter().find(is_it))
}

fn new_clsact(ifindex: u32) -> Message {
    let head = Head { ifindex, handle: 0xffff_0000, parent: CLSACT, info: 0 };
    Message::new(RTM_NEWQDISC, ACK | CREATE | EXCL, &head.bytes()).attr(TCA_KIND, b"clsact\0")
}

/// Takes an interface's clsact qdisc away, with all that hangs on it.
pub(super) fn remove_clsact(netlink: &mut Netlink, ifindex: u32) -> Result<(), NetlinkError> {
    let head = Head { ifindex, handle: 0xffff_0000, parent: CLSACT, info: 0 };
    netlink.request(Message::new(RTM_DELQDISC, ACK, &head.bytes())).map(drop)
}

/// The handles of an interface's classes: filters may hang on each.
pub(super) fn classes(netlink: &mut Netlink, ifindex: u32) -> Result<Vec<u32>, NetlinkError> {
    let head = Head { ifindex, ..Head::default() };
    let answer = netlink.request(Message::new(RTM_GETTCLASS, DUMP, &head.bytes()))?;
    Ok(answer.iter().filter_map(|(_, body)| Some(Head::parse(body)?.0.handle)).collect())
}

/// The BPF filters at one parent, in the order in which they run.
pub(super) fn filters(netlink: &mut Netlink, ifindex: u32, parent: u32) -> Result<Vec<Filter>, NetlinkError> {
    let answer = dump(netlink, ifindex, parent)?;
    Ok(answer.iter().filter_map(|(_, body)| parse_filter(body)).collect())
}

/// True if no filter of any kind hangs there.
pub(super) fn is_empty(netlink: &mut Netlink, ifindex: u32, parent: u32) -> Result<bool, NetlinkError> {
    Ok(dump(netlink, ifindex, parent)?.is_empty())
}

/// True if this one is all that hangs on its parent.
pub(super) fn is_alone(netlink: &mut Netlink, ours: &Filter) -> Result<bool, NetlinkError> {
    let is_ours = |body: &[u8]| {
        let Some((head, rest)) = Head::parse(body) else { return false };
        let chain = attributes(rest).find(|(kind, _)| *kind == TCA_CHAIN).and_then(|(_, v)| number(v));
        // Each priority shows by itself too, with handle 0.
        let handles = [0, ours.handle];
        let same_place = head.info == ours.head().info && chain.unwrap_or(0) == ours.chain;
        same_place && handles.contains(&head.handle)
    };
    Ok(dump(netlink, ours.ifindex, ours.parent)?.iter().all(|(_, body)| is_ours(body)))
}

fn dump(netlink: &mut Netlink, ifindex: u32, parent: u32) -> Result<Vec<(u16, Vec<u8>)>, NetlinkError> {
    let head = Head { ifindex, parent, ..Head::default() };
    netlink.request(Message::new(RTM_GETTFILTER, DUMP, &head.bytes()))
}

fn parse_filter(body: &[u8]) -> Option<Filter> {
    let (head, rest) = Head::parse(body)?;
    let mut kind = String::new();
    let mut out = Filter {
        ifindex: head.ifindex,
        parent: head.parent,
        handle: head.handle,
        priority: (head.info >> 16) as u16,
        protocol: u16::from_be(head.info as u16),
        chain: 0,
        prog_id: 0,
        name: String::new(),
        direct_action: false,
    };
    for (attribute, value) in attributes(rest) {
        match attribute {
            TCA_KIND => kind = text(value),
            TCA_CHAIN => out.chain = number(value).unwrap_or(0),
            TCA_OPTIONS => {
                for (attribute, value) in attributes(value) {
                    match attribute {
                        TCA_BPF_NAME => out.name = text(value),
                        TCA_BPF_ID => out.prog_id = number(value).unwrap_or(0),
                        TCA_BPF_FLAGS => out.direct_action = number(value).unwrap_or(0) & ACT_DIRECT != 0,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // A priority without a filter shows as one with handle 0.
    (kind == "bpf" && out.handle != 0).then_some(out)
}

/// What a filter is to be.
#[derive(Debug, Clone)]
pub(super) struct NewFilter<'a> {
    pub(super) ifindex: u32,
    pub(super) parent: u32,
    /// 0 to have one chosen: the filter then runs before all others.
    pub(super) priority: u16,
    pub(super) fd: i32,
    pub(super) name: &'a str,
}

/// Adds a filter. The answer says which handle and priority it got.
pub(super) fn add_filter(netlink: &mut Netlink, new: &NewFilter<'_>) -> Result<Filter, NetlinkError> {
    netlink.request(new_filter(new)).and_then(|answer| echoed(&answer))
}

/// What became of a clsact qdisc and its first filter.
pub(super) enum Both {
    /// Both were made.
    Made(Filter),
    /// The filter was made, but the qdisc was there already.
    Joined(Filter),
    /// There was no qdisc, and one was made, but no filter; why not.
    Qdisc(NetlinkError),
    /// Neither was made; why not.
    Neither(NetlinkError),
}

/// Gives an interface a clsact qdisc and a first filter on it, in one call: a process that is killed leaves no qdisc
/// without the filter that says whose it is.
pub(super) fn add_both(netlink: &mut Netlink, new: &NewFilter<'_>) -> Result<Both, NetlinkError> {
    let (qdisc, filter) = netlink.request_both(new_clsact(new.ifindex), new_filter(new))?;
    Ok(match (qdisc, filter.and_then(|answer| echoed(&answer))) {
        (Ok(_), Ok(filter)) => Both::Made(filter),
        (Ok(_), Err(e)) => Both::Qdisc(e),
        (Err(_), Ok(filter)) => Both::Joined(filter),
        // If there is one, the filter's error is the one that counts.
        (Err(first), Err(e)) if first.source.errno == Errno::EEXIST => Both::Neither(e),
        (Err(first), Err(_)) => Both::Neither(first),
    })
}

fn new_filter(new: &NewFilter<'_>) -> Message {
    let head =
        Head { ifindex: new.ifindex, handle: 0, parent: new.parent, info: info(new.priority, ALL_PROTOCOLS) };
    program(Message::new(RTM_NEWTFILTER, ACK | CREATE | EXCL | ECHO, &head.bytes()), new)
}

fn echoed(answer: &[(u16, Vec<u8>)]) -> Result<Filter, NetlinkError> {
    let filter = answer.iter().find_map(|(_, body)| parse_filter(body));
    filter.ok_or_else(|| SysError::other("netlink answer", Errno::EPROTO).into())
}

/// Puts another program behind a filter, in one step.
pub(super) fn replace_filter(
    netlink: &mut Netlink,
    filter: &Filter,
    fd: i32,
    name: &str,
) -> Result<(), NetlinkError> {
    let head = filter.head();
    let new =
        NewFilter { ifindex: filter.ifindex, parent: filter.parent, priority: filter.priority, fd, name };
    let message = Message::new(RTM_NEWTFILTER, ACK | CREATE | REPLACE, &head.bytes())
        .attr(TCA_CHAIN, &filter.chain.to_ne_bytes());
    netlink.request(program(message, &new)).map(drop)
}

fn program(message: Message, new: &NewFilter<'_>) -> Message {
    let name = [new.name.as_bytes(), &[0]].concat();
    message.attr(TCA_KIND, b"bpf\0").nest(TCA_OPTIONS, |options| {
        options.push(TCA_BPF_FD, &new.fd.to_ne_bytes());
        options.push(TCA_BPF_NAME, &name);
        options.push(TCA_BPF_FLAGS, &ACT_DIRECT.to_ne_bytes());
    })
}

impl Filter {
    fn head(&self) -> Head {
        Head {
            ifindex: self.ifindex,
            handle: self.handle,
            parent: self.parent,
            info: info(self.priority, self.protocol),
        }
    }

    /// True if it is at the same place, with the same program behind it.
    pub(super) fn is_same(&self, other: &Filter) -> bool {
        let key = |f: &Filter| (f.ifindex, f.parent, f.handle, f.priority, f.chain, f.prog_id);
        key(self) == key(other)
    }

    /// Removes it.
    pub(super) fn remove(&self, netlink: &mut Netlink) -> Result<(), NetlinkError> {
        let message = Message::new(RTM_DELTFILTER, ACK, &self.head().bytes())
            .attr(TCA_KIND, b"bpf\0")
            .attr(TCA_CHAIN, &self.chain.to_ne_bytes());
        netlink.request(message).map(drop)
    }
}
