//! Iterators: a file whose reading runs the program once for each task, map element, socket ...
//!
//! ```text
//!   program ──link (what to walk over)──► pinned: every reader of the pin starts a walk
//!                                    └──► BPF_ITER_CREATE: a descriptor, one walk
//! ```
//!
//! The program prints with `bpf_seq_write` and its kin; what it prints is what the file says. To be
//! attached means nothing more than that it can be read: [`Link::iterate`](super::Link::iterate).

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use super::hook_kind::HookKind;
use super::remedy::Remedy;
use super::{AttachError, Hook, IterOver, Link, refusal};
use crate::kernel::{Kernel, release_text};
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra};
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::{AttachType, ProgType};

/// What an iterator walks over. Linux 5.8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Iter {
    /// Everything of the kind that the program is for.
    #[default]
    Everything,
    /// The elements of a map, by its id (`iter/bpf_map_elem`, `iter/bpf_sk_storage_map`, `iter/sockmap`).
    Map(u32),
    /// The threads of one process (`iter/task`, `iter/task_file`, `iter/task_vma`). Linux 6.1.
    Process(u32),
    /// One thread. Linux 6.1.
    Thread(u32),
    /// A cgroup, by its directory, and how to go on from there (`iter/cgroup`). Linux 6.1.
    Cgroup(PathBuf, CgroupOrder),
}

/// How to go on from a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupOrder {
    /// Only the cgroup itself.
    #[default]
    #[doc(alias = "BPF_CGROUP_ITER_SELF_ONLY")]
    Itself = 1,
    /// What is below it, parents first.
    #[doc(alias = "BPF_CGROUP_ITER_DESCENDANTS_PRE")]
    ParentsFirst = 2,
    /// What is below it, children first.
    #[doc(alias = "BPF_CGROUP_ITER_DESCENDANTS_POST")]
    ChildrenFirst = 3,
    /// What is above it.
    #[doc(alias = "BPF_CGROUP_ITER_ANCESTORS_UP")]
    Ancestors = 4,
    /// The cgroups directly below it. Linux 7.1.
    #[doc(alias = "BPF_CGROUP_ITER_CHILDREN")]
    Children = 5,
}

impl fmt::Display for Iter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Iter::Everything => f.write_str("iterator"),
            Iter::Map(id) => write!(f, "iterator over map {id}"),
            Iter::Process(pid) => write!(f, "iterator over process {pid}"),
            Iter::Thread(tid) => write!(f, "iterator over thread {tid}"),
            Iter::Cgroup(path, _) => write!(f, "iterator over cgroup {}", path.display()),
        }
    }
}

impl HookKind for Iter {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }
}

/// Makes an iterator of a program.
pub(super) fn attach(kernel: &Kernel, program: &Program, iter: &Iter) -> Result<Link, AttachError> {
    refusal::check_type(program, "iterator", ProgType::Tracing)?;
    let refused = |source| explain(kernel, program, iter, source);
    let link = match iter {
        Iter::Everything => create(program, &[]),
        Iter::Map(id) => sys::fd_by_id(ObjectKind::Map, *id).and_then(|map| over_fd(program, map.as_fd(), 0)),
        Iter::Thread(tid) => create(program, &words([*tid, 0, 0])),
        Iter::Process(pid) => create(program, &words([0, *pid, 0])),
        Iter::Cgroup(path, order) => File::open(path)
            .map_err(|e| SysError::other("open the cgroup", e))
            .and_then(|dir| over_fd(program, dir.as_fd(), *order as u32)),
    }
    .map_err(refused)?;
    // Before 6.1 the kernel takes these and walks over everything.
    let all = |link: &Link| {
        matches!(
            link.info().map(|i| i.hook),
            Ok(Hook::Iter { over: IterOver::Task { tid: 0, pid: 0 } | IterOver::All, .. })
        )
    };
    if matches!(iter, Iter::Process(_) | Iter::Thread(_)) && all(&link) {
        return Err(AttachError::Unsupported {
            program: program.name().into(),
            hook: iter.to_string(),
            why: format!(
                "iterators over one process came with Linux 6.1, and this kernel is {}",
                release_text()
            ),
            remedy: None,
        });
    }
    Ok(link)
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// `union bpf_iter_link_info`: for a map its descriptor; for a cgroup the order, its descriptor, and its id,
/// which is not given. 16 bytes in the newest kernel; the kernel reads as many as it is given.
fn over_fd(program: &Program, fd: BorrowedFd<'_>, order: u32) -> Result<Link, SysError> {
    let fd = fd.as_raw_fd() as u32;
    match order {
        0 => create(program, &words([fd])),
        _ => create(program, &words([order, fd, 0, 0])),
    }
}

fn create(program: &Program, info: &[u8]) -> Result<Link, SysError> {
    let fd = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        attach_type: AttachType::TraceIter,
        extra: LinkExtra::iter(info),
        ..Default::default()
    })?;
    Ok(Link::new(fd))
}

fn explain(kernel: &Kernel, program: &Program, iter: &Iter, source: SysError) -> AttachError {
    let guess = match (source.errno, iter) {
        (Errno::EBADF, Iter::Everything) => "this iterator walks over the elements of a map",
        (Errno::EINVAL, Iter::Everything) => "this iterator has to be told what to walk over",
        (Errno::EINVAL | Errno::EACCES, Iter::Map(_)) => {
            "the map is of a type that this iterator does not walk over, or its elements are smaller than the program reads"
        }
        (Errno::EINVAL | Errno::E2BIG, Iter::Process(_) | Iter::Thread(_) | Iter::Cgroup(..)) => {
            "this iterator does not take that, or the kernel is older than 6.1"
        }
        (Errno::ESRCH, _) => "there is no such process",
        _ => "",
    };
    let remedy = matches!((source.errno, iter), (Errno::EBADF, Iter::Everything)).then_some(Remedy::NameMap);
    refusal::refused_because(kernel, program, iter, source, &[], guess).with(remedy)
}
