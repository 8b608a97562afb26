//! Socket options that take a program.

use std::os::fd::{AsFd, AsRawFd};

use super::errno::SysError;

/// Sets an int option at level `SOL_SOCKET`.
fn set(socket: impl AsFd, option: libc::c_int, value: libc::c_int) -> Result<(), SysError> {
    // SAFETY: the option's value is an int, given with its size. Test:
    // `live_net::socket::a_filter_shortens_what_a_socket_receives`.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done < 0 { Err(SysError::other("setsockopt", super::Errno::last())) } else { Ok(()) }
}

/// `SO_ATTACH_BPF`: every packet that a socket receives passes this program. Linux 3.19.
pub fn attach_filter(socket: impl AsFd, program: impl AsFd) -> Result<(), SysError> {
    set(socket, libc::SO_ATTACH_BPF, program.as_fd().as_raw_fd())
}

/// `SO_DETACH_FILTER`: takes the filter of a socket away. `ENOENT` if there is none.
pub fn detach_filter(socket: impl AsFd) -> Result<(), SysError> {
    set(socket, libc::SO_DETACH_FILTER, 0)
}

/// `SO_ATTACH_REUSEPORT_EBPF`: this program chooses among the sockets of a port. Linux 4.5.
pub fn attach_reuseport(socket: impl AsFd, program: impl AsFd) -> Result<(), SysError> {
    set(socket, libc::SO_ATTACH_REUSEPORT_EBPF, program.as_fd().as_raw_fd())
}

/// `SO_DETACH_REUSEPORT_BPF`: the kernel chooses again. Linux 5.3. `ENOENT` if there is no program.
pub fn detach_reuseport(socket: impl AsFd) -> Result<(), SysError> {
    /// Not in every C library.
    const SO_DETACH_REUSEPORT_BPF: libc::c_int = 68;
    set(socket, SO_DETACH_REUSEPORT_BPF, 0)
}
