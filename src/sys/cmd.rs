//! The commands of `bpf(2)`, one safe function each, over the crate's single `syscall(SYS_bpf, ...)`.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attr::{self, Attr, Fd, Ptr, PtrMut};
use super::errno::{Call, Errno, SysError};
use super::fd;
use super::info::{Pod, RawBtfInfo, RawMapInfo, RawProgInfo};
use super::observe;
use crate::uapi::Cmd;

/// The system call.
///
/// # Safety
/// `A` must be what the kernel expects for `cmd`, and every buffer that `attr` points to must be as long as
/// the kernel will read or write, which for some commands is more than `attr` itself says.
pub(super) unsafe fn call<A: Attr>(cmd: Cmd, attr: &mut A) -> Result<i32, SysError> {
    let fields = observe::before(|| attr.fields());
    // SAFETY: `attr` is a live repr(C) struct of the given size; the caller vouches for its pointers.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, cmd.0, std::ptr::from_mut(attr), size_of::<A>()) };
    let result = if ret < 0 { Err(Errno::last()) } else { Ok(ret as i32) };
    observe::after(Call::Bpf(cmd), fields, result, "");
    result.map_err(|errno| SysError::bpf(cmd, errno))
}

/// A command that returns a new descriptor.
///
/// # Safety
/// As for [`call`].
unsafe fn call_fd<A: Attr>(cmd: Cmd, attr: &mut A) -> Result<OwnedFd, SysError> {
    // SAFETY: passed on to the caller; a descriptor that the kernel just made is ours alone.
    unsafe { fd::own(call(cmd, attr)?) }.map_err(|errno| SysError::bpf(cmd, errno))
}

/// `BPF_MAP_CREATE`: makes a map. `EINVAL` for sizes and flags that the type does not allow.
pub fn map_create(attr: &mut attr::MapCreate) -> Result<OwnedFd, SysError> {
    // SAFETY: the kernel writes through no pointer of this command.
    unsafe { call_fd(Cmd::MapCreate, attr) }
}

/// What a program load borrows from its caller: slices whose lengths belong to their pointers.
#[derive(Default, Clone, Copy)]
pub struct ProgLoadParts<'a> {
    /// The instructions in host byte order.
    pub insns: &'a [[u8; 8]],
    /// License, with its NUL.
    pub license: Option<&'a std::ffi::CStr>,
    /// `func_info` records of `func_info_rec_size` bytes.
    pub func_info: &'a [u8],
    /// Bytes of one record.
    pub func_info_rec_size: u32,
    /// `line_info` records of `line_info_rec_size` bytes.
    pub line_info: &'a [u8],
    /// Bytes of one record.
    pub line_info_rec_size: u32,
    /// Descriptors that instructions refer to by index.
    pub fd_array: &'a [i32],
    /// Tell the kernel how long `fd_array` is, so that its maps are bound to the program (Linux 6.14).
    pub bind_fd_array: bool,
    /// PKCS#7 signature of the instructions (Linux 6.18).
    pub signature: &'a [u8],
}

/// The answer to a program load, good or bad, with what the kernel said of its log.
#[derive(Debug)]
pub struct ProgLoaded {
    /// The program, or why not.
    pub fd: Result<OwnedFd, SysError>,
    /// How many bytes the whole log needs, 0 on kernels before 6.4.
    pub log_true_size: u32,
}

/// `BPF_PROG_LOAD`: verifies and loads a program.
///
/// `head` gives the scalar fields; pointers and lengths come from `parts` and `log`. `EAGAIN` (a signal
/// hit the verifier) is tried again, five times at most.
pub fn prog_load(head: attr::ProgLoad, parts: ProgLoadParts, log: &mut [u8]) -> ProgLoaded {
    let count = |bytes: &[u8], rec: u32| match rec {
        0 => 0,
        rec => (bytes.len() / rec as usize) as u32,
    };
    let mut attr = attr::ProgLoad {
        insns: Ptr::to(parts.insns),
        insn_cnt: parts.insns.len() as u32,
        license: parts.license.map_or(Ptr::NULL, Ptr::to_str),
        func_info: Ptr::to(parts.func_info),
        func_info_rec_size: parts.func_info_rec_size,
        func_info_cnt: count(parts.func_info, parts.func_info_rec_size),
        line_info: Ptr::to(parts.line_info),
        line_info_rec_size: parts.line_info_rec_size,
        line_info_cnt: count(parts.line_info, parts.line_info_rec_size),
        fd_array: Ptr::to(parts.fd_array),
        fd_array_cnt: if parts.bind_fd_array { parts.fd_array.len() as u32 } else { 0 },
        signature: Ptr::to(parts.signature),
        signature_size: parts.signature.len() as u32,
        log_size: log.len() as u32,
        log_buf: PtrMut::to(log),
        ..head
    };
    let mut tries = 5;
    loop {
        // SAFETY: every pointer was just set together with its length. fd_array has no length on older
        // kernels: the kernel copies the entries that instructions name, and faults (EFAULT) beyond the
        // mapping; it only reads.
        let fd = unsafe { call_fd(Cmd::ProgLoad, &mut attr) };
        tries -= 1;
        match fd {
            Err(e) if e.errno == Errno::EAGAIN && tries > 0 => continue,
            fd => return ProgLoaded { fd, log_true_size: attr.log_true_size },
        }
    }
}

/// `BPF_BTF_LOAD`: gives types to the kernel. The log is written only if `log` is not empty.
pub fn btf_load(btf: &[u8], log: &mut [u8], token: Fd) -> (Result<OwnedFd, SysError>, u32) {
    let mut attr = attr::BtfLoad {
        btf: Ptr::to(btf),
        btf_size: btf.len() as u32,
        btf_log_size: log.len() as u32,
        btf_log_level: u32::from(!log.is_empty()),
        btf_log_buf: PtrMut::to(log),
        btf_flags: if token == Fd::NONE { 0 } else { attr::prog_flags::TOKEN_FD },
        btf_token_fd: token,
        ..Default::default()
    };
    // SAFETY: both buffers were set together with their lengths.
    let fd = unsafe { call_fd(Cmd::BtfLoad, &mut attr) };
    (fd, attr.btf_log_true_size)
}

/// A path as the kernel wants it; a path with a NUL inside is `EINVAL`.
fn c_path(path: &Path, cmd: Cmd) -> Result<CString, SysError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| SysError::bpf(cmd, Errno::EINVAL))
}

/// `BPF_OBJ_PIN`: names an object in a bpffs. `EEXIST` if the name is taken, `EPERM` if it has a dot in it,
/// `EINVAL` if the directory is not in a bpffs.
pub fn obj_pin(fd: impl AsFd, path: &Path) -> Result<(), SysError> {
    let path = c_path(path, Cmd::ObjPin)?;
    let mut attr = attr::ObjPin { pathname: Ptr::to_str(&path), bpf_fd: Fd::of(&fd), ..Default::default() };
    // SAFETY: the path is NUL-terminated.
    unsafe { call(Cmd::ObjPin, &mut attr) }.map(drop)
}

/// `BPF_OBJ_GET`: opens a pinned program, map or link. `flags`: `BPF_F_RDONLY` or `BPF_F_WRONLY` for maps.
pub fn obj_get(path: &Path, flags: u32) -> Result<OwnedFd, SysError> {
    let path = c_path(path, Cmd::ObjGet)?;
    let mut attr = attr::ObjGet { pathname: Ptr::to_str(&path), file_flags: flags, ..Default::default() };
    // SAFETY: the path is NUL-terminated.
    unsafe { call_fd(Cmd::ObjGet, &mut attr) }
}

/// `BPF_LINK_CREATE`: attaches a program.
pub fn link_create(attr: &mut attr::LinkCreate) -> Result<OwnedFd, SysError> {
    // SAFETY: the union's pointers come from slices that LinkExtra borrows together with their lengths.
    unsafe { call_fd(Cmd::LinkCreate, attr) }
}

/// `BPF_LINK_UPDATE`: puts another program behind a link; with `old`, only if that one is there now.
pub fn link_update(link: impl AsFd, new: impl AsFd, old: Option<BorrowedFd<'_>>) -> Result<(), SysError> {
    /// `BPF_F_REPLACE`
    const REPLACE: u32 = 1 << 2;
    let mut attr = attr::LinkUpdate {
        link_fd: Fd::of(&link),
        new_prog_fd: Fd::of(&new),
        flags: if old.is_some() { REPLACE } else { 0 },
        old_prog_fd: Fd::borrow(old),
    };
    // SAFETY: no pointers.
    unsafe { call(Cmd::LinkUpdate, &mut attr) }.map(drop)
}

/// `BPF_LINK_DETACH`: detaches a link while others may still hold it. `EOPNOTSUPP` for links of perf events
/// and raw tracepoints, which detach when their last descriptor and pin go.
pub fn link_detach(link: impl AsFd) -> Result<(), SysError> {
    // SAFETY: no pointers.
    unsafe { call(Cmd::LinkDetach, &mut attr::LinkDetach { link_fd: Fd::of(&link) }) }.map(drop)
}

/// `BPF_PROG_ATTACH`: attaches without a link.
pub fn prog_attach(attr: &mut attr::ProgAttach) -> Result<(), SysError> {
    // SAFETY: no pointers.
    unsafe { call(Cmd::ProgAttach, attr) }.map(drop)
}

/// `BPF_PROG_DETACH`: undoes [`prog_attach`].
pub fn prog_detach(attr: &mut attr::ProgDetach) -> Result<(), SysError> {
    // SAFETY: no pointers.
    unsafe { call(Cmd::ProgDetach, attr) }.map(drop)
}

/// `BPF_RAW_TRACEPOINT_OPEN`: attaches a raw tracepoint (with its name) or another tracing program.
pub fn raw_tracepoint_open(
    name: Option<&std::ffi::CStr>,
    prog: impl AsFd,
    cookie: u64,
) -> Result<OwnedFd, SysError> {
    let name = name.map_or(Ptr::NULL, Ptr::to_str);
    let mut attr = attr::RawTracepointOpen { name, prog_fd: Fd::of(&prog), cookie, ..Default::default() };
    // SAFETY: the name is NUL-terminated.
    unsafe { call_fd(Cmd::RawTracepointOpen, &mut attr) }
}

/// `BPF_ITER_CREATE`: starts an iterator; reading the descriptor runs the program.
pub fn iter_create(link: impl AsFd) -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers.
    unsafe { call_fd(Cmd::IterCreate, &mut attr::IterCreate { link_fd: Fd::of(&link), flags: 0 }) }
}

/// `BPF_ENABLE_STATS`: counts run time and runs of all programs while the descriptor is open.
pub fn enable_stats() -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers.
    unsafe { call_fd(Cmd::EnableStats, &mut attr::EnableStats { kind: 0 }) }
}

/// `BPF_PROG_BIND_MAP`: lets a program hold a map that it does not use.
pub fn prog_bind_map(prog: impl AsFd, map: impl AsFd) -> Result<(), SysError> {
    let mut attr = attr::ProgBindMap { prog_fd: Fd::of(&prog), map_fd: Fd::of(&map), flags: 0 };
    // SAFETY: no pointers.
    unsafe { call(Cmd::ProgBindMap, &mut attr) }.map(drop)
}

/// `BPF_TOKEN_CREATE`: a token from the root directory of a bpffs with delegation.
pub fn token_create(bpffs: impl AsFd) -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers.
    unsafe { call_fd(Cmd::TokenCreate, &mut attr::TokenCreate { flags: 0, bpffs_fd: Fd::of(&bpffs) }) }
}

/// What a test run gives and gets back.
#[derive(Debug, Default, Clone)]
pub struct TestRun {
    /// The packet. XDP and tc programs want at least 14 bytes.
    pub data: Vec<u8>,
    /// The context struct of the program type, empty for the default one (Linux 5.2).
    pub ctx: Vec<u8>,
    /// How often to run; 0 means once.
    pub repeat: u32,
    /// `BPF_F_TEST_RUN_ON_CPU` and others.
    pub flags: u32,
    /// CPU, with `BPF_F_TEST_RUN_ON_CPU`.
    pub cpu: u32,
    /// Frames in flight for live frames (Linux 5.18), 0 for the default.
    pub batch_size: u32,
}

/// What a test run returned.
#[derive(Debug, Default, Clone)]
pub struct TestRunOutput {
    /// The program's return value.
    pub retval: u32,
    /// Average nanoseconds of one run.
    pub duration_ns: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The context afterwards.
    pub ctx: Vec<u8>,
}

/// `BPF_PROG_TEST_RUN`: runs a program on data from user space. `EOPNOTSUPP`/`ENOTSUPP` for program types that
/// cannot be run so.
pub fn prog_test_run(prog: impl AsFd, run: &TestRun) -> Result<TestRunOutput, SysError> {
    /// `BPF_F_TEST_XDP_LIVE_FRAMES`: frames really leave, so the kernel refuses an output buffer.
    const LIVE_FRAMES: u32 = 1 << 1;
    /// XDP programs may grow the packet at both ends by their headroom.
    const ROOM: usize = 512;
    let live = run.flags & LIVE_FRAMES != 0;
    let mut data = vec![0; if run.data.is_empty() || live { 0 } else { run.data.len() + ROOM }];
    let mut ctx = vec![0; if live { 0 } else { run.ctx.len() }];
    let mut ctx_in = run.ctx.clone();
    let mut attr = attr::ProgTestRun {
        data_size_out: data.len() as u32,
        data_out: PtrMut::to(&mut data),
        ctx_size_out: ctx.len() as u32,
        ctx_out: PtrMut::to(&mut ctx),
        ..run_attr(&prog, run, &mut ctx_in)
    };
    // SAFETY: every buffer was set together with its length.
    unsafe { call(Cmd::ProgTestRun, &mut attr) }?;
    let (retval, duration_ns) = (attr.retval, attr.duration);
    let (data_len, ctx_len) = (attr.data_size_out as usize, attr.ctx_size_out as usize);
    data.truncate(data_len);
    ctx.truncate(ctx_len);
    Ok(TestRunOutput { retval, duration_ns, data, ctx })
}

/// The same for programs that take arguments instead of a packet: syscall programs (Linux 5.14), whose context is
/// read and written in place, and raw tracepoints (Linux 5.10). `data`, `repeat` and `batch_size` must not be set.
pub fn prog_run_in_place(prog: impl AsFd, run: &TestRun) -> Result<TestRunOutput, SysError> {
    let mut ctx = run.ctx.clone();
    let mut attr = run_attr(&prog, run, &mut ctx);
    // SAFETY: every buffer was set together with its length, and the one that is written to is borrowed mutably.
    unsafe { call(Cmd::ProgTestRun, &mut attr) }?;
    let (retval, duration_ns) = (attr.retval, attr.duration);
    Ok(TestRunOutput { retval, duration_ns, data: Vec::new(), ctx })
}

/// What both ways to run a program have in common: what goes in.
fn run_attr<'a>(prog: &'a impl AsFd, run: &'a TestRun, ctx: &'a mut [u8]) -> attr::ProgTestRun<'a> {
    attr::ProgTestRun {
        prog_fd: Fd::of(prog),
        data_in: Ptr::to(&run.data),
        data_size_in: run.data.len() as u32,
        ctx_size_in: ctx.len() as u32,
        ctx_in: PtrMut::to(ctx),
        repeat: run.repeat,
        flags: run.flags,
        cpu: run.cpu,
        batch_size: run.batch_size,
        ..Default::default()
    }
}

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
}

/// The id after `id` (start with 0), or `None` at the end. Needs `CAP_SYS_ADMIN` (`EPERM`).
pub fn next_id(kind: ObjectKind, id: u32) -> Result<Option<u32>, SysError> {
    let mut attr = attr::ById { id, ..Default::default() };
    // SAFETY: no pointers.
    match unsafe { call(kind.commands().0, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(e) if e.errno == Errno::ENOENT => Ok(None),
        Err(e) => Err(e),
    }
}

/// Opens the object with this id; `ENOENT` when it is gone.
pub fn fd_by_id(kind: ObjectKind, id: u32) -> Result<OwnedFd, SysError> {
    let mut attr = attr::ById { id, ..Default::default() };
    // SAFETY: no pointers.
    unsafe { call_fd(kind.commands().1, &mut attr) }
}

/// `BPF_OBJ_GET_INFO_BY_FD`: fills the kernel's view of an object into `info`.
///
/// # Safety
/// Pointers that `info` holds must be valid for the lengths that `info` holds beside them.
pub(super) unsafe fn obj_info<T: Pod>(fd: impl AsFd, info: &mut T) -> Result<(), SysError> {
    // SAFETY: T is Pod, so its bytes may be written as such.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(info).cast::<u8>(), size_of::<T>()) };
    let mut attr =
        attr::ObjInfo { bpf_fd: Fd::of(&fd), info_len: bytes.len() as u32, info: PtrMut::to(bytes) };
    // SAFETY: `info` with its length; the caller vouches for the pointers in it.
    unsafe { call(Cmd::ObjGetInfoByFd, &mut attr) }.map(drop)
}

/// What the kernel says of a loaded program, without its lists.
pub fn prog_info(prog: impl AsFd) -> Result<RawProgInfo, SysError> {
    let mut info = RawProgInfo::default();
    // SAFETY: no pointer is set.
    unsafe { obj_info(prog, &mut info) }?;
    Ok(info)
}

/// The lists of a program that a caller wants; each is asked for with the length that [`prog_info`] told.
#[derive(Debug, Default, Clone)]
pub struct ProgLists {
    /// Ids of the maps that it uses.
    pub map_ids: Vec<u32>,
    /// The instructions after the verifier's rewriting. Empty without `CAP_SYS_ADMIN` or `CAP_PERFMON`.
    pub xlated: Vec<[u8; 8]>,
    /// Machine code of all functions, one after the other.
    pub jited: Vec<u8>,
    /// Bytes of machine code of each function.
    pub jited_func_lens: Vec<u32>,
    /// Kernel address of each function.
    pub jited_ksyms: Vec<u64>,
    /// `func_info` records, `func_info_rec_size` bytes each.
    pub func_info: Vec<u8>,
    /// `line_info` records, `line_info_rec_size` bytes each.
    pub line_info: Vec<u8>,
    /// Kernel address of the machine code of each line.
    pub jited_line_info: Vec<u64>,
}

/// Everything the kernel says of a program, lists included.
pub fn prog_lists(prog: impl AsFd) -> Result<(RawProgInfo, ProgLists), SysError> {
    let size = prog_info(&prog)?;
    prog_lists_of(prog, &size)
}

/// The lists whose lengths stand in `size`; those of length zero are not asked for.
///
/// `size` is what [`prog_info`] told, with the lengths of unwanted lists set to zero. The info that comes back has
/// the real lengths.
pub fn prog_lists_of(prog: impl AsFd, size: &RawProgInfo) -> Result<(RawProgInfo, ProgLists), SysError> {
    let bytes = |count: u32, each: u32| vec![0; count as usize * each as usize];
    let mut lists = ProgLists {
        map_ids: vec![0; size.nr_map_ids as usize],
        xlated: vec![[0; 8]; size.xlated_prog_len as usize / 8],
        jited: vec![0; size.jited_prog_len as usize],
        jited_func_lens: vec![0; size.nr_jited_func_lens as usize],
        jited_ksyms: vec![0; size.nr_jited_ksyms as usize],
        func_info: bytes(size.nr_func_info, size.func_info_rec_size),
        line_info: bytes(size.nr_line_info, size.line_info_rec_size),
        jited_line_info: vec![0; size.nr_jited_line_info as usize],
    };
    let mut info = RawProgInfo {
        nr_map_ids: size.nr_map_ids,
        map_ids: PtrMut::to(&mut lists.map_ids).address(),
        xlated_prog_len: size.xlated_prog_len / 8 * 8,
        xlated_prog_insns: PtrMut::to(&mut lists.xlated).address(),
        jited_prog_len: size.jited_prog_len,
        jited_prog_insns: PtrMut::to(&mut lists.jited).address(),
        nr_jited_func_lens: size.nr_jited_func_lens,
        jited_func_lens: PtrMut::to(&mut lists.jited_func_lens).address(),
        nr_jited_ksyms: size.nr_jited_ksyms,
        jited_ksyms: PtrMut::to(&mut lists.jited_ksyms).address(),
        nr_func_info: size.nr_func_info,
        func_info_rec_size: size.func_info_rec_size,
        func_info: PtrMut::to(&mut lists.func_info).address(),
        nr_line_info: size.nr_line_info,
        line_info_rec_size: size.line_info_rec_size,
        line_info: PtrMut::to(&mut lists.line_info).address(),
        nr_jited_line_info: size.nr_jited_line_info,
        jited_line_info_rec_size: if size.nr_jited_line_info == 0 { 0 } else { 8 },
        jited_line_info: PtrMut::to(&mut lists.jited_line_info).address(),
        ..Default::default()
    };
    // SAFETY: every pointer was just set together with the length of the vector behind it.
    unsafe { obj_info(prog, &mut info) }?;
    // The kernel hides instructions from callers it does not trust by zeroing the pointer.
    if info.xlated_prog_insns == 0 {
        lists.xlated.clear();
    }
    if info.jited_prog_insns == 0 {
        lists.jited.clear();
    }
    Ok((info, lists))
}

/// What the kernel says of a map.
pub fn map_info(map: impl AsFd) -> Result<RawMapInfo, SysError> {
    let mut info = RawMapInfo::default();
    // SAFETY: no pointer is set.
    unsafe { obj_info(map, &mut info) }?;
    Ok(info)
}

/// What a BTF object of the kernel is: its id, name (of a module, or `vmlinux`) and types.
#[derive(Debug, Clone)]
pub struct BtfObject {
    /// Its id.
    pub id: u32,
    /// `vmlinux`, a module's name, or empty for what a program brought. Linux 5.11.
    pub name: String,
    /// True if it is the kernel's or a module's.
    pub kernel: bool,
    /// Size of the BTF, in bytes.
    pub size: u32,
}

/// What the kernel says of a BTF object, without the types themselves.
pub fn btf_info(btf: impl AsFd) -> Result<BtfObject, SysError> {
    let mut name = [0u8; 64];
    let mut info = RawBtfInfo { name: PtrMut::to(&mut name).address(), name_len: 64, ..Default::default() };
    // SAFETY: one pointer, with its length.
    match unsafe { obj_info(&btf, &mut info) } {
        // Before Linux 5.11 there are no names, and asking for one is an error.
        Err(e) if e.errno == Errno::E2BIG => {
            info = RawBtfInfo::default();
            // SAFETY: no pointer is set.
            unsafe { obj_info(&btf, &mut info) }?;
        }
        other => other?,
    }
    let text = name.split(|&b| b == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(text).into_owned();
    Ok(BtfObject { id: info.id, name, kernel: info.kernel_btf != 0, size: info.btf_size })
}

/// The bytes of a BTF object of the kernel.
pub fn btf_bytes(btf: impl AsFd) -> Result<Vec<u8>, SysError> {
    let size = btf_info(&btf)?.size;
    let mut data = vec![0u8; size as usize];
    let mut info = RawBtfInfo { btf: PtrMut::to(&mut data).address(), btf_size: size, ..Default::default() };
    // SAFETY: one pointer, with its length.
    unsafe { obj_info(btf, &mut info) }?;
    Ok(data)
}
