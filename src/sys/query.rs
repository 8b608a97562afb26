//! Questions about hooks, and about perf events of other processes: `BPF_PROG_QUERY`, `BPF_TASK_FD_QUERY`.

use super::attr::{self, PtrMut, TargetFd};
use super::cmd::call;
use super::errno::{Errno, SysError};
use crate::uapi::{AttachType, Cmd};

/// What stands at a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookPrograms {
    /// `BPF_F_ALLOW_OVERRIDE`, `BPF_F_ALLOW_MULTI`: how a cgroup's hook is shared.
    pub flags: u32,
    /// A number that changes whenever the list does; 0 where the kernel keeps none. Linux 6.6 (tcx, netkit),
    /// 6.17 (cgroups).
    pub revision: u64,
    /// The programs, in the order in which they run.
    pub programs: Vec<HookProgram>,
}

/// A program at a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookProgram {
    /// Its id.
    pub prog_id: u32,
    /// The flags it was attached with, where the kernel keeps them for each program. Linux 6.0.
    pub flags: u32,
    /// The link that it is attached by; 0 if it is attached without one, or if the hook does not tell.
    pub link_id: u32,
}

/// `query_flags`: in a cgroup, also what it inherits.
#[doc(alias = "BPF_F_QUERY_EFFECTIVE")]
pub const EFFECTIVE: u32 = 1;

/// Which of the lists a kernel can fill. Asking an older kernel for more is `E2BIG` or `EINVAL`, so the question
/// is put again with less.
const SHAPES: [(bool, bool); 3] = [(true, true), (true, false), (false, false)];

/// `BPF_PROG_QUERY`: lists the programs at a hook. `target` is a descriptor or an interface index, as in
/// [`prog_attach`](super::prog_attach). Linux 4.15, `CAP_NET_ADMIN`. `EINVAL` for a hook that this kernel does not
/// know.
pub fn prog_query(
    target: TargetFd<'_>,
    attach_type: AttachType,
    query_flags: u32,
) -> Result<HookPrograms, SysError> {
    let mut last = SysError::bpf(Cmd::ProgQuery, Errno::EINVAL);
    for (flags, links) in SHAPES {
        if query_flags & EFFECTIVE != 0 && flags {
            // What is inherited has no flags of its own here, and the kernel refuses to be asked for them.
            continue;
        }
        match query(target, attach_type, query_flags, flags, links) {
            Err(e) if [Errno::EINVAL, Errno::E2BIG].contains(&e.errno) => last = e,
            other => return other,
        }
    }
    Err(last)
}

fn query(
    target: TargetFd<'_>,
    attach_type: AttachType,
    query_flags: u32,
    with_flags: bool,
    with_links: bool,
) -> Result<HookPrograms, SysError> {
    // The most that one hook of an interface holds; cgroups may hold more, with what they inherit.
    let mut room = 64;
    loop {
        let mut ids = vec![0u32; room];
        let mut flags = vec![0u32; if with_flags { room } else { 0 }];
        let mut links = vec![0u32; if with_links { room } else { 0 }];
        let mut attr = attr::ProgQuery {
            target_fd: target,
            attach_type,
            query_flags,
            prog_ids: PtrMut::to(&mut ids),
            count: room as u32,
            prog_attach_flags: PtrMut::to(&mut flags),
            link_ids: PtrMut::to(&mut links),
            ..Default::default()
        };
        // SAFETY: each list has room for `count` numbers. Test:
        // `live_net::inventory::programs_of_cgroups_are_listed`.
        let asked = unsafe { call(Cmd::ProgQuery, &mut attr) };
        let (count, shared, revision) = (attr.count as usize, attr.attach_flags, attr.revision);
        match asked {
            Err(e) if e.errno == Errno::ENOSPC && count > room && count < 1 << 20 => room = count,
            Err(e) => return Err(e),
            Ok(_) => {
                let at = |list: &[u32], n: usize| list.get(n).copied().unwrap_or(0);
                let programs = ids.iter().take(count).enumerate().map(|(n, id)| HookProgram {
                    prog_id: *id,
                    flags: at(&flags, n),
                    link_id: at(&links, n),
                });
                return Ok(HookPrograms { flags: shared, revision, programs: programs.collect() });
            }
        }
    }
}

/// What a perf event of some process is, if a program is attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFd {
    /// The program.
    pub prog_id: u32,
    /// `enum bpf_task_fd_type`: 0 raw tracepoint, 1 tracepoint, 2 kprobe, 3 kretprobe, 4 uprobe, 5 uretprobe.
    pub fd_type: u32,
    /// Tracepoint, function or file; empty for a probe at an address.
    pub name: String,
    /// Offset in the function or the file, in bytes.
    pub offset: u64,
    /// Address, for a kprobe without a name.
    pub address: u64,
}

/// `BPF_TASK_FD_QUERY`: asks which probe a descriptor of some process is. Linux 4.18, `CAP_SYS_ADMIN`. `ENOENT`,
/// `ENOTSUPP` or `EOPNOTSUPP` if it is none, or no program is attached to it.
pub fn task_fd_query(pid: u32, fd: u32) -> Result<TaskFd, SysError> {
    let mut name = vec![0u8; 4096];
    let mut attr = attr::TaskFdQuery {
        pid,
        fd,
        buf_len: name.len() as u32,
        buf: PtrMut::to(&mut name),
        ..Default::default()
    };
    // SAFETY: the buffer was set together with its length. Test:
    // `live_net::inventory::programs_of_cgroups_are_listed`.
    unsafe { call(Cmd::TaskFdQuery, &mut attr) }?;
    let (prog_id, fd_type) = (attr.prog_id, attr.fd_type);
    let (offset, address) = (attr.probe_offset, attr.probe_addr);
    let text = name.split(|&b| b == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(text).into_owned();
    Ok(TaskFd { prog_id, fd_type, name, offset, address })
}
