//! What the tests of this folder share: a private network, loaded objects, and a look at what is left behind.
#![allow(unsafe_code)]

use std::fs;
use std::net::Ipv4Addr;

use rawbpf::links::{Tc, TcHook, Via};
use rawbpf::sys::netlink::{ACK, Message, Netlink};
use rawbpf::{Kernel, Link, Loaded, Object, Options, Program, Target};

use crate::net::{in_namespace, object, up};

/// Runs a test in a network of its own and with descriptors of its own, and checks that it leaves none of them open
/// and nothing attached.
pub(crate) fn in_world<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    in_namespace(|| {
        own_descriptors();
        up(1).expect("lo comes up");
        let before = descriptors();
        let value = test();
        assert_eq!(descriptors(), before, "descriptors that are left open");
        assert_eq!(attached(), Vec::<String>::new(), "what is left attached");
        value
    })
}

/// Gives this thread a table of descriptors that no other test opens and closes: without copies of theirs, which would
/// keep their links alive.
fn own_descriptors() {
    /// `CLOSE_RANGE_UNSHARE`
    const UNSHARE: libc::c_uint = 2;
    // SAFETY: closes descriptors in a new table that belongs to this thread alone; nothing of it uses them.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, UNSHARE) };
    assert_eq!(done, 0, "close_range: {}", std::io::Error::last_os_error());
}

/// The open descriptors of this thread, and what each is.
pub(crate) fn descriptors() -> Vec<String> {
    let list = fs::read_dir("/proc/thread-self/fd").expect("procfs is mounted");
    let mut out: Vec<String> = list
        .flatten()
        .filter_map(|e| {
            // The descriptor that lists the folder is gone when the link is read.
            let target = fs::read_link(e.path()).ok()?;
            let target = target.display().to_string();
            (!target.ends_with("/fd")).then(|| format!("{} {target}", e.file_name().to_string_lossy()))
        })
        .collect();
    out.sort();
    out
}

/// What is attached to interfaces of this network namespace, by the system's own tools' view: programs and qdiscs.
pub(crate) fn attached() -> Vec<String> {
    let mut out = Vec::new();
    for interface in rawbpf::links::interfaces().expect("the interfaces are listed") {
        out.extend(interface.xdp.iter().map(|(mode, id)| format!("{} xdp {mode:?} {id}", interface.name)));
    }
    const RTM_GETQDISC: u16 = 38;
    const DUMP: u16 = 0x300;
    let answer = Netlink::route().expect("a socket").request(Message::new(RTM_GETQDISC, DUMP, &[0; 20]));
    for (_, body) in answer.expect("the qdiscs are listed") {
        let text = String::from_utf8_lossy(&body);
        out.extend(text.contains("clsact").then(|| "a clsact qdisc".to_string()));
    }
    out
}

/// Sends a frame out of an interface; an error if it is dropped on its way.
pub(crate) fn send_out_of(index: u32) -> std::io::Result<()> {
    let mut frame = [0xffu8; 60];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]); // an EtherType for experiments
    // SAFETY: plain socket calls; the address is a sockaddr_ll of its own size.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "a packet socket: {}", std::io::Error::last_os_error());
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        let at = std::ptr::from_ref(&to).cast();
        let size = size_of::<libc::sockaddr_ll>() as u32;
        let sent = libc::sendto(fd, frame.as_ptr().cast(), frame.len(), 0, at, size);
        let result = if sent < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) };
        libc::close(fd);
        result
    }
}

/// Loads an object of `bpf/`: these of its programs, or all.
pub(crate) fn try_load(name: &str, only: &[&str]) -> Result<Loaded, rawbpf::Error> {
    let options = Options { only: only.iter().map(|s| s.to_string()).collect(), ..Options::default() };
    Ok(Object::open(object(name))?.plan(&Kernel::host(), &options)?.run()?)
}

/// The same, for what every kernel can load.
#[track_caller]
pub(crate) fn load(name: &str, only: &[&str]) -> Loaded {
    try_load(name, only).unwrap_or_else(|e| panic!("{name}: {}", chain(&e)))
}

/// An error with its causes.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    match e.source() {
        Some(source) => format!("{e}: {}", chain(source)),
        None => e.to_string(),
    }
}

#[track_caller]
pub(crate) fn program<'a>(loaded: &'a Loaded, name: &str) -> &'a Program {
    loaded.program(name).unwrap_or_else(|| panic!("no program {name}"))
}

/// Attaches, and expects that to work.
#[track_caller]
pub(crate) fn attach(program: &Program, target: impl Into<Target>) -> Link {
    rawbpf::attach(program, &target.into()).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

/// Attaches, and expects that to fail: the whole message.
#[track_caller]
pub(crate) fn refused(program: &Program, target: impl Into<Target>) -> String {
    match rawbpf::attach(program, &target.into()) {
        Ok(link) => panic!("it is attached: {link:?}"),
        Err(e) => chain(&e),
    }
}

/// A number in an array map.
#[track_caller]
pub(crate) fn number(loaded: &Loaded, map: &str, index: u32) -> u64 {
    let map = loaded.map(map).unwrap_or_else(|| panic!("no map {map}"));
    let value = map.get(&index.to_ne_bytes()).expect("the map is read").expect("the index is in the map");
    u64::from_ne_bytes(value.try_into().expect("a number of 64 bits"))
}

#[track_caller]
pub(crate) fn set_number(loaded: &Loaded, map: &str, index: u32, value: u64) {
    let map = loaded.map(map).unwrap_or_else(|| panic!("no map {map}"));
    map.set(&index.to_ne_bytes(), &value.to_ne_bytes(), 0).expect("the map is written");
}

/// Id of a program.
#[track_caller]
pub(crate) fn id(program: &Program) -> u32 {
    program.info().expect("the kernel tells of its programs").id
}

/// Gives an interface an address.
pub(crate) fn add_address(index: u32, address: Ipv4Addr, prefix: u8) {
    const RTM_NEWADDR: u16 = 20;
    const CREATE: u16 = 0x600;
    let mut head = vec![libc::AF_INET as u8, prefix, 0, 0];
    head.extend(index.to_ne_bytes());
    let message =
        Message::new(RTM_NEWADDR, ACK | CREATE, &head).attr(1, &address.octets()).attr(2, &address.octets());
    Netlink::route().expect("a socket").request(message).expect("an address is given");
}

/// Does this kernel have tcx? Asked by doing, without the code under test.
pub(crate) fn has_tcx() -> Result<(), String> {
    use rawbpf::sys::attr::TargetFd;
    use rawbpf::uapi::AttachType;
    rawbpf::sys::prog_query(TargetFd::ifindex(1), AttachType::TcxIngress, 0)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// A tc target by a link in the tcx list.
pub(crate) fn tcx(tc: Tc) -> Tc {
    Tc { hook: TcHook::Tcx, via: Via::Link, ..tc }
}

/// A tc target as a classic filter.
pub(crate) fn clsact(tc: Tc) -> Tc {
    Tc { hook: TcHook::Clsact, ..tc }
}
