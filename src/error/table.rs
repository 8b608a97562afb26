//! Which advice an error gets.
//!
//! The kernel says *what* it refuses, seldom *why*, and never what to do. The answer is looked for in four places, from
//! the most precise to the most general: what the error itself knows, what the machine says of itself (`cause`), a table
//! by the call and its number, and a table by the number alone.

use super::advice::{Advice, NextStep};
use super::{Error, cause};
use crate::elf::GlobalError;
use crate::kernel::KernelError;
use crate::loader::{LoadError, PlanError, TargetError};
use crate::sys::{Call, Errno, ObjectKind};
use crate::uapi::Cmd;

struct Row {
    /// The command; `None` for any.
    cmd: Option<Cmd>,
    errno: Errno,
    why: &'static str,
    step: Option<NextStep>,
}

const fn row(cmd: Option<Cmd>, errno: Errno, why: &'static str) -> Row {
    Row { cmd, errno, why, step: None }
}

const fn step(cmd: Cmd, errno: Errno, why: &'static str, step: NextStep) -> Row {
    Row { cmd: Some(cmd), errno, why, step: Some(step) }
}

static TABLE: &[Row] = &[
    row(
        Some(Cmd::ObjPin),
        Errno::EPERM,
        "the directory is not in a bpffs (mount one: mount -t bpf bpf /sys/fs/bpf), the name has a dot in it, or only root \
         (or the owner of the directory) may pin there",
    ),
    row(
        Some(Cmd::ObjPin),
        Errno::EINVAL,
        "the directory is not in a bpffs; mount one: mount -t bpf bpf /sys/fs/bpf",
    ),
    row(Some(Cmd::ObjPin), Errno::ENOENT, "the directory of the pin does not exist"),
    row(Some(Cmd::ObjPin), Errno::EEXIST, "the name is taken; remove the file, or choose another name"),
    row(
        Some(Cmd::MapCreate),
        Errno::E2BIG,
        "key, value or number of elements are too large for this type of map, or the kernel is older than a field \
         that was set",
    ),
    row(
        Some(Cmd::MapCreate),
        Errno::ENOMEM,
        "the kernel has not enough memory for a map of this size; lower max_entries",
    ),
    row(
        Some(Cmd::MapCreate),
        Errno::EINVAL,
        "the kernel does not know this type of map, or the type does not allow these sizes or flags",
    ),
    row(Some(Cmd::MapUpdateElem), Errno::E2BIG, "the map is full, or there is no such index"),
    row(
        Some(Cmd::MapUpdateElem),
        Errno::EINVAL,
        "a flag, or a value, that this type of map does not take: for maps of descriptors, one of the right kind",
    ),
    row(Some(Cmd::MapUpdateElem), Errno::ENOENT, "there is no such key: the flag is to change what is there"),
    step(Cmd::MapLookupElem, Errno::ENOENT, "there is no such key", NextStep::ListElements),
    step(Cmd::MapDeleteElem, Errno::ENOENT, "there is no such key", NextStep::ListElements),
    step(
        Cmd::MapLookupElem,
        Errno::EPERM,
        "the map is write-only for user space, or it takes root",
        NextStep::ShowMap,
    ),
    row(
        Some(Cmd::MapFreeze),
        Errno::EBUSY,
        "it is mapped writable into memory, or written to at this moment",
    ),
    row(
        Some(Cmd::ProgTestRun),
        Errno::EINVAL,
        "an input that this type of program does not take: packets need at least 14 bytes, a context must be of the \
         program type's size, and tracing programs take a context only",
    ),
    step(Cmd::ObjGet, Errno::ENOENT, "nothing is pinned there", NextStep::ListPins),
    row(
        Some(Cmd::ObjGet),
        Errno::EACCES,
        "this file is not a pin (pins are files of a bpffs, as under /sys/fs/bpf), or it takes root",
    ),
    row(
        Some(Cmd::ObjGet),
        Errno::EINVAL,
        "what is pinned there is not a map: only maps can be opened for reading alone",
    ),
    step(Cmd::ProgGetFdById, Errno::ENOENT, "it is gone by now", NextStep::List(ObjectKind::Prog)),
    step(Cmd::MapGetFdById, Errno::ENOENT, "it is gone by now", NextStep::List(ObjectKind::Map)),
    step(Cmd::LinkGetFdById, Errno::ENOENT, "it is gone by now", NextStep::List(ObjectKind::Link)),
    step(Cmd::BtfGetFdById, Errno::ENOENT, "it is gone by now", NextStep::List(ObjectKind::Btf)),
    row(
        Some(Cmd::LinkUpdate),
        Errno::EINVAL,
        "a link takes programs of its own type and attach type only, and not every kind of link can be updated",
    ),
    row(
        Some(Cmd::LinkDetach),
        Errno::EOPNOTSUPP,
        "links of this kind go when their last pin and descriptor go",
    ),
    row(Some(Cmd::MapDeleteElem), Errno::EINVAL, "elements of an array cannot be deleted; write zeros"),
    row(Some(Cmd::MapUpdateElem), Errno::EEXIST, "the key is there already"),
    step(
        Cmd::MapUpdateElem,
        Errno::EPERM,
        "the map is frozen or read-only for user space, or it takes root",
        NextStep::ShowMap,
    ),
    row(
        Some(Cmd::ProgLoad),
        Errno::E2BIG,
        "the program is too large or too complex: at most 1,000,000 instructions are looked at (4,096 unprivileged)",
    ),
    row(Some(Cmd::LinkCreate), Errno::EBUSY, "the hook is taken by another program"),
    row(Some(Cmd::LinkUpdate), Errno::EPERM, "another program is behind the link by now"),
    row(
        None,
        Errno::EPERM,
        "run it as root, or with the capabilities CAP_BPF and CAP_NET_ADMIN (networking) or CAP_PERFMON (tracing)",
    ),
    row(None, Errno::ENOSYS, "this kernel was built without the bpf system call (CONFIG_BPF_SYSCALL)"),
];

/// The next step for a number of which no row knows more, where the error itself gives none.
static ANY: &[(Errno, &str, Option<NextStep>)] = &[
    (Errno::EINVAL, "", Some(NextStep::ShowCalls)),
    (
        Errno::E2BIG,
        "among the fields is one that is newer than this kernel, or a number too large for it",
        Some(NextStep::ShowCalls),
    ),
    (Errno::ENOMEM, "the machine, or this process's cgroup (memory.max), is short of memory", None),
    (Errno::EMFILE, "this process has too many open files; raise the limit: ulimit -n", None),
    (Errno::ENFILE, "the machine has too many open files; raise the limit: sysctl fs.file-max", None),
    (Errno::EAGAIN, "the kernel was interrupted or is busy; try again", None),
    (Errno::EBUSY, "another process uses it at this moment", Some(NextStep::ListAttachments)),
    (Errno::ENOSPC, "there is no room for more of it", None),
    (Errno::EOPNOTSUPP, "this kernel has no such operation here", Some(NextStep::ListFeatures)),
    (Errno::ENOTSUPP, "this kernel has no such operation here", Some(NextStep::ListFeatures)),
];

impl Error {
    /// What to do about it, if that can be said in general. Asks the machine for its settings where the cause may be there.
    #[doc(alias = "hint")]
    pub fn advice(&self) -> Option<Advice> {
        own(self).or_else(|| cause::of(self)).or_else(|| by_number(self))
    }
}

/// What the error itself knows.
fn own(error: &Error) -> Option<Advice> {
    let step = match error {
        Error::Attach(e) => NextStep::Attach(e.remedy()?.clone()),
        Error::Global(GlobalError::Kconfig { name }) => NextStep::GiveKconfig(name.clone()),
        Error::Plan(PlanError::UnknownSection { program, .. }) => NextStep::NameType(program.clone()),
        Error::Plan(PlanError::Target(
            TargetError::NoProgram { program } | TargetError::NoFunction { program },
        )) => NextStep::NameTarget(program.clone()),
        _ if has_no_btf(error) => NextStep::GiveBtf,
        _ => return None,
    };
    Some(Advice::new("", Some(step)))
}

/// Whether the cause of all is that the kernel's types are not known.
fn has_no_btf(error: &(dyn std::error::Error + 'static)) -> bool {
    let kernel = error.downcast_ref::<KernelError>();
    let kernel = kernel.or_else(|| error.downcast_ref::<Box<KernelError>>().map(Box::as_ref));
    matches!(kernel, Some(KernelError::NoBtf { .. })) || error.source().is_some_and(has_no_btf)
}

/// What the failed call and its number say.
fn by_number(error: &Error) -> Option<Advice> {
    let failed = error.sys_error()?;
    let cmd = match failed.call {
        Call::Bpf(cmd) => Some(cmd),
        Call::Other(_) => None,
    };
    let row = TABLE.iter().find(|row| row.errno == failed.errno && (row.cmd.is_none() || row.cmd == cmd));
    if let Some(row) = row {
        return Some(Advice::new(row.why, row.step.clone()));
    }
    // What refuses an attachment or a program says itself what to do.
    let explained = matches!(error, Error::Attach(_) | Error::Load(LoadError::Program { .. }));
    // Calls other than bpf(2) are not all shown.
    let shown = cmd.is_some() || ![Errno::EINVAL, Errno::E2BIG].contains(&failed.errno);
    let (_, why, step) = ANY.iter().find(|(errno, ..)| *errno == failed.errno && !explained && shown)?;
    Some(Advice::new(*why, step.clone()))
}
