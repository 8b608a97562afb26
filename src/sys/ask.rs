//! What the kernel says of its objects: `BPF_OBJ_GET_INFO_BY_FD` with each kind's struct and lists.

use std::os::fd::AsFd;

use super::attr::{self, Fd, PtrMut};
use super::cmd::call;
use super::errno::{Errno, SysError};
use super::info::{Pod, RawBtfInfo, RawMapInfo, RawProgInfo};
use super::object::{BtfFd, ObjectKind, ProgFd};
use crate::uapi::Cmd;

/// `BPF_OBJ_GET_INFO_BY_FD`: fills the kernel's view of an object into `info`.
///
/// # Safety
/// `fd` must be of the kind whose struct `T` is, or `info` all zero: the kernel goes by the kind of `fd`. Pointers that
/// `info` holds must be valid for the lengths that `info` holds beside them.
pub(super) unsafe fn obj_info<T: Pod>(fd: impl AsFd, info: &mut T) -> Result<(), SysError> {
    // SAFETY: T is Pod, so its bytes may be written as such. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(info).cast::<u8>(), size_of::<T>()) };
    let mut attr =
        attr::ObjInfo { bpf_fd: Fd::of(&fd), info_len: bytes.len() as u32, info: PtrMut::to(bytes) };
    // SAFETY: `info` with its length; the caller vouches for the pointers in it. Test:
    // `sound_attacks::lengths_that_a_caller_makes_up`.
    unsafe { call(Cmd::ObjGetInfoByFd, &mut attr) }.map(drop)
}

/// What the kernel says of a loaded program, without its lists.
pub fn prog_info(prog: &ProgFd) -> Result<RawProgInfo, SysError> {
    let mut info = RawProgInfo::default();
    // SAFETY: a program, and no pointer is set. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
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
pub fn prog_lists(prog: &ProgFd) -> Result<(RawProgInfo, ProgLists), SysError> {
    let size = prog_info(prog)?;
    prog_lists_of(prog, &size)
}

/// The lists whose lengths stand in `size`; those of length zero are not asked for.
///
/// `size` is what [`prog_info`] told, with the lengths of unwanted lists set to zero. The info that comes back has
/// the real lengths. `ENOMEM` if there is no memory for lists of these lengths.
pub fn prog_lists_of(prog: &ProgFd, size: &RawProgInfo) -> Result<(RawProgInfo, ProgLists), SysError> {
    let size = &no_more_than_told(size, &prog_info(prog)?);
    let mut lists = ProgLists {
        map_ids: room(size.nr_map_ids, 1)?,
        xlated: room(size.xlated_prog_len / 8, 1)?,
        jited: room(size.jited_prog_len, 1)?,
        jited_func_lens: room(size.nr_jited_func_lens, 1)?,
        jited_ksyms: room(size.nr_jited_ksyms, 1)?,
        func_info: room(size.nr_func_info, size.func_info_rec_size)?,
        line_info: room(size.nr_line_info, size.line_info_rec_size)?,
        jited_line_info: room(size.nr_jited_line_info, 1)?,
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
    // SAFETY: a program; every pointer was just set together with the length of the vector behind it. Of `func_info`,
    // `line_info` and `jited_line_info` the kernel refuses a size of the records that is not its own. Test:
    // `sound_attacks::lengths_that_a_caller_makes_up`.
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

/// The lengths of `wanted`, but none that is more than the kernel has: nobody can ask for more memory than that.
fn no_more_than_told(wanted: &RawProgInfo, told: &RawProgInfo) -> RawProgInfo {
    let [mut out, told] = [*wanted, *told];
    for (len, most) in [
        (&mut out.nr_map_ids, told.nr_map_ids),
        (&mut out.xlated_prog_len, told.xlated_prog_len),
        (&mut out.jited_prog_len, told.jited_prog_len),
        (&mut out.nr_jited_func_lens, told.nr_jited_func_lens),
        (&mut out.nr_jited_ksyms, told.nr_jited_ksyms),
        (&mut out.nr_func_info, told.nr_func_info),
        (&mut out.nr_line_info, told.nr_line_info),
        (&mut out.nr_jited_line_info, told.nr_jited_line_info),
    ] {
        *len = most.min(*len);
    }
    (out.func_info_rec_size, out.line_info_rec_size) = (told.func_info_rec_size, told.line_info_rec_size);
    out
}

/// `count` zeros in each of `each` records; `ENOMEM` if there is no room for them.
fn room<T: Default + Clone>(count: u32, each: u32) -> Result<Vec<T>, SysError> {
    let none = SysError::bpf(Cmd::ObjGetInfoByFd, Errno::ENOMEM);
    let len = (count as usize).checked_mul(each as usize).ok_or(none)?;
    let mut out = Vec::new();
    out.try_reserve_exact(len).map_err(|_| none)?;
    out.resize(len, T::default());
    Ok(out)
}

/// What the kernel says of a map. `EINVAL` if it is something else.
pub fn map_info(map: impl AsFd) -> Result<RawMapInfo, SysError> {
    ObjectKind::Map.require(&map)?;
    known_map_info(map)
}

/// The same of what is known to be a map.
pub(super) fn known_map_info(map: impl AsFd) -> Result<RawMapInfo, SysError> {
    let mut info = RawMapInfo::default();
    // SAFETY: all zero: no pointer is set. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
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
pub fn btf_info(btf: &BtfFd) -> Result<BtfObject, SysError> {
    let mut name = [0u8; 64];
    let mut info = RawBtfInfo { name: PtrMut::to(&mut name).address(), name_len: 64, ..Default::default() };
    // SAFETY: BTF, and one pointer with its length. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
    match unsafe { obj_info(btf, &mut info) } {
        // Before Linux 5.11 there are no names, and asking for one is an error.
        Err(e) if e.errno == Errno::E2BIG => {
            info = RawBtfInfo::default();
            // SAFETY: no pointer is set. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
            unsafe { obj_info(btf, &mut info) }?;
        }
        other => other?,
    }
    let text = name.split(|&b| b == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(text).into_owned();
    Ok(BtfObject { id: info.id, name, kernel: info.kernel_btf != 0, size: info.btf_size })
}

/// The bytes of a BTF object of the kernel. `ENOMEM` if there is no memory for them.
pub fn btf_bytes(btf: &BtfFd) -> Result<Vec<u8>, SysError> {
    let size = btf_info(btf)?.size;
    let mut data: Vec<u8> = room(size, 1)?;
    let mut info = RawBtfInfo { btf: PtrMut::to(&mut data).address(), btf_size: size, ..Default::default() };
    // SAFETY: BTF, and one pointer with its length. Test: `sound_attacks::lengths_that_a_caller_makes_up`.
    unsafe { obj_info(btf, &mut info) }?;
    Ok(data)
}
