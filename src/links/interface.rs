//! Network interfaces of the current network namespace, as far as attaching needs to know them.

use crate::sys::netlink::{DUMP, Message, Netlink, NetlinkError, attributes, number};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its number in this namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its other names (`ip link property add altname`), which may be longer. Linux 5.5.
    pub alternatives: Vec<String>,
    /// Largest packet, in bytes, without the link-layer header.
    pub mtu: u32,
    /// What kind of virtual device it is: `veth`, `netkit`, `bridge` ...; empty for real ones and `lo`.
    pub kind: String,
    /// The XDP programs that run on it: mode, program id. Generic, driver and hardware can differ.
    pub xdp: Vec<(AttachedMode, u32)>,
}

/// The mode that an XDP program runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AttachedMode {
    Native,
    Generic,
    Offloaded,
}

impl AttachedMode {
    /// `native`, `generic`, `offloaded`.
    pub fn name(self) -> &'static str {
        match self {
            AttachedMode::Native => "native",
            AttachedMode::Generic => "generic",
            AttachedMode::Offloaded => "offloaded",
        }
    }
}

const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP: u16 = 43;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

/// All interfaces of the current network namespace.
pub fn interfaces() -> Result<Vec<Interface>, NetlinkError> {
    // struct ifinfomsg: family, pad, type, index, flags, change.
    let answer = Netlink::route()?.request(Message::new(RTM_GETLINK, DUMP, &[0; 16]))?;
    Ok(answer.iter().filter_map(|(_, body)| parse(body)).collect())
}

impl Interface {
    /// The interface of this name. `None` if there is none.
    pub fn named(name: &str) -> Result<Option<Interface>, NetlinkError> {
        Ok(interfaces()?.into_iter().find(|i| i.name == name))
    }

    /// True if this is its name, or another of its names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alternatives.iter().any(|other| other == name)
    }

    /// The interface of this number. `None` if there is none.
    pub fn numbered(index: u32) -> Result<Option<Interface>, NetlinkError> {
        Ok(interfaces()?.into_iter().find(|i| i.index == index))
    }
}

fn parse(body: &[u8]) -> Option<Interface> {
    let index = number(body.get(4..8)?)?;
    let mut out = Interface { index, ..Default::default() };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => out.name = text(value),
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                out.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            IFLA_MTU => out.mtu = number(value).unwrap_or(0),
            IFLA_XDP => out.xdp = xdp(value),
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                out.alternatives = names.map(|(_, value)| text(value)).collect();
            }
            _ => {}
        }
    }
    Some(out)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// `IFLA_XDP`: one program id a mode, or, before Linux 4.19, only the first.
fn xdp(value: &[u8]) -> Vec<(AttachedMode, u32)> {
    const ATTACHED: u16 = 2;
    const PROG_ID: u16 = 4;
    let mut out = Vec::new();
    let mut only = None;
    let mut mode = None;
    for (kind, value) in attributes(value) {
        match (kind, number(value)) {
            (ATTACHED, Some(1)) => mode = Some(AttachedMode::Native),
            (ATTACHED, Some(2)) => mode = Some(AttachedMode::Generic),
            (ATTACHED, Some(3)) => mode = Some(AttachedMode::Offloaded),
            (PROG_ID, Some(id)) => only = Some(id),
            (5, Some(id)) => out.push((AttachedMode::Native, id)),
            (6, Some(id)) => out.push((AttachedMode::Generic, id)),
            (7, Some(id)) => out.push((AttachedMode::Offloaded, id)),
            _ => {}
        }
    }
    if out.is_empty() {
        out.extend(mode.zip(only));
    }
    out
}
