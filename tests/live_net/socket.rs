//! Programs of one socket.
#![allow(unsafe_code)]

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rawbpf::links::{attach_reuseport, attach_socket_filter, detach_reuseport, detach_socket_filter};

use super::world::{chain, in_world, load, program};
use crate::gate::{ROOT, require};

#[test]
fn a_filter_shortens_what_a_socket_receives() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("socket.o", &["shorten"]);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time limit");
        let receive = || {
            socket.send_to(b"eightbyt", socket.local_addr().expect("an address")).expect("it is sent");
            socket.recv_from(&mut [0; 64]).expect("it arrives").0
        };
        assert_eq!(receive(), 8);
        attach_socket_filter(&socket, program(&loaded, "shorten")).expect("it is attached");
        assert_eq!(receive(), 4);
        detach_socket_filter(&socket).expect("it is detached");
        assert_eq!(receive(), 8);
    });
}

/// A UDP socket on a port that it shares.
fn sharing(port: u16) -> UdpSocket {
    // SAFETY: plain socket calls; the address is a sockaddr_in of its own size.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        let fd = OwnedFd::from_raw_fd(fd);
        let one: libc::c_int = 1;
        let at = std::ptr::from_ref(&one).cast();
        assert_eq!(libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, at, 4), 0);
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let at = std::ptr::from_ref(&address).cast();
        assert_eq!(libc::bind(fd.as_raw_fd(), at, size_of::<libc::sockaddr_in>() as u32), 0);
        UdpSocket::from(fd)
    }
}

#[test]
fn a_program_chooses_among_the_sockets_of_a_port() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("socket.o", &["choose_second"]);
        let sockets = [sharing(5151), sharing(5151)];
        let choices = loaded.map("choices_map").expect("it is in the object");
        for (key, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true).expect("it does not wait");
            let fd = (socket.as_raw_fd() as u64).to_ne_bytes();
            choices.set(&(key as u32).to_ne_bytes(), &fd, 0).expect("a socket in the map");
        }
        attach_reuseport(&sockets[0], program(&loaded, "choose_second")).expect("it is attached");
        // Many senders: by the kernel's own choice some would reach the first.
        for _ in 0..32 {
            let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            sender.send_to(b"x", "127.0.0.1:5151").expect("it is sent");
        }
        let received = |socket: &UdpSocket| std::iter::from_fn(|| socket.recv_from(&mut [0; 4]).ok()).count();
        assert_eq!((received(&sockets[0]), received(&sockets[1])), (0, 32));
        detach_reuseport(&sockets[0]).expect("it is detached");
    });
}

#[test]
fn a_refusal_says_why() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("socket.o", &["shorten", "choose_second"]);
        let file = std::fs::File::open("/proc/self/status").expect("a file");
        let said = attach_socket_filter(&file, program(&loaded, "shorten")).expect_err("no socket");
        assert_eq!(chain(&said), "cannot attach `shorten` to a socket: the descriptor is no socket");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let said = attach_socket_filter(&socket, program(&loaded, "choose_second")).expect_err("wrong type");
        assert_eq!(
            chain(&said),
            "program `choose_second` is of type sk_reuseport; a socket filter hook takes socket_filter"
        );
        let said = attach_reuseport(&socket, program(&loaded, "choose_second")).expect_err("not shared");
        assert!(chain(&said).contains("the socket has no SO_REUSEPORT"), "{said}");
    });
}
