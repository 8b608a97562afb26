//! The commands of `bpf(2)`, one safe function each, over the crate's single `syscall(SYS_bpf, ...)`.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attr::{self, Attr, Fd, Ptr, PtrMut};
use super::errno::{Call, Errno, SysError};
use super::fd;
use super::object::{BtfFd, LinkFd, ProgFd};
use super::observe;
use crate::uapi::Cmd;

/// The system call.
///
/// # Safety
/// `A` must be what the kernel expects for `cmd`, and every buffer that `attr` points to must be as long as
/// the kernel will read or write, which for some commands is more than `attr` itself says.
pub(super) unsafe fn call<A: Attr>(cmd: Cmd, attr: &mut A) -> Result<i32, SysError> {
    let fields = observe::before(|| attr.fields());
    // SAFETY: `attr` is a live repr(C) struct of the given size; the caller vouches for its pointers. Test:
    // `attr::the_attributes_of_every_command`.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, cmd.0, std::ptr::from_mut(attr), size_of::<A>()) };
    let result = if ret < 0 { Err(Errno::last()) } else { Ok(ret as i32) };
    observe::after(Call::Bpf(cmd), fields, result, "");
    result.map_err(|errno| SysError::bpf(cmd, errno))
}

/// A command that returns a new descriptor.
///
/// # Safety
/// As for [`call`].
pub(super) unsafe fn call_fd<A: Attr>(cmd: Cmd, attr: &mut A) -> Result<OwnedFd, SysError> {
    // SAFETY: passed on to the caller; a descriptor that the kernel just made is ours alone. Test:
    // `attr::the_attributes_of_every_command`.
    unsafe { fd::own(call(cmd, attr)?) }.map_err(|errno| SysError::bpf(cmd, errno))
}

/// `BPF_MAP_CREATE`: makes a map. `EINVAL` for sizes and flags that the type does not allow.
pub fn map_create(attr: &mut attr::MapCreate) -> Result<OwnedFd, SysError> {
    attr.excl_prog_hash_size = if attr.excl_prog_hash == Ptr::NULL { 0 } else { 32 };
    // SAFETY: the only pointer is to a hash of 32 bytes, as its type says, and the kernel reads it. Test:
    // `sound_attacks::a_map_for_one_program_by_a_hash_of_any_length`.
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
    /// Descriptors that instructions refer to by index: `EINVAL` if one refers to more than there are.
    pub fd_array: &'a [i32],
    /// Tell the kernel how long `fd_array` is, so that its maps are bound to the program (Linux 6.14).
    pub bind_fd_array: bool,
    /// PKCS#7 signature of the instructions (Linux 6.18).
    pub signature: &'a [u8],
}

impl ProgLoadParts<'_> {
    /// False if an instruction refers to an entry of `fd_array` behind its end.
    fn names_only_what_is_there(&self) -> bool {
        /// `lddw`, and two kinds of it: the map in `imm` by its place in the array.
        const LDDW: u8 = 0x18;
        const MAP_IDX: [u8; 2] = [5, 6];
        /// `call`, and the kind of it that calls a function of the kernel: of the module in `off`.
        const CALL: u8 = 0x85;
        const KFUNC: u8 = 2;
        let is_there = |at: usize| self.fd_array.is_empty() || at < self.fd_array.len();
        self.insns.iter().all(|&[code, regs, off0, off1, imm @ ..]| {
            let src = if cfg!(target_endian = "big") { regs & 0xf } else { regs >> 4 };
            match code {
                LDDW if MAP_IDX.contains(&src) => is_there(u32::from_ne_bytes(imm) as usize),
                CALL if src == KFUNC => is_there(u16::from_ne_bytes([off0, off1]).into()),
                _ => true,
            }
        })
    }
}

/// The answer to a program load, good or bad, with what the kernel said of its log.
#[derive(Debug)]
pub struct ProgLoaded {
    /// The program, or why not.
    pub fd: Result<ProgFd, SysError>,
    /// How many bytes the whole log needs, 0 on kernels before 6.4.
    pub log_true_size: u32,
}

/// `BPF_PROG_LOAD`: verifies and loads a program.
///
/// `head` gives the scalar fields; pointers and lengths come from `parts` and `log`, whatever `head` has there.
/// `EAGAIN` (a signal hit the verifier) is tried again, five times at most.
pub fn prog_load(head: attr::ProgLoad, parts: ProgLoadParts, log: &mut [u8]) -> ProgLoaded {
    if !parts.names_only_what_is_there() {
        return ProgLoaded { fd: Err(SysError::bpf(Cmd::ProgLoad, Errno::EINVAL)), log_true_size: 0 };
    }
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
        log_size: u32::try_from(log.len()).unwrap_or(u32::MAX),
        log_buf: PtrMut::to(log),
        // For the kernel's own relocation: nobody gives it any here.
        core_relos: Ptr::NULL,
        core_relo_cnt: 0,
        core_relo_rec_size: 0,
        ..head
    };
    let mut tries = 5;
    loop {
        // SAFETY: every pointer was just set together with its length. `fd_array` has no length before Linux 6.14,
        // and the kernel reads the entries that instructions name: all are there, as was checked. Test:
        // `sound_attacks::a_program_whose_lists_are_shorter_than_it_says`.
        let fd = unsafe { call_fd(Cmd::ProgLoad, &mut attr) }.map(ProgFd::made);
        tries -= 1;
        match fd {
            Err(e) if e.errno == Errno::EAGAIN && tries > 0 => continue,
            fd => return ProgLoaded { fd, log_true_size: attr.log_true_size },
        }
    }
}

/// `BPF_BTF_LOAD`: gives types to the kernel. The log is written only if `log` is not empty.
pub fn btf_load(btf: &[u8], log: &mut [u8], token: Fd) -> (Result<BtfFd, SysError>, u32) {
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
    // SAFETY: both buffers were set together with their lengths. Test:
    // `live_types::the_verifiers_words_agree_about_helpers`.
    let fd = unsafe { call_fd(Cmd::BtfLoad, &mut attr) }.map(BtfFd::made);
    (fd, attr.btf_log_true_size)
}

/// A path as the kernel wants it; a path with a NUL inside is `EINVAL`.
pub(super) fn c_path(path: &Path, cmd: Cmd) -> Result<CString, SysError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| SysError::bpf(cmd, Errno::EINVAL))
}

/// `BPF_LINK_CREATE`: attaches a program. `EINVAL` if what is given besides belongs to another attach type.
pub fn link_create(link: &attr::LinkCreate) -> Result<LinkFd, SysError> {
    let mut attr = link.raw().ok_or(SysError::bpf(Cmd::LinkCreate, Errno::EINVAL))?;
    // SAFETY: the pointers in the union come from slices that LinkExtra borrows, with lengths that were compared, and
    // they are where the kernel looks for them at this attach type. Test:
    // `sound_attacks::numbers_that_a_hook_would_take_for_addresses`.
    unsafe { call_fd(Cmd::LinkCreate, &mut attr) }.map(LinkFd::made)
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
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call(Cmd::LinkUpdate, &mut attr) }.map(drop)
}

/// `BPF_LINK_DETACH`: detaches a link while others may still hold it. `EOPNOTSUPP` for links of perf events
/// and raw tracepoints, which detach when their last descriptor and pin go.
pub fn link_detach(link: impl AsFd) -> Result<(), SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call(Cmd::LinkDetach, &mut attr::LinkDetach { link_fd: Fd::of(&link) }) }.map(drop)
}

/// `BPF_PROG_ATTACH`: attaches without a link.
pub fn prog_attach(attr: &mut attr::ProgAttach) -> Result<(), SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call(Cmd::ProgAttach, attr) }.map(drop)
}

/// `BPF_PROG_DETACH`: undoes [`prog_attach`].
pub fn prog_detach(attr: &mut attr::ProgDetach) -> Result<(), SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call(Cmd::ProgDetach, attr) }.map(drop)
}

/// `BPF_RAW_TRACEPOINT_OPEN`: attaches a raw tracepoint (with its name) or another tracing program.
pub fn raw_tracepoint_open(
    name: Option<&std::ffi::CStr>,
    prog: impl AsFd,
    cookie: u64,
) -> Result<LinkFd, SysError> {
    let name = name.map_or(Ptr::NULL, Ptr::to_str);
    let mut attr = attr::RawTracepointOpen { name, prog_fd: Fd::of(&prog), cookie, ..Default::default() };
    // SAFETY: the name is NUL-terminated. Test: `attr::the_attributes_of_every_command`.
    unsafe { call_fd(Cmd::RawTracepointOpen, &mut attr) }.map(LinkFd::made)
}

/// `BPF_ITER_CREATE`: starts an iterator; reading the descriptor runs the program.
pub fn iter_create(link: impl AsFd) -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call_fd(Cmd::IterCreate, &mut attr::IterCreate { link_fd: Fd::of(&link), flags: 0 }) }
}

/// `BPF_ENABLE_STATS`: counts run time and runs of all programs while the descriptor is open.
pub fn enable_stats() -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call_fd(Cmd::EnableStats, &mut attr::EnableStats { kind: 0 }) }
}

/// `BPF_PROG_BIND_MAP`: lets a program hold a map that it does not use.
pub fn prog_bind_map(prog: impl AsFd, map: impl AsFd) -> Result<(), SysError> {
    let mut attr = attr::ProgBindMap { prog_fd: Fd::of(&prog), map_fd: Fd::of(&map), flags: 0 };
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
    unsafe { call(Cmd::ProgBindMap, &mut attr) }.map(drop)
}

/// `BPF_TOKEN_CREATE`: a token from the root directory of a bpffs with delegation.
pub fn token_create(bpffs: impl AsFd) -> Result<OwnedFd, SysError> {
    // SAFETY: no pointers. Test: `attr::the_attributes_of_every_command`.
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
    // SAFETY: every buffer was set together with its length. Test: `sound_attacks::a_run_that_grows_its_packet`.
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
    // Test: `sound_attacks::a_run_that_grows_its_packet`.
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
