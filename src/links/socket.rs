//! Programs of one socket: filters, and the choice among sockets that share a port.
//!
//! Such a program belongs to the socket. There is no link and nothing to pin: it is there until it is taken away or
//! replaced, or the socket is closed by all who hold it.
//!
//! * A *filter* (`SEC("socket")`) returns how many bytes of a packet the socket gets; 0 is none.
//! * A *reuseport* program belongs to a group: all sockets that are bound to one port with `SO_REUSEPORT`. One of type
//!   `sk_reuseport` names a socket in a map; a socket filter returns the number of a socket in the group.

use std::os::fd::AsFd;

use super::AttachError;
use super::refusal::{Attempt, Needs};
use crate::progs::Program;
use crate::sys::{self, Errno, SysError};
use crate::uapi::{ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs =
    &[("sk_reuseport", "a socket has to be given"), ("socket", "a socket has to be given")];

static FILTER: Needs = Needs { what: "a socket filter", since: Release(3, 19, 0), config: "", caps: &[] };
static REUSEPORT: Needs =
    Needs { what: "a program for a group of sockets", since: Release(4, 5, 0), config: "", caps: &[] };

/// Lets every packet that a socket receives pass a filter first; the one that it had is replaced. Linux 3.19.
///
/// # Errors
/// [`AttachError::WrongType`] for other programs; `EPERM` if the socket's filter is locked (`SO_LOCK_FILTER`).
#[doc(alias = "SO_ATTACH_BPF")]
pub fn attach_socket_filter(socket: impl AsFd, program: &Program) -> Result<(), AttachError> {
    let attempt = Attempt::new(program, "a socket");
    attempt.wants("socket filter", ProgType::SocketFilter)?;
    sys::attach_filter(socket, program).map_err(|e| match e.errno {
        Errno::EPERM => attempt.refused(e, "its filter is locked (SO_LOCK_FILTER)"),
        _ => not_a_socket(&attempt, e, &FILTER),
    })
}

/// Takes a socket's filter away. `ENOENT` if it has none.
#[doc(alias = "SO_DETACH_FILTER")]
pub fn detach_socket_filter(socket: impl AsFd) -> Result<(), SysError> {
    sys::detach_filter(socket)
}

/// Lets a program choose among the sockets of a port. `socket` is any of them, and has `SO_REUSEPORT`. Linux 4.5 for a
/// socket filter, 4.19 for `sk_reuseport`.
#[doc(alias = "SO_ATTACH_REUSEPORT_EBPF")]
pub fn attach_reuseport(socket: impl AsFd, program: &Program) -> Result<(), AttachError> {
    let attempt = Attempt::new(program, "a group of sockets");
    if program.prog_type() != ProgType::SocketFilter {
        attempt.wants("reuseport", ProgType::SkReuseport)?;
    }
    sys::attach_reuseport(socket, program).map_err(|e| match e.errno {
        Errno::EINVAL => attempt.refused(e, "the socket has no SO_REUSEPORT, or is not bound yet"),
        _ => not_a_socket(&attempt, e, &REUSEPORT),
    })
}

/// Lets the kernel choose again. Linux 5.3. `ENOENT` if there is no program.
#[doc(alias = "SO_DETACH_REUSEPORT_BPF")]
pub fn detach_reuseport(socket: impl AsFd) -> Result<(), SysError> {
    sys::detach_reuseport(socket)
}

fn not_a_socket(attempt: &Attempt<'_>, e: SysError, needs: &Needs) -> AttachError {
    match e.errno {
        Errno(libc::ENOTSOCK) => attempt.wrong("the descriptor is no socket"),
        _ => attempt.explain(e, needs),
    }
}
