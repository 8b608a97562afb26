//! The probes: each does a feature in small and looks at the kernel's answer.

use std::os::fd::OwnedFd;

use super::answer::Answer;
use super::ksyms::Symbols;
use crate::btf::{BtfBuilder, BtfError, Def, FuncLinkage, IntEncoding, Secinfo, TypeId, VarLinkage};
use crate::bytes::Endian;
use crate::insn::prelude::*;
use crate::sys::attr::{self, Fd, LinkCreate, ObjName, TargetFd};
use crate::sys::map::flags;
use crate::sys::{self, Errno, ProgLoadParts, SysError};
use crate::uapi::{AttachType, MapType, ProgType};

/// Turns the result of doing the thing into an answer: a refusal for lack of privileges says nothing.
fn answer<T>(result: Result<T, SysError>) -> Answer {
    match result {
        Ok(_) => Answer::Yes,
        Err(e) if e.errno.is_permission() => Answer::Unknown(e.to_string()),
        Err(e) => Answer::No(e.to_string()),
    }
}

/// `r0 = 0; exit`, and what stands before it.
pub(super) fn finish(mut a: Asm) -> Vec<[u8; 8]> {
    a.mov64(R0, 0).exit();
    let code = a.finish().map(|c| c.insns().to_vec()).unwrap_or_default();
    code.into_iter().map(|i| i.to_bytes(Endian::NATIVE)).collect()
}

pub(super) fn load(
    prog_type: ProgType,
    head: attr::ProgLoad,
    insns: &[[u8; 8]],
) -> Result<OwnedFd, SysError> {
    let parts = ProgLoadParts { insns, license: Some(c"GPL"), ..Default::default() };
    sys::prog_load(attr::ProgLoad { prog_type, ..head }, parts, &mut []).fd.map(OwnedFd::from)
}

fn load_code(prog_type: ProgType, a: Asm) -> Result<OwnedFd, SysError> {
    load(prog_type, attr::ProgLoad::default(), &finish(a))
}

fn array(value_size: u32, map_flags: u32) -> Result<OwnedFd, SysError> {
    sys::map_create(&mut attr::MapCreate {
        map_type: MapType::Array,
        key_size: 4,
        value_size,
        max_entries: 1,
        map_flags,
        ..Default::default()
    })
}

pub(super) fn prog_name() -> Answer {
    let head = attr::ProgLoad { prog_name: ObjName::cut("probe"), ..Default::default() };
    answer(load(ProgType::SocketFilter, head, &finish(Asm::new())))
}

pub(super) fn global_data() -> Answer {
    let run = || {
        let map = array(32, 0)?;
        let mut a = Asm::new();
        a.lddw(R1, Imm64::MapValue { fd: Fd::of(&map).raw(), off: 16 }).store(DW, R1 + 0, 42);
        load_code(ProgType::SocketFilter, a)
    };
    answer(run())
}

pub(super) fn expected_attach_type() -> Answer {
    let head =
        attr::ProgLoad { expected_attach_type: AttachType::CgroupInetSockCreate, ..Default::default() };
    answer(load(ProgType::CgroupSock, head, &finish(Asm::new())))
}

/// A program that calls one helper, with arguments that suit no helper in particular: what counts is
/// whether the kernel knows the helper.
fn helper(helper: Helper, prepare: fn(&mut Asm)) -> Answer {
    let mut a = Asm::new();
    prepare(&mut a);
    a.call(helper);
    answer(load_code(ProgType::Tracepoint, a))
}

pub(super) fn probe_read_kernel() -> Answer {
    helper(Helper::ProbeReadKernel, |a| {
        a.mov64(R1, R10).add64(R1, -8).mov64(R2, 8).mov64(R3, 0);
    })
}

pub(super) fn attach_cookie() -> Answer {
    helper(Helper::GetAttachCookie, |_| {})
}

pub(super) fn memcg_account() -> Answer {
    // The helper came with the release that counts map memory by cgroup.
    let mut a = Asm::new();
    a.call(Helper::KtimeGetCoarseNs);
    answer(load_code(ProgType::SocketFilter, a))
}

pub(super) fn prog_bind_map() -> Answer {
    let run = || {
        let map = array(32, 0)?;
        let prog = load_code(ProgType::SocketFilter, Asm::new())?;
        sys::prog_bind_map(prog, map)
    };
    answer(run())
}

pub(super) fn array_mmap() -> Answer {
    answer(array(4096, flags::MMAPABLE))
}

/// An address more than 512 MiB into a map: only arenas are that long, and only for them it matters.
pub(super) fn wide_map_offset() -> Answer {
    const OFFSET: u32 = 1 << 30;
    let run = || {
        let page = super::release::page_size();
        let arena = sys::map_create(&mut attr::MapCreate {
            map_type: MapType::Arena,
            max_entries: OFFSET / page + 1,
            map_flags: flags::MMAPABLE,
            ..Default::default()
        })?;
        let _memory = sys::SharedMapping::at(&arena, 0, (OFFSET + page) as usize)?;
        let mut a = Asm::new();
        a.lddw(R1, Imm64::MapValue { fd: Fd::of(&arena).raw(), off: OFFSET });
        load_code(ProgType::SocketFilter, a)
    };
    answer(run())
}

pub(super) fn perf_link() -> Answer {
    let run = || {
        let prog = load_code(ProgType::Tracepoint, Asm::new())?;
        let attach_type = AttachType::PerfEvent;
        // Target -1 is no descriptor: a kernel with such links says EBADF, an older one EINVAL.
        let link = LinkCreate {
            prog_fd: Fd::of(&prog),
            target_fd: TargetFd::ifindex(u32::MAX),
            attach_type,
            ..Default::default()
        };
        match sys::link_create(&link) {
            Err(e) if e.errno == Errno::EBADF => Ok(()),
            other => other.map(drop),
        }
    };
    answer(run())
}

pub(super) fn syscall_wrapper() -> Answer {
    let symbols = Symbols::host();
    if symbols.is_empty() {
        return Answer::Unknown("/proc/kallsyms cannot be read".into());
    }
    let wrapped = symbols
        .all()
        .any(|s| s.name.starts_with("__") && s.name.ends_with("_sys_bpf") && s.name != "__se_sys_bpf");
    if wrapped { Answer::Yes } else { Answer::No("/proc/kallsyms has no __ARCH_sys_bpf".into()) }
}

/// Loads BTF that `build` makes.
fn types(build: impl FnOnce(&mut BtfBuilder)) -> Answer {
    let mut b = BtfBuilder::new();
    build(&mut b);
    match b.to_bytes() {
        Ok(bytes) => answer(sys::btf_load(&bytes, &mut [], Fd::NONE).0),
        Err(e) => unbuilt(e),
    }
}

fn unbuilt(e: BtfError) -> Answer {
    Answer::Unknown(format!("the probe could not be built: {e}"))
}

fn int(b: &mut BtfBuilder) -> TypeId {
    b.int("int", 4, IntEncoding::SIGNED)
}

pub(super) fn btf() -> Answer {
    types(|b| {
        int(b);
    })
}

fn func(linkage: FuncLinkage) -> Answer {
    types(|b| {
        let int = int(b);
        let proto = b.func_proto(TypeId(0), &[("a", int)]);
        b.func("f", proto, linkage);
    })
}

pub(super) fn btf_func() -> Answer {
    func(FuncLinkage::Static)
}

pub(super) fn btf_global_func() -> Answer {
    func(FuncLinkage::Global)
}

fn datasec(name: &str) -> Answer {
    types(|b| {
        let int = int(b);
        let ty = b.var("x", int, VarLinkage::Static);
        b.datasec(name, 4, &[Secinfo { ty, offset: 0, size: 4 }]);
    })
}

pub(super) fn btf_datasec() -> Answer {
    datasec(".data")
}

pub(super) fn btf_qmark() -> Answer {
    datasec("?.data")
}

pub(super) fn btf_float() -> Answer {
    types(|b| {
        b.add("float", Def::Float { size: 4 });
    })
}

pub(super) fn btf_decl_tag() -> Answer {
    types(|b| {
        let int = int(b);
        let ty = b.var("x", int, VarLinkage::Static);
        b.add("tag", Def::DeclTag { ty, component: None, attribute: false });
    })
}

pub(super) fn btf_type_tag() -> Answer {
    types(|b| {
        let int = int(b);
        let ty = b.add("tag", Def::TypeTag { ty: int, attribute: false });
        b.ptr(ty);
    })
}

pub(super) fn btf_enum64() -> Answer {
    types(|b| {
        b.add("e", Def::Enum64(crate::btf::Values { size: 8, signed: false, values: Vec::new() }));
    })
}

pub(super) fn btf_layout() -> Answer {
    // A header with the two fields of the layout section, and one row: an older kernel refuses the
    // longer header because it does not know what the non-zero bytes mean.
    let mut b = BtfBuilder::new();
    int(&mut b);
    match b.to_bytes() {
        Ok(bytes) => match with_layout(&bytes) {
            Some(bytes) => answer(sys::btf_load(&bytes, &mut [], Fd::NONE).0),
            None => Answer::Unknown("the probe could not be built".into()),
        },
        Err(e) => unbuilt(e),
    }
}

/// Inserts a layout section with a row for the kinds `void` and `int`.
fn with_layout(plain: &[u8]) -> Option<Vec<u8>> {
    let head = plain.get(..24)?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let (type_len, str_len) = (word(12)?, word(20)?);
    let body = plain.get(24..)?;
    let (types, strings) = (body.get(..type_len as usize)?, body.get(type_len as usize..)?);
    let layout = [[0u8, 0, 0, 0], [4, 0, 0, 0]].concat();
    let mut out = head.get(..4)?.to_vec();
    for field in [32, 0, type_len, type_len + layout.len() as u32, str_len, type_len, layout.len() as u32] {
        out.extend(field.to_ne_bytes());
    }
    out.extend(types);
    out.extend(&layout);
    out.extend(strings);
    Some(out)
}

pub(super) fn uprobe_multi() -> Answer {
    let run = || {
        let attach_type = AttachType::TraceUprobeMulti;
        let head = attr::ProgLoad { expected_attach_type: attach_type, ..Default::default() };
        let prog = load(ProgType::Kprobe, head, &finish(Asm::new()))?;
        let link = |pid: u32| {
            // "/" is no file with code: EBADF from a kernel that has such links. Those before 6.8 looked
            // at the process only after that, and got it wrong; the newer ones say EINVAL for pid -1.
            let extra = attr::LinkExtra::uprobe_multi(c"/", &[0], &[], &[], 0, pid).unwrap_or_default();
            let link = LinkCreate { prog_fd: Fd::of(&prog), attach_type, extra, ..Default::default() };
            sys::link_create(&link)
        };
        match link(0) {
            Err(e) if e.errno == Errno::EBADF => {}
            other => return other.map(drop),
        }
        match link(u32::MAX) {
            Err(e) if e.errno == Errno::EINVAL => Ok(()),
            other => other.map(drop),
        }
    };
    answer(run())
}
