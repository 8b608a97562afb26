//! What the driver of an interface can do with XDP, by its own account.
//!
//! Asked of the family `netdev` of generic netlink, which has no fixed number: first the kernel is asked for the number of
//! that name, then the family for the device.

use crate::sys::netlink::{ACK, Message, Netlink, NetlinkError, attributes, number};
use crate::sys::{Errno, SysError};

/// What a driver can do. Linux 6.3.
#[doc(alias = "NETDEV_A_DEV_XDP_FEATURES")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpFeatures {
    /// The bits of `enum netdev_xdp_act`; 0 means that only generic XDP is possible.
    pub bits: u64,
    /// How many buffers one packet of a zero-copy socket may have; 0 if there is no zero-copy. Linux 6.6.
    pub zero_copy_segments: u32,
}

/// The bits, by their names in the UAPI.
const NAMES: &[&str] =
    &["basic", "redirect", "ndo_xmit", "xsk_zerocopy", "hw_offload", "rx_sg", "ndo_xmit_sg"];

impl XdpFeatures {
    /// True if native XDP is possible.
    pub fn is_native(self) -> bool {
        self.bits & 1 != 0
    }

    /// True if a native program in `SEC("xdp.frags")` gets packets of more than one buffer.
    pub fn has_frags(self) -> bool {
        self.bits & 1 << 5 != 0
    }

    /// What it can do, by the names in the UAPI: `basic`, `redirect` ...
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(n, _)| self.bits & 1 << n != 0).map(|(_, name)| *name)
    }
}

/// Asks for the features of the interface with this number in the current network namespace. `None` if the kernel
/// cannot tell (before Linux 6.3).
///
/// # Errors
/// Those of netlink; `ENODEV` if there is no such interface.
pub fn features(ifindex: u32) -> Result<Option<XdpFeatures>, NetlinkError> {
    /// `NETDEV_CMD_DEV_GET`
    const DEV_GET: u8 = 1;
    const IFINDEX: u16 = 1;
    const FEATURES: u16 = 3;
    const ZERO_COPY_SEGMENTS: u16 = 4;
    let mut netlink = Netlink::generic()?;
    let Some(family) = netlink.family("netdev")? else { return Ok(None) };
    let message = Message::new(family, ACK, &[DEV_GET, 1, 0, 0]).attr(IFINDEX, &ifindex.to_ne_bytes());
    for (_, body) in netlink.request(message)? {
        let of = |wanted: u16| {
            attributes(body.get(4..).unwrap_or_default())
                .find(|(kind, _)| *kind == wanted)
                .map(|(_, value)| value)
        };
        let wide = |value: &[u8]| value.try_into().ok().map(u64::from_ne_bytes);
        if let Some(bits) = of(FEATURES).and_then(wide) {
            let zero_copy_segments = of(ZERO_COPY_SEGMENTS).and_then(number).unwrap_or(0);
            return Ok(Some(XdpFeatures { bits, zero_copy_segments }));
        }
    }
    Err(SysError::other("netlink answer", Errno::EPROTO).into())
}
