//! Programs that watch over the processes of a cgroup.
#![allow(unsafe_code)]

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;

use rawbpf::links::{Anchor, Cgroup, Hook, Lifetime, Order, Place, Share, Via};
use rawbpf::uapi::AttachType;
use rawbpf::{Link, Program, Target};

use super::world::{attach, id, in_world, load, number, program, refused, try_load};
use crate::cgroup::Group;
use crate::gate::{CGROUP_ORDER, LSM_CGROUP, ROOT, require};

fn to(path: &Path, via: Via) -> Target {
    Target::Cgroup(Cgroup { via, ..Cgroup::new(path) })
}

/// Everything that `cgroup_net` does, by the best way that the kernel has or without links.
fn decides(name: &str, via: Via, lifetime: Lifetime) {
    let group = Group::new(name);
    let loaded = load("cgroup_net.o", &[]);
    let links: Vec<Link> = loaded.programs().map(|p| attach(p, to(&group.path, via))).collect();
    assert!(links.iter().all(|l| l.lifetime() == lifetime));
    let runs = |which| number(&loaded, "cgroup_map", which);
    let server = TcpListener::bind("127.0.0.1:8080").expect("a server");
    group.inside(|| {
        let client = TcpStream::connect("127.0.0.1:80").expect("it is sent to 8080");
        assert_eq!(client.local_addr().expect("an address").port(), 80, "a lie of getsockname");
        drop(client);
        let denied = TcpStream::connect("127.0.0.1:81").expect_err("connecting is denied");
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
        let bound = UdpSocket::bind("127.0.0.1:4000").expect("a socket");
        let sent = bound.send_to(b"x", "127.0.0.1:81").expect_err("sending is denied");
        assert_eq!(sent.kind(), ErrorKind::PermissionDenied);
        let dropped = bound.send_to(b"x", "127.0.0.1:9").expect_err("the packet is dropped");
        assert_eq!(dropped.kind(), ErrorKind::PermissionDenied);
        assert!(UdpSocket::bind("127.0.0.1:4444").is_err(), "denied after binding");
        // It was bound elsewhere: 4001 is taken, and 4000 is not.
        assert!(UdpSocket::bind("127.0.0.1:4001").is_err());
        // SAFETY: a plain socket call.
        let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 1) };
        assert!(raw < 0, "no raw sockets");
    });
    let ran: Vec<u64> = (0..9).map(runs).collect();
    assert!(ran.iter().all(|n| *n > 0), "each program ran: {ran:?}");
    assert!(TcpStream::connect("127.0.0.1:81").is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
    drop(links);
    group.inside(|| {
        let e = TcpStream::connect("127.0.0.1:81").expect_err("nobody listens there");
        assert_eq!(e.kind(), ErrorKind::ConnectionRefused, "detached");
    });
    drop(server);
}

#[test]
fn programs_decide_for_the_members() {
    require!(ROOT);
    in_world(|| decides("links", Via::Auto, Lifetime::Link));
}

#[test]
fn programs_decide_for_the_members_without_links() {
    require!(ROOT);
    in_world(|| decides("direct", Via::Direct, Lifetime::Hook));
}

#[test]
fn devices_settings_and_options_are_watched() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("host");
        let loaded = load("cgroup_host.o", &[]);
        let links: Vec<Link> = loaded.programs().map(|p| attach(p, to(&group.path, Via::Auto))).collect();
        let setting = "/proc/sys/net/ipv4/ip_forward";
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let inside = UdpSocket::bind("127.0.0.1:0");
        drop(inside);
        group.inside(|| {
            let zero = fs::File::open("/dev/zero").expect_err("the device is denied");
            assert_eq!(zero.kind(), ErrorKind::PermissionDenied);
            fs::File::open("/dev/null").expect("another is not");
            let old = fs::read_to_string(setting).expect("it may be read");
            assert_eq!(
                fs::write(setting, &old).expect_err("it may not be written").kind(),
                ErrorKind::PermissionDenied
            );
            let own = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            assert_eq!(set_priority(&own, 3), Err(libc::EPERM));
            assert_eq!(priority(&own), 7, "what the program says");
        });
        assert_eq!(set_priority(&socket, 3), Ok(()));
        assert_eq!(priority(&socket), 3, "another cgroup's socket");
        drop(links);
        group.inside(|| fs::File::open("/dev/zero").expect("detached"));
    });
}

fn set_priority(socket: &UdpSocket, value: libc::c_int) -> Result<(), i32> {
    let at = std::ptr::from_ref(&value).cast();
    // SAFETY: the option's value is an int, given with its size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, at, 4) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

fn priority(socket: &UdpSocket) -> libc::c_int {
    let mut value: libc::c_int = 0;
    let mut size = 4;
    let at = std::ptr::from_mut(&mut value).cast();
    // SAFETY: the option's value is an int, with room for it.
    let done =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, at, &mut size) };
    assert_eq!(done, 0);
    value
}

#[test]
fn a_security_hook_is_watched_for_one_cgroup() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("lsm");
        let loaded = require!(LSM_CGROUP, try_load("cgroup_lsm.o", &[]));
        let hook = program(&loaded, "no_unix_sockets");
        let link = require!(LSM_CGROUP, rawbpf::attach(hook, &to(&group.path, Via::Auto)));
        let pair = || std::os::unix::net::UnixStream::pair().map(drop);
        group.inside(|| assert_eq!(pair().expect_err("denied").kind(), ErrorKind::PermissionDenied));
        pair().expect("not in another cgroup");
        drop(link);
        group.inside(|| pair().expect("detached"));
    });
}

/// Programs at `egress`, in the order in which they run for this group's members.
fn standing(path: &Path) -> Vec<u32> {
    let group = fs::File::open(path).expect("the cgroup is there");
    let target = rawbpf::sys::attr::TargetFd::of(&group);
    let found = rawbpf::sys::prog_query(target, AttachType::CgroupInetEgress, 0).expect("it tells");
    found.programs.iter().map(|p| p.prog_id).collect()
}

#[test]
fn a_program_stands_where_it_wants_in_a_groups_list() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("order");
        let three: Vec<_> = (0..3).map(|_| load("cgroup_net.o", &["no_port_9"])).collect();
        let programs: Vec<&Program> = three.iter().map(|l| program(l, "no_port_9")).collect();
        let at = |place| Target::Cgroup(Cgroup { order: Order::at(place), ..Cgroup::new(&group.path) });
        let first = attach(programs[0], to(&group.path, Via::Auto));
        let second = require!(CGROUP_ORDER, rawbpf::attach(programs[1], &at(Place::First)));
        let before = Place::Before(Anchor::Link(first.info().expect("a link").id));
        let third = attach(programs[2], at(before));
        assert_eq!(standing(&group.path), [1, 2, 0].map(|n| id(programs[n])));
        drop((first, second, third));
        assert!(standing(&group.path).is_empty());
    });
}

#[test]
fn a_kernel_without_an_order_says_so() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("no-order");
        let (one, two) = (load("cgroup_net.o", &["no_port_9"]), load("cgroup_net.o", &["no_port_9"]));
        let first = attach(program(&one, "no_port_9"), to(&group.path, Via::Auto));
        let order = Order::at(Place::First);
        let target = Target::Cgroup(Cgroup { order, ..Cgroup::new(&group.path) });
        match rawbpf::attach(program(&two, "no_port_9"), &target) {
            Ok(_has_it) => {}
            Err(e) => {
                assert!(
                    e.to_string().contains("an order of the programs of a cgroup came with Linux 6.17"),
                    "{e}"
                );
            }
        }
        drop(first);
    });
}

#[test]
fn how_a_hook_is_shared_is_respected_and_named() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("share");
        let (one, two) = (load("cgroup_net.o", &["no_port_9"]), load("cgroup_net.o", &["no_port_9"]));
        let (ours, theirs) = (program(&one, "no_port_9"), program(&two, "no_port_9"));
        let shared =
            |path: &Path, share| Target::Cgroup(Cgroup { via: Via::Direct, share, ..Cgroup::new(path) });
        let holder = format!("program `no_port_9` (id {})", id(ours));
        let hook =
            format!("cannot attach `no_port_9` to cgroup_inet_egress of cgroup {}", group.path.display());

        let link = attach(ours, shared(&group.path, Share::Exclusive));
        assert_eq!(
            refused(theirs, to(&group.path, Via::Auto)),
            format!("{hook}: {holder} is attached there as `exclusive`, which cannot be mixed with `multi`")
        );
        assert_eq!(
            refused(theirs, to(&group.below(), Via::Auto)),
            format!(
                "{hook}/below: {holder} of the cgroup {} above is attached there as `exclusive`, which forbids programs \
                 below it",
                group.path.display()
            )
        );
        let said = refused(theirs, shared(&group.path, Share::Exclusive));
        assert!(said.contains(&format!("{holder} is attached there (exclusive); detach it first")), "{said}");
        link.detach().expect("it is detached");

        let link = attach(ours, shared(&group.path, Share::Override));
        drop(attach(theirs, shared(&group.below(), Share::Override)));
        link.update(theirs, None).expect("it is replaced");
        assert_eq!(standing(&group.path), [id(theirs)]);
        drop(link);

        let link = attach(ours, shared(&group.path, Share::Multi));
        let said = refused(ours, shared(&group.path, Share::Multi));
        assert!(said.contains("this very program is attached there; it cannot be there twice"), "{said}");
        link.update(theirs, None).expect("it is replaced in its place");
        assert_eq!(standing(&group.path), [id(theirs)]);
        drop(link);
        let said =
            refused(ours, Target::Cgroup(Cgroup { share: Share::Override, ..Cgroup::new(&group.path) }));
        assert!(
            said.contains("a link is always shared; `override` takes an attachment without a link"),
            "{said}"
        );
    });
}

#[test]
fn what_is_no_cgroup_is_named() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("cgroup_net.o", &["no_port_9"]);
        let egress = program(&loaded, "no_port_9");
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let here = format!("cgroup2 is mounted at {}", mount.display());
        assert_eq!(
            refused(egress, to(Path::new("no/such"), Via::Auto)),
            format!(
                "cannot attach `no_port_9`: there is no cgroup {}; {here}",
                mount.join("no/such").display()
            )
        );
        assert_eq!(
            refused(egress, to(Path::new("/proc"), Via::Auto)),
            format!(
                "cannot attach `no_port_9` to cgroup_inet_egress of cgroup /proc: /proc is no cgroup; {here}"
            )
        );
        let file = mount.join("cgroup.procs");
        assert!(refused(egress, to(&file, Via::Auto)).ends_with("is a file, and a cgroup is a directory"));
        let old = Path::new("/sys/fs/cgroup/cpu");
        if old.is_dir() {
            assert!(
                refused(egress, to(old, Via::Auto)).contains("is of cgroup version 1, which has no hooks")
            );
        }
        let xdp = load("packet_count.o", &[]);
        let said = refused(program(&xdp, "count_packets"), to(&mount, Via::Auto));
        assert!(said.contains("it is of type xdp, which has no hook in a cgroup"), "{said}");
    });
}

#[test]
fn a_link_tells_its_group() {
    require!(ROOT);
    in_world(|| {
        let group = Group::new("info");
        let loaded = load("cgroup_net.o", &["see_in"]);
        let link = attach(program(&loaded, "see_in"), to(&group.path, Via::Auto));
        let cgroup_id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&group.path).expect("it is there"));
        let hook = Hook::Cgroup { cgroup_id, attach_type: AttachType::CgroupInetIngress };
        assert_eq!(link.info().expect("a link tells").hook, hook);
        drop(link);
    });
}
