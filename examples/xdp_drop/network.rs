//! A network for measuring: a namespace of its own, and in it two interfaces that are each other's wire.
//!
//! ```text
//!   generator --> out0 ====== in0 --> XDP --> the stack: nftables ... --> a UDP socket
//! ```
//!
//! The machine's own network sees nothing of it, and it is gone with the process.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, bind, socket};
use rawbpf::insn::prelude::*;
use rawbpf::sys::TestRun;
use rawbpf::sys::netlink::{ACK, Message, Netlink, NetlinkError};
use rawbpf::{Kernel, Loaded, Object, Options};

/// What comes in, and where it is sent to.
pub(crate) const IN: &str = "in0";
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PORT: u16 = 9; // "discard"

/// The sending end. The kernel itself makes the packets where it can: it runs a program on a frame again and again,
/// and sends the frames where the program says (Linux 5.18). A socket would cost more than what is measured.
pub(crate) struct Sender {
    generator: Option<Loaded>,
    socket: File,
    frame: Vec<u8>,
}

impl Sender {
    /// Leaves the machine's network and makes one of our own.
    pub(crate) fn new() -> Result<Sender, Box<dyn Error>> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        make_pair(IN, "out0").map_err(|e| format!("cannot make a pair of veth interfaces: {e}"))?;
        let (near, far) = (link_addr(IN)?, link_addr("out0")?);
        // Protocol 0: it only sends.
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        bind(fd.as_raw_fd(), &far)?;
        let frame = frame(near.addr().ok_or("an interface without address")?);
        let mut sender = Sender { generator: None, socket: fd.into(), frame };
        sender.generator = generator(far.ifindex())?;
        if receive_like_a_driver(near.ifindex()).is_err() || sender.generate(1).is_err() {
            sender.generator = None;
        }
        Ok(sender)
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Who makes the packets.
    pub(crate) fn way(&self) -> &'static str {
        if self.generator.is_some() { "the kernel" } else { "a packet socket" }
    }

    /// Sends as fast as it can for so long.
    pub(crate) fn send_for(&mut self, time: Duration) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            match self.generator {
                Some(_) => self.generate(8192)?,
                None => (0..64).try_for_each(|_| self.write())?,
            }
        }
        Ok(())
    }

    fn generate(&self, count: u32) -> Result<(), Box<dyn Error>> {
        /// `BPF_F_TEST_XDP_LIVE_FRAMES`
        const LIVE_FRAMES: u32 = 2;
        let program = self.generator.iter().flat_map(Loaded::programs).next().ok_or("no generator")?;
        let run = TestRun {
            data: self.frame.clone(),
            repeat: count,
            flags: LIVE_FRAMES,
            batch_size: 64,
            ..TestRun::default()
        };
        Ok(program.test_run(&run).map(drop)?)
    }

    fn write(&mut self) -> io::Result<()> {
        match self.socket.write(&self.frame) {
            // The wire is full: what receives is slower than this.
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// A program of two instructions and a call: send it there. `None` where the kernel cannot load it.
fn generator(to: usize) -> Result<Option<Loaded>, Box<dyn Error>> {
    let mut a = Asm::named("generate");
    a.mov64(R1, i32::try_from(to)?).mov64(R2, 0).call(Helper::Redirect).exit();
    let object = Object::builder("generator").license("GPL").program("xdp", a.finish()?).finish()?;
    Ok(object.plan(&Kernel::host(), &Options::default())?.run().ok())
}

/// Lets a veth interface receive in batches as a network card's driver does, also without XDP: that is what the
/// feature `rx-gro` means to it, and frames that programs send get in no other way. One request of ethtool's.
fn receive_like_a_driver(ifindex: usize) -> Result<(), Box<dyn Error>> {
    const FEATURES_SET: u8 = 12;
    let mut netlink = Netlink::generic()?;
    let family = netlink.family("ethtool")?.ok_or("no ethtool over netlink")?;
    let message = Message::new(family, ACK, &[FEATURES_SET, 1, 0, 0])
        .nest(1, |header| header.push(1, &(ifindex as u32).to_ne_bytes())) // ..FEATURES_HEADER, ..DEV_INDEX
        .nest(3, |wanted| {
            wanted.push_nest(3, |bits| {
                bits.push_nest(1, |bit| {
                    bit.push(2, b"rx-gro\0"); // ETHTOOL_A_BITSET_BIT_NAME
                    bit.push(3, &[]); // ..BIT_VALUE: on
                });
            });
        });
    Ok(netlink.request(message).map(drop)?)
}

/// A UDP packet of 60 bytes, the smallest that Ethernet has.
fn frame(to: [u8; 6]) -> Vec<u8> {
    let mut frame = [to.as_slice(), &[2, 0, 0, 0, 0, 1], &[0x08, 0x00]].concat();
    let mut ip = [0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
    let sum: u32 = ip.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    // Source port, destination port, length, no checksum.
    frame.extend([PORT, PORT, 26, 0].map(u16::to_be_bytes).concat());
    frame.resize(60, 0);
    frame
}

fn link_addr(interface: &str) -> Result<LinkAddr, Box<dyn Error>> {
    let found = nix::ifaddrs::getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied());
    found.ok_or_else(|| format!("{interface} has no address").into())
}

/// Makes the pair, brings it up, and gives the receiving end its IP address: four requests of rtnetlink(7).
fn make_pair(near: &str, far: &str) -> Result<(), NetlinkError> {
    const RTM_NEWLINK: u16 = 16;
    const RTM_NEWADDR: u16 = 20;
    const CREATE_EXCL: u16 = 0x600;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const NESTED: u16 = 1 << 15;
    const IFF_UP: u32 = 1;
    // struct ifinfomsg: family and type, index, flags, which flags to change.
    let info = |index: u32, up: u32| [0, index, up, up].map(u32::to_ne_bytes).concat();
    let mut netlink = Netlink::route()?;
    // The peer is described as a whole message: its struct, then its attributes.
    let name = [far.as_bytes(), &[0]].concat();
    let mut peer = info(0, 0);
    peer.extend([name.len() as u16 + 4, IFLA_IFNAME].map(u16::to_ne_bytes).concat());
    peer.extend(&name);
    let pair = Message::new(RTM_NEWLINK, ACK | CREATE_EXCL, &info(0, 0))
        .attr(IFLA_IFNAME, &[near.as_bytes(), &[0]].concat())
        .nest(IFLA_LINKINFO, |link| {
            link.push(1, b"veth"); // IFLA_INFO_KIND
            link.push_nest(2, |data| data.push(1 | NESTED, &peer)); // IFLA_INFO_DATA, VETH_INFO_PEER
        });
    netlink.request(pair)?;
    let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap_or_default();
    for interface in [near, far] {
        netlink.request(Message::new(RTM_NEWLINK, ACK, &info(index(interface), IFF_UP)))?;
    }
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let address = [&[AddressFamily::Inet as u8, 24, 0, 0], index(near).to_ne_bytes().as_slice()].concat();
    let address = Message::new(RTM_NEWADDR, ACK | CREATE_EXCL, &address)
        .attr(2, &ADDRESS.octets()) // IFA_LOCAL
        .attr(1, &ADDRESS.octets()); // IFA_ADDRESS
    netlink.request(address).map(drop)
}
