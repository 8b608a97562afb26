//! Descriptors whose kind is known.
//!
//! `BPF_OBJ_GET_INFO_BY_FD` goes by what a descriptor *is*. The same bytes are read as `struct bpf_prog_info` for a
//! program and as `struct bpf_link_info` for a link, pointers included: asked with the struct of the wrong kind, the
//! kernel takes a number for an address and writes there. So a descriptor becomes a [`ProgFd`], a [`LinkFd`] or a
//! [`BtfFd`] (and a map's a [`MapFd`](super::map::MapFd)) in three ways only: the command that made it makes nothing
//! else, it was opened by the id of such an object, or the kernel was asked what it is ([`kind_of`]).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::readlink;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};

use super::attr::{self, Fd, Ptr, PtrMut};
use super::cmd::{c_path, call, call_fd};
use super::errno::{Call, Errno, SysError};
use crate::uapi::Cmd;

/// The four kinds of kernel objects that have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ObjectKind {
    Prog,
    Map,
    Btf,
    Link,
}

impl ObjectKind {
    fn commands(self) -> (Cmd, Cmd) {
        match self {
            ObjectKind::Prog => (Cmd::ProgGetNextId, Cmd::ProgGetFdById),
            ObjectKind::Map => (Cmd::MapGetNextId, Cmd::MapGetFdById),
            ObjectKind::Btf => (Cmd::BtfGetNextId, Cmd::BtfGetFdById),
            ObjectKind::Link => (Cmd::LinkGetNextId, Cmd::LinkGetFdById),
        }
    }

    /// What to say when something else was found.
    fn expected(self) -> Call {
        Call::Other(match self {
            ObjectKind::Prog => "using the object as a program, which it is not,",
            ObjectKind::Map => "using the object as a map, which it is not,",
            ObjectKind::Btf => "using the object as BTF, which it is not,",
            ObjectKind::Link => "using the object as a link, which it is not,",
        })
    }

    /// `EINVAL` unless `fd` is of this kind.
    pub(super) fn require(self, fd: impl AsFd) -> Result<(), SysError> {
        match kind_of(fd)? {
            Some(kind) if kind == self => Ok(()),
            _ => Err(SysError { call: self.expected(), errno: Errno::EINVAL }),
        }
    }
}

/// The id after `id` (start with 0), or `None` at the end. Needs `CAP_SYS_ADMIN` (`EPERM`).
pub fn next_id(kind: ObjectKind, id: u32) -> Result<Option<u32>, SysError> {
    let mut attr = attr::ById { id, ..Default::default() };
    // SAFETY: no pointers. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says`.
    match unsafe { call(kind.commands().0, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(e) if e.errno == Errno::ENOENT => Ok(None),
        Err(e) => Err(e),
    }
}

/// Opens the object with this id; `ENOENT` when it is gone. Needs `CAP_SYS_ADMIN`.
pub fn fd_by_id(kind: ObjectKind, id: u32) -> Result<OwnedFd, SysError> {
    let mut attr = attr::ById { id, ..Default::default() };
    // SAFETY: no pointers. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says`.
    unsafe { call_fd(kind.commands().1, &mut attr) }
}

/// What an open descriptor is; `None` if it is not an object of BPF with an id.
///
/// procfs says it in the name that the kernel gives the file. Where there is no procfs, commands are asked that take
/// one kind of descriptor only, each with a second argument that it must refuse (`EBADF`): they change nothing.
pub fn kind_of(fd: impl AsFd) -> Result<Option<ObjectKind>, SysError> {
    let fd = fd.as_fd();
    match name_in_proc(fd) {
        Some(name) => Ok(match name.strip_prefix("anon_inode:") {
            Some("bpf-prog") => Some(ObjectKind::Prog),
            Some("bpf-map") => Some(ObjectKind::Map),
            Some("bpf_link" | "bpf-link") => Some(ObjectKind::Link),
            Some("btf") => Some(ObjectKind::Btf),
            _ => None,
        }),
        None => kind_by_commands(fd),
    }
}

/// The kernel's name of an open file. A `/proc` that is not procfs says nothing.
fn name_in_proc(fd: BorrowedFd<'_>) -> Option<String> {
    const DIR: &str = "/proc/thread-self/fd";
    if statfs(DIR).ok()?.filesystem_type() != PROC_SUPER_MAGIC {
        return None;
    }
    readlink(format!("{DIR}/{}", fd.as_raw_fd()).as_str()).ok()?.into_string().ok()
}

/// `-1` as a descriptor: `EBADF`, if the kernel comes to look at it.
const NO_FD: i32 = -1;

/// What a descriptor is, by what it can be used for. Linux 5.10, which has a command for each kind; `EOPNOTSUPP`
/// before.
fn kind_by_commands(fd: BorrowedFd<'_>) -> Result<Option<ObjectKind>, SysError> {
    let none = BorrowedFdOrNone::None;
    if !takes(bind_map(none, none)) {
        return Err(SysError::other("telling what a descriptor is, without procfs,", Errno::EOPNOTSUPP));
    }
    if takes(bind_map(BorrowedFdOrNone::Fd(fd), none)) {
        return Ok(Some(ObjectKind::Prog));
    }
    let mut update =
        attr::LinkUpdate { link_fd: Fd::of(&fd), new_prog_fd: Fd::number(NO_FD), ..Default::default() };
    // SAFETY: no pointers. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says_without_proc`.
    if takes(unsafe { call(Cmd::LinkUpdate, &mut update) }) {
        return Ok(Some(ObjectKind::Link));
    }
    // Without pointers in it, the question harms no kind. What it answers is as long as the kernel's struct for the
    // kind, and that of BTF is the shortest.
    const BTF_LEN: u32 = 32;
    let mut info = [0u8; 512];
    let mut attr =
        attr::ObjInfo { bpf_fd: Fd::of(&fd), info_len: info.len() as u32, info: PtrMut::to(&mut info) };
    // SAFETY: `info` with its length, and all zero: no pointers in it. Test:
    // `sound_attacks::a_descriptor_is_what_the_kernel_says_without_proc`.
    match unsafe { call(Cmd::ObjGetInfoByFd, &mut attr) } {
        Ok(_) if attr.info_len <= BTF_LEN => Ok(Some(ObjectKind::Btf)),
        Ok(_) => Ok(Some(ObjectKind::Map)),
        Err(e) if e.errno == Errno::EINVAL => Ok(None),
        Err(e) => Err(e),
    }
}

/// A descriptor, or none on purpose.
#[derive(Clone, Copy)]
enum BorrowedFdOrNone<'a> {
    Fd(BorrowedFd<'a>),
    None,
}

/// `BPF_PROG_BIND_MAP` with descriptors that may be none.
fn bind_map(prog: BorrowedFdOrNone<'_>, map: BorrowedFdOrNone<'_>) -> Result<i32, SysError> {
    let number = |fd| match fd {
        BorrowedFdOrNone::Fd(fd) => Fd::number(fd.as_raw_fd()),
        BorrowedFdOrNone::None => Fd::number(NO_FD),
    };
    let mut attr = attr::ProgBindMap { prog_fd: number(prog), map_fd: number(map), flags: 0 };
    // SAFETY: no pointers. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says_without_proc`.
    unsafe { call(Cmd::ProgBindMap, &mut attr) }
}

/// True if a command came as far as the descriptor that is none.
fn takes(answer: Result<i32, SysError>) -> bool {
    matches!(answer, Err(e) if e.errno == Errno::EBADF)
}

/// `BPF_OBJ_PIN`: names an object in a bpffs. `EEXIST` if the name is taken, `EPERM` if it has a dot in it,
/// `EINVAL` if the directory is not in a bpffs.
pub fn obj_pin(fd: impl AsFd, path: &Path) -> Result<(), SysError> {
    let path = c_path(path, Cmd::ObjPin)?;
    let mut attr = attr::ObjPin { pathname: Ptr::to_str(&path), bpf_fd: Fd::of(&fd), ..Default::default() };
    // SAFETY: the path is NUL-terminated. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says`.
    unsafe { call(Cmd::ObjPin, &mut attr) }.map(drop)
}

/// `BPF_OBJ_GET`: opens a pinned program, map or link. `flags`: `BPF_F_RDONLY` or `BPF_F_WRONLY` for maps.
pub fn obj_get(path: &Path, flags: u32) -> Result<OwnedFd, SysError> {
    let path = c_path(path, Cmd::ObjGet)?;
    let mut attr = attr::ObjGet { pathname: Ptr::to_str(&path), file_flags: flags, ..Default::default() };
    // SAFETY: the path is NUL-terminated. Test: `sound_attacks::a_descriptor_is_what_the_kernel_says`.
    unsafe { call_fd(Cmd::ObjGet, &mut attr) }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident: $kind:expr;)*) => { $(
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name(OwnedFd);

        impl $name {
            /// Asks the kernel what an open descriptor is. `EINVAL` if it is something else.
            pub fn new(fd: impl Into<OwnedFd>) -> Result<$name, SysError> {
                let fd = fd.into();
                $kind.require(&fd)?;
                Ok($name(fd))
            }

            /// Opens the one with this id. `ENOENT` if it is gone; needs `CAP_SYS_ADMIN`.
            pub fn by_id(id: u32) -> Result<$name, SysError> {
                fd_by_id($kind, id).map($name)
            }

            /// A second descriptor of the same object.
            pub fn try_clone(&self) -> Result<$name, SysError> {
                self.0.try_clone().map($name).map_err(|e| SysError::other("fcntl", e))
            }

            /// Takes a descriptor that a command returned which returns no others.
            #[allow(dead_code, reason = "not every kind is made in every configuration")]
            pub(super) fn made(fd: OwnedFd) -> $name {
                $name(fd)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl From<$name> for OwnedFd {
            fn from(fd: $name) -> OwnedFd {
                fd.0
            }
        }
    )* };
}

kinds! {
    /// A descriptor of a program.
    ProgFd: ObjectKind::Prog;
    /// A descriptor of a link.
    LinkFd: ObjectKind::Link;
    /// A descriptor of a BTF object.
    BtfFd: ObjectKind::Btf;
}

impl ProgFd {
    /// Opens a pinned program. `EINVAL` if something else is pinned there. Linux 4.4.
    pub fn by_pin(path: &Path) -> Result<ProgFd, SysError> {
        ProgFd::new(obj_get(path, 0)?)
    }
}

impl LinkFd {
    /// Opens a pinned link. `EINVAL` if something else is pinned there. Linux 5.7.
    pub fn by_pin(path: &Path) -> Result<LinkFd, SysError> {
        LinkFd::new(obj_get(path, 0)?)
    }
}
