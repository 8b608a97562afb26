//! Netlink: the socket protocol by which the network stack is asked and told things.
//!
//! Two things of BPF are only there: which XDP program an interface runs, and the classic tc filters. And
//! one thing is best there: the *extended acknowledgement*, the only sentence in which a network driver
//! says why it refuses a program.
//!
//! A message is a 16-byte header, a fixed struct of its family, and attributes: length, type, bytes, each
//! padded to 4. Attributes may hold attributes. Everything is in the machine's byte order.
//!
//! ```text
//!   nlmsghdr          ifinfomsg        attribute             attribute
//!   len type flags    family index     len IFLA_XDP          nested: len IFLA_XDP_FD fd
//! ```

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

use super::errno::{Call, Errno, SysError};
use super::observe::{self, Fields};
use crate::bytes::{Cursor, Endian};

/// How a kind of request is shown.
struct Kind {
    kind: u16,
    name: &'static str,
    /// Bytes of the family's fixed struct, and whether the number of a device is in it, after 4 bytes.
    fixed: usize,
    device: bool,
    attributes: &'static [(u16, &'static str)],
}

const LINK: &[(u16, &str)] = &[(3, "IFLA_IFNAME"), (18, "IFLA_LINKINFO"), (43, "IFLA_XDP")];
const FILTER: &[(u16, &str)] = &[(1, "TCA_KIND"), (2, "TCA_OPTIONS"), (11, "TCA_CHAIN")];
const ROUTE: &[(u16, &str)] = &[
    (1, "RTA_DST"),
    (4, "RTA_OIF"),
    (5, "RTA_GATEWAY"),
    (15, "RTA_TABLE"),
    (21, "RTA_ENCAP_TYPE"),
    (22, "RTA_ENCAP"),
];

const fn kind(kind: u16, name: &'static str, attributes: &'static [(u16, &'static str)]) -> Kind {
    let route = kind >= 24 && kind <= 26;
    let fixed = match kind {
        16..=19 => 16,
        24..=26 => 12,
        _ => 20,
    };
    Kind { kind, name, fixed, device: !route, attributes }
}

static KINDS: &[Kind] = &[
    kind(16, "RTM_NEWLINK", LINK),
    kind(17, "RTM_DELLINK", LINK),
    kind(18, "RTM_GETLINK", LINK),
    kind(19, "RTM_SETLINK", LINK),
    kind(24, "RTM_NEWROUTE", ROUTE),
    kind(25, "RTM_DELROUTE", ROUTE),
    kind(26, "RTM_GETROUTE", ROUTE),
    kind(36, "RTM_NEWQDISC", FILTER),
    kind(37, "RTM_DELQDISC", FILTER),
    kind(38, "RTM_GETQDISC", FILTER),
    kind(42, "RTM_GETTCLASS", FILTER),
    kind(44, "RTM_NEWTFILTER", FILTER),
    kind(45, "RTM_DELTFILTER", FILTER),
    kind(46, "RTM_GETTFILTER", FILTER),
];

/// The value of an attribute: text, a number, or how long it is.
fn shown(value: &[u8]) -> String {
    match value {
        [text @ .., 0] if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => {
            format!("{:?}", String::from_utf8_lossy(text))
        }
        _ => match number(value) {
            Some(n) => n.to_string(),
            None => format!("[{} bytes]", value.len()),
        },
    }
}

/// A request being built.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    /// An attribute was longer than an attribute can be (65,535 bytes with its head): it is not sent.
    too_long: bool,
}

impl Message {
    /// A message of this type (`RTM_*`), with `NLM_F_*` flags besides `REQUEST`, and the family's fixed struct.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        /// `NLM_F_REQUEST`
        const REQUEST: u16 = 1;
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Message { bytes, too_long: false }
    }

    /// Appends an attribute. A message with one of more than 65,531 bytes is refused when it is to be sent
    /// (`EMSGSIZE`).
    pub fn attr(mut self, kind: u16, value: &[u8]) -> Message {
        self.push(kind, value);
        self
    }

    /// Appends an attribute that holds attributes.
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(&mut Message)) -> Message {
        self.push_nest(kind, fill);
        self
    }

    /// Appends an attribute that holds attributes in place, for those that hold more of their kind.
    pub fn push_nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        /// `NLA_F_NESTED`
        const NESTED: u16 = 1 << 15;
        let mut inner = Message { bytes: Vec::new(), too_long: false };
        fill(&mut inner);
        self.too_long |= inner.too_long;
        self.push(kind | NESTED, &inner.bytes);
    }

    /// Appends an attribute in place.
    pub fn push(&mut self, kind: u16, value: &[u8]) {
        let Ok(len) = u16::try_from(value.len().saturating_add(4)) else {
            self.too_long = true;
            return;
        };
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// What it asks for, as far as this crate's requests go; the attributes' values where they are short.
    fn fields(&self, route: bool) -> Fields {
        let word = |at: usize| self.bytes.get(at..at + 2).and_then(number).unwrap_or(0) as u16;
        let row = KINDS.iter().find(|row| route && row.kind == word(4));
        let kind = row.map_or_else(|| word(4).to_string(), |row| row.name.to_string());
        let mut fields = vec![("nlmsg_type", kind), ("nlmsg_flags", format!("{:#x}", word(6)))];
        let Some(row) = row else { return fields };
        if row.device {
            let index = self.bytes.get(20..24).and_then(number).unwrap_or(0);
            fields.push(("ifindex", index.to_string()));
        }
        for (kind, value) in attributes(self.bytes.get(16 + row.fixed..).unwrap_or_default()) {
            let name = row.attributes.iter().find(|(n, _)| *n == kind).map_or("attribute", |(_, name)| name);
            fields.push((name, shown(value)));
        }
        fields
    }

    fn finish(mut self, sequence: u32) -> Result<Vec<u8>, SysError> {
        let too_long = SysError::other("netlink request", Errno(libc::EMSGSIZE));
        let len = u32::try_from(self.bytes.len()).ok().filter(|_| !self.too_long).ok_or(too_long)?;
        for (to, from) in self.bytes.iter_mut().zip(len.to_ne_bytes()) {
            *to = from;
        }
        for (to, from) in self.bytes.iter_mut().skip(8).zip(sequence.to_ne_bytes()) {
            *to = from;
        }
        Ok(self.bytes)
    }
}

/// Whoever observes is told of an answer: how many messages it has.
fn told(fields: Option<Fields>, answer: &Reply) {
    match answer {
        Ok(messages) => observe::after(Call::Other("netlink"), fields, Ok(messages.len() as i32), ""),
        Err(e) => observe::after(Call::Other("netlink"), fields, Err(e.source.errno), &e.message),
    }
}

/// The kernel refused a request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the network stack refuses{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
pub struct NetlinkError {
    /// The error number.
    pub source: SysError,
    /// The extended acknowledgement: the kernel's own words, if it has any.
    pub message: String,
}

impl From<SysError> for NetlinkError {
    fn from(source: SysError) -> NetlinkError {
        NetlinkError { source, message: String::new() }
    }
}

/// What the kernel answers: type and body of each message.
pub type Reply = Result<Vec<(u16, Vec<u8>)>, NetlinkError>;

/// A socket of netlink, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    /// Of routes and devices, whose kinds of requests have names.
    route: bool,
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_ACK`: answer even if there is nothing to say.
pub const ACK: u16 = 4;
/// `NLM_F_DUMP`: all objects, not one.
pub const DUMP: u16 = 0x300;

impl Netlink {
    /// Opens a socket. Needs no privilege; most requests do.
    pub fn route() -> Result<Netlink, SysError> {
        Netlink::open(SockProtocol::NetlinkRoute)
    }

    /// Opens a socket that gets a message whenever an interface, a qdisc or a filter of the namespace changes; it is not
    /// for requests. Needs no privilege.
    pub fn monitor() -> Result<Netlink, SysError> {
        /// `RTMGRP_LINK`
        const LINK: u32 = 1;
        /// `RTMGRP_TC`
        const TC: u32 = 8;
        Netlink::bound(SockProtocol::NetlinkRoute, LINK | TC)
    }

    /// Takes all messages that wait, unread.
    pub fn drain(&self) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match socket::recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(nix::errno::Errno::EAGAIN) => return,
                // There were too many: that something happened is known all the same.
                Ok(_) | Err(nix::errno::Errno::ENOBUFS | nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Opens a socket of generic netlink: families by name, each with commands of its own.
    pub fn generic() -> Result<Netlink, SysError> {
        Netlink::open(SockProtocol::NetlinkGeneric)
    }

    /// The number that a family of generic netlink has on this machine, such as `netdev`: the type of messages to it.
    /// `None` if there is none of that name.
    ///
    /// # Errors
    /// Those of the request; the socket has to be one of [`Netlink::generic`].
    pub fn family(&mut self, name: &str) -> Result<Option<u16>, NetlinkError> {
        /// `GENL_ID_CTRL`
        const CONTROL: u16 = 16;
        /// `CTRL_CMD_GETFAMILY`
        const GET_FAMILY: u8 = 3;
        const FAMILY_ID: u16 = 1;
        const FAMILY_NAME: u16 = 2;
        let name = [name.as_bytes(), &[0]].concat();
        let message = Message::new(CONTROL, ACK, &[GET_FAMILY, 1, 0, 0]).attr(FAMILY_NAME, &name);
        let answer = match self.request(message) {
            Err(e) if e.source.errno == Errno::ENOENT => return Ok(None),
            other => other?,
        };
        let id = answer.iter().find_map(|(_, body)| {
            let (_, value) = attributes(body.get(4..)?).find(|(kind, _)| *kind == FAMILY_ID)?;
            u16::try_from(number(value)?).ok()
        });
        Ok(id)
    }

    fn open(protocol: SockProtocol) -> Result<Netlink, SysError> {
        Netlink::bound(protocol, 0)
    }

    fn bound(protocol: SockProtocol, groups: u32) -> Result<Netlink, SysError> {
        let fail = |e: nix::errno::Errno| SysError::other("netlink socket", e);
        let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol);
        let fd = fd.map_err(fail)?;
        socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(fail)?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let one: libc::c_int = 1;
            // SAFETY: the option's value is an int, given with its size. Kernels that do not know the option refuse
            // it, and we do without. Test: `sound_attacks::an_attribute_that_is_too_long`.
            let _ = unsafe {
                libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_NETLINK,
                    option,
                    std::ptr::from_ref(&one).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                )
            };
        }
        Ok(Netlink { fd, sequence: 0, route: protocol == SockProtocol::NetlinkRoute })
    }

    /// Sends a request and returns the messages of the answer: type and body (after the header).
    pub fn request(&mut self, message: Message) -> Reply {
        self.sequence += 1;
        let fields = observe::before(|| message.fields(self.route));
        let sent = message.finish(self.sequence).and_then(|bytes| self.send(&bytes));
        let answer = sent.map_err(NetlinkError::from).and_then(|()| self.answer());
        told(fields, &answer);
        answer
    }

    /// Sends two requests at once and returns the answers of both. The kernel works them off within one call, so a
    /// process that is killed has made both or neither; the second is tried though the first failed. Both have to ask
    /// for an [`ACK`].
    pub fn request_both(&mut self, first: Message, second: Message) -> Result<(Reply, Reply), SysError> {
        let fields = [&first, &second].map(|message| observe::before(|| message.fields(self.route)));
        let mut bytes = first.finish(self.sequence + 1)?;
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(second.finish(self.sequence + 2)?);
        if let Err(e) = self.send(&bytes) {
            let failed: Reply = Err(e.into());
            fields.into_iter().for_each(|fields| told(fields, &failed));
            return Err(e);
        }
        self.sequence += 1;
        let first = self.answer();
        self.sequence += 1;
        let answers = [first, self.answer()];
        fields.into_iter().zip(&answers).for_each(|(fields, answer)| told(fields, answer));
        let [first, second] = answers;
        Ok((first, second))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), SysError> {
        let fail = |e: nix::errno::Errno| SysError::other("netlink request", e);
        socket::send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()).map(drop).map_err(fail)
    }

    /// The answer to the request that `sequence` counts.
    fn answer(&self) -> Reply {
        let fail = |e: nix::errno::Errno| SysError::other("netlink request", e);
        let mut out = Vec::new();
        let mut buffer = vec![0; 1 << 17];
        loop {
            let got = match socket::recv(self.fd.as_fd().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => continue,
                got => got.map_err(fail)?,
            };
            if self.collect(buffer.get(..got).unwrap_or_default(), &mut out)? {
                return Ok(out);
            }
        }
    }

    /// Reads the messages of one datagram; true if the answer is complete.
    fn collect(&self, mut data: &[u8], out: &mut Vec<(u16, Vec<u8>)>) -> Result<bool, NetlinkError> {
        let damaged = |_| SysError::other("netlink answer", Errno::EIO);
        while !data.is_empty() {
            let mut c = Cursor::new(data, Endian::NATIVE);
            let len = c.u32().map_err(damaged)? as usize;
            let (kind, flags) = (c.u16().map_err(damaged)?, c.u16().map_err(damaged)?);
            let (sequence, _port) = (c.u32().map_err(damaged)?, c.u32().map_err(damaged)?);
            let body = c.bytes(len.saturating_sub(16)).map_err(damaged)?;
            data = data.get(len.max(16).next_multiple_of(4)..).unwrap_or_default();
            if sequence != self.sequence {
                continue;
            }
            /// `NLM_F_MULTI`: more messages follow, up to `NLMSG_DONE`.
            const MULTI: u16 = 2;
            match kind {
                NLMSG_ERROR => return acknowledgement(body, flags).map(|()| true),
                NLMSG_DONE => return Ok(true),
                _ => out.push((kind, body.to_vec())),
            }
            if flags & MULTI == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads an error message: a negative errno (0 is success), the request's header, attributes.
fn acknowledgement(body: &[u8], flags: u16) -> Result<(), NetlinkError> {
    /// `NLM_F_ACK_TLVS`: attributes follow.
    const TLVS: u16 = 0x200;
    /// `NLM_F_CAPPED`: the request's body is not repeated.
    const CAPPED: u16 = 0x100;
    /// `NLMSGERR_ATTR_MSG`
    const MESSAGE: u16 = 1;
    let damaged = |_| SysError::other("netlink answer", Errno::EIO);
    let mut c = Cursor::new(body, Endian::NATIVE);
    let errno = (c.u32().map_err(damaged)? as i32).wrapping_neg();
    if errno == 0 {
        return Ok(());
    }
    let echoed = c.u32().map_err(damaged)? as usize;
    let skip = if flags & CAPPED != 0 { 4 + 16 } else { 4 + echoed.next_multiple_of(4) };
    let mut message = String::new();
    if flags & TLVS != 0 {
        for (kind, value) in attributes(body.get(skip..).unwrap_or_default()) {
            if kind == MESSAGE {
                let text = value.strip_suffix(&[0]).unwrap_or(value);
                message = String::from_utf8_lossy(text).into_owned();
            }
        }
    }
    Err(NetlinkError { source: SysError::other("netlink request", Errno(errno)), message })
}

/// The attributes in `data`: type (without its flag bits) and value. Stops at the first damaged one.
pub fn attributes(data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let mut c = Cursor::new(rest, Endian::NATIVE);
        let len = usize::from(c.u16().ok()?);
        let kind = c.u16().ok()? & 0x3fff;
        let value = c.bytes(len.checked_sub(4)?).ok()?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of an attribute as a number.
pub fn number(value: &[u8]) -> Option<u32> {
    match *value {
        [a] => Some(a.into()),
        [a, b] => Some(u16::from_ne_bytes([a, b]).into()),
        [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d])),
        _ => None,
    }
}
