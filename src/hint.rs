//! What to do about an error number: a table, looked up by the command that failed and its number.
//!
//! The kernel says *what* it refuses, seldom *why*, and never what to do. For the common refusals the
//! cause can be told from the call and the number alone; rows further down are more general.

use crate::cause;
use crate::error::Error;
use crate::loader::LoadError;
use crate::sys::{Call, Errno};
use crate::uapi::Cmd;

struct Row {
    /// The command; `None` for any.
    cmd: Option<Cmd>,
    errno: Errno,
    advice: &'static str,
}

const fn row(cmd: Option<Cmd>, errno: Errno, advice: &'static str) -> Row {
    Row { cmd, errno, advice }
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
    row(
        Some(Cmd::MapLookupElem),
        Errno::ENOENT,
        "there is no such key; `rawbpf map dump` lists those that are there",
    ),
    row(
        Some(Cmd::MapDeleteElem),
        Errno::ENOENT,
        "there is no such key; `rawbpf map dump` lists those that are there",
    ),
    row(
        Some(Cmd::MapLookupElem),
        Errno::EPERM,
        "the map is write-only for user space (`rawbpf map show`), or it takes root",
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
    row(
        Some(Cmd::ObjGet),
        Errno::ENOENT,
        "nothing is pinned there; `rawbpf prog list` and `rawbpf map list` show what is pinned, and where",
    ),
    row(
        Some(Cmd::ObjGet),
        Errno::EACCES,
        "this file is no pin (pins are files of a bpffs, as under /sys/fs/bpf), or it takes root",
    ),
    row(
        Some(Cmd::ObjGet),
        Errno::EINVAL,
        "what is pinned there is no map: only maps can be opened for reading alone",
    ),
    row(Some(Cmd::ProgGetFdById), Errno::ENOENT, "it is gone by now; `rawbpf prog list` shows what is there"),
    row(Some(Cmd::MapGetFdById), Errno::ENOENT, "it is gone by now; `rawbpf map list` shows what is there"),
    row(Some(Cmd::LinkGetFdById), Errno::ENOENT, "it is gone by now; `rawbpf link list` shows what is there"),
    row(Some(Cmd::BtfGetFdById), Errno::ENOENT, "it is gone by now; `rawbpf btf list` shows what is there"),
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
    row(
        Some(Cmd::MapUpdateElem),
        Errno::EPERM,
        "the map is frozen or read-only for user space (`rawbpf map show`), or it takes root",
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
static ANY: &[(Errno, &str)] = &[
    (Errno::EINVAL, "run it again with --explain: that shows each field that the kernel was asked with"),
    (
        Errno::E2BIG,
        "run it again with --explain: among the fields is one that is newer than this kernel, or a number too large for it",
    ),
    (Errno::ENOMEM, "the machine, or this process's cgroup (memory.max), is short of memory"),
    (Errno::EMFILE, "this process has too many open files; raise the limit: ulimit -n"),
    (Errno::ENFILE, "the machine has too many open files; raise the limit: sysctl fs.file-max"),
    (Errno::EAGAIN, "the kernel was interrupted or is busy; try again"),
    (
        Errno::EBUSY,
        "another process uses it at this moment; `rawbpf attachments` shows who is attached where",
    ),
    (Errno::ENOSPC, "there is no room for more of it"),
    (Errno::EOPNOTSUPP, "this kernel has no such operation here; `rawbpf feature` shows what it has"),
    (Errno::ENOTSUPP, "this kernel has no such operation here; `rawbpf feature` shows what it has"),
];

/// The advice for an error, if there is any.
pub(crate) fn find(error: &Error) -> Option<String> {
    if let Some(cause) = cause::of(error) {
        return Some(cause);
    }
    let failed = error.sys_error()?;
    let cmd = match failed.call {
        Call::Bpf(cmd) => Some(cmd),
        Call::Other(_) => None,
    };
    let row = TABLE.iter().find(|row| row.errno == failed.errno && (row.cmd.is_none() || row.cmd == cmd));
    if let Some(row) = row {
        return Some(row.advice.into());
    }
    // What refuses an attachment or a program says itself what to do.
    let explained = matches!(error, Error::Attach(_) | Error::Load(LoadError::Program { .. }));
    // Of other calls --explain shows few.
    let shown = cmd.is_some() || ![Errno::EINVAL, Errno::E2BIG].contains(&failed.errno);
    let (_, step) = ANY.iter().find(|(errno, _)| *errno == failed.errno && !explained && shown)?;
    Some((*step).into())
}
