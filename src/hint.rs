//! What to do about an error number: a table, looked up by the command that failed and its number.
//!
//! The kernel says *what* it refuses, seldom *why*, and never what to do. For the common refusals the
//! cause can be told from the call and the number alone; rows further down are more general.

use crate::cause;
use crate::error::Error;
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
        "names in a bpffs may not contain a dot, and only root (or the owner of the directory) may pin there",
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
    let row = TABLE.iter().find(|row| row.errno == failed.errno && (row.cmd.is_none() || row.cmd == cmd))?;
    Some(row.advice.into())
}
