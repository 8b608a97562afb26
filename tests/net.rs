//! A network of the test's own: a namespace, a veth pair, and frames that are counted.
//!
//! Everything happens in a thread that has left the machine's network and mount namespaces, so that tests
//! do not see each other, and nothing is left when the thread ends. Interfaces are made over netlink with
//! the library's own messages: a guest need not have `ip`.
#![allow(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rawbpf::sys::netlink::{ACK, Message, Netlink, NetlinkError};

/// Keeps this thread on one CPU.
pub(crate) fn stay_on(cpu: usize) {
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu).expect("a CPU");
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("an online CPU");
}

/// Runs `test` in namespaces of its own: no interface but lo, and no bpffs at /sys/fs/bpf.
pub(crate) fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let name = std::thread::current().name().unwrap_or("test").to_string();
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
                .expect("root may leave its namespaces");
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            // No name would do as well, but not for valgrind.
            mount(Some("none"), "/", Some("none"), private, None::<&str>).expect("mounts become private");
            // A bpffs of the machine, if there is one, must not be seen; the tests mount their own.
            while rawbpf_bpffs() && nix::mount::umount("/sys/fs/bpf").is_ok() {}
            // IPv6 would send packets of its own as soon as an interface is up.
            for which in ["all", "default"] {
                let _ = fs::write(
                    format!("/proc/thread-self/net/../../sys/net/ipv6/conf/{which}/disable_ipv6"),
                    "1",
                );
                let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
            }
            test()
        });
        match thread.expect("a thread starts").join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// True if a bpffs is mounted at /sys/fs/bpf.
pub(crate) fn rawbpf_bpffs() -> bool {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    mounts.lines().any(|l| l.split(' ').nth(1) == Some("/sys/fs/bpf"))
}

/// Mounts a bpffs at /sys/fs/bpf.
pub(crate) fn mount_bpffs() {
    mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), None::<&str>)
        .expect("a bpffs is mounted");
}

/// Two interfaces, each the other's wire; both are up.
#[derive(Debug)]
pub(crate) struct Veth {
    pub(crate) near: u32,
    pub(crate) far: u32,
}

const RTM_NEWLINK: u16 = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
/// `NLM_F_CREATE | NLM_F_EXCL`
const CREATE: u16 = 0x600;

fn ifinfo(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

fn c_str(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

impl Veth {
    /// Makes a pair. An error where the kernel has no veth.
    pub(crate) fn new(near: &str, far: &str) -> Result<Veth, NetlinkError> {
        let message = Message::new(RTM_NEWLINK, ACK | CREATE, &ifinfo(0, 0, 0))
            .attr(IFLA_IFNAME, &c_str(near))
            .nest(IFLA_LINKINFO, |info| {
                info.push(IFLA_INFO_KIND, b"veth");
                info.push_nest(IFLA_INFO_DATA, |data| {
                    // The peer is described as a whole link: its struct, then its attributes.
                    let mut peer = ifinfo(0, 0, 0);
                    let name = c_str(far);
                    peer.extend(((name.len() + 4) as u16).to_ne_bytes());
                    peer.extend(IFLA_IFNAME.to_ne_bytes());
                    peer.extend(&name);
                    data.push(VETH_INFO_PEER | 1 << 15, &peer);
                });
            });
        Netlink::route()?.request(message)?;
        let index = |name: &str| nix::net::if_::if_nametoindex(name).expect("the interface was just made");
        let veth = Veth { near: index(near), far: index(far) };
        for interface in [veth.near, veth.far] {
            up(interface)?;
        }
        Ok(veth)
    }

    /// Sends `count` frames of 60 bytes into the far end; they come in at the near one.
    pub(crate) fn send(&self, count: u32) {
        let mut frame = [0u8; 60];
        frame[..6].fill(0xff); // to everybody
        frame[6] = 2;
        frame[12..14].copy_from_slice(&[0x88, 0xb5]); // an EtherType for experiments
        for _ in 0..count {
            self.send_frame(&frame);
        }
    }

    /// Sends one frame into the far end.
    pub(crate) fn send_frame(&self, frame: &[u8]) {
        // SAFETY: plain socket calls; the address is a sockaddr_ll of its own size.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "a packet socket: {}", std::io::Error::last_os_error());
            let mut to: libc::sockaddr_ll = std::mem::zeroed();
            to.sll_family = libc::AF_PACKET as u16;
            to.sll_ifindex = self.far as i32;
            let sent = libc::sendto(
                fd,
                frame.as_ptr().cast(),
                frame.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            );
            let error = std::io::Error::last_os_error();
            libc::close(fd);
            assert_eq!(sent, frame.len() as isize, "a frame is sent: {error}");
        }
    }
}

/// Brings an interface up.
pub(crate) fn up(index: u32) -> Result<(), NetlinkError> {
    const IFF_UP: u32 = 1;
    let message = Message::new(RTM_NEWLINK, ACK, &ifinfo(index, IFF_UP, IFF_UP));
    Netlink::route()?.request(message).map(drop)
}

/// Sets the largest packet of an interface.
pub(crate) fn set_mtu(index: u32, mtu: u32) -> Result<(), NetlinkError> {
    let message = Message::new(RTM_NEWLINK, ACK, &ifinfo(index, 0, 0)).attr(IFLA_MTU, &mtu.to_ne_bytes());
    Netlink::route()?.request(message).map(drop)
}

/// The `rawbpf` command, to be run in the namespaces of the calling thread.
pub(crate) fn rawbpf(args: &[&str]) -> Output {
    let bin = env!("CARGO_BIN_EXE_rawbpf");
    Command::new(bin).args(args).env("NO_COLOR", "1").output().expect("rawbpf runs")
}

/// Runs it and expects it to succeed; its standard output.
#[track_caller]
pub(crate) fn rawbpf_ok(args: &[&str]) -> String {
    let out = rawbpf(args);
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "rawbpf {args:?}: {}\n{text}{errors}", out.status);
    text.into_owned()
}

/// Runs it and expects it to fail with this status; its standard error.
#[track_caller]
pub(crate) fn rawbpf_fails(status: i32, args: &[&str]) -> String {
    let out = rawbpf(args);
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(status), "rawbpf {args:?}\n{text}{errors}");
    errors.into_owned()
}

/// Runs it with `--json`; the document.
#[track_caller]
pub(crate) fn rawbpf_json(args: &[&str]) -> serde_json::Value {
    let out = rawbpf(&[args, &["--json"]].concat());
    let text = String::from_utf8_lossy(&out.stdout);
    let document =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("rawbpf {args:?} --json: {e}\n{text}"));
    if let Err(wrong) = crate::schema::check_document(&document) {
        panic!("rawbpf {args:?} --json does not keep to --json-schema: {wrong}");
    }
    document
}

/// A file of `bpf/`.
pub(crate) fn object(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf").join(name);
    path.to_string_lossy().into_owned()
}
