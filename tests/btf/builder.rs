//! What is built is read back, and the kernel takes it.
#![allow(unsafe_code)]

use super::{small, vmlinux};
use crate::gate::{ROOT, require};
use rawbpf::Kernel;
use rawbpf::btf::*;
use rawbpf::bytes::Endian;
use rawbpf::kernel::Feature;

/// A BTF with every kind.
pub(super) fn every_kind(endian: Endian) -> BtfBuilder {
    let mut b = BtfBuilder::with_endian(endian);
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let long = b.int("unsigned long", 8, IntEncoding::UNSIGNED);
    let byte = b.int("bool", 1, IntEncoding::BOOL);
    let ptr = b.ptr(int);
    b.array(int, int, 4);
    let bits = NewMember { name: "bits", ty: int, bit_offset: 64, bit_size: 3 };
    let s = b.composite(false, "s", 16, &[NewMember::at("p", ptr, 0), bits]);
    b.composite(true, "u", 8, &[NewMember::at("l", long, 0), NewMember::at("b", byte, 0)]);
    b.enumeration("e", 4, &[("E_ONE", 1), ("E_MINUS", -1)]);
    b.enumeration("e64", 8, &[("E64_BIG", 0x1_2345_6789)]);
    b.add("fwd", Def::Fwd(FwdKind::Union));
    let t = b.typedef("s_t", s);
    let v = b.push(StrOff::NONE, Def::Volatile(t));
    b.push(StrOff::NONE, Def::Const(v));
    b.push(StrOff::NONE, Def::Restrict(ptr));
    let proto = b.func_proto(int, &[("a", ptr), ("b", long)]);
    let f = b.func("f", proto, FuncLinkage::Global);
    let var = b.var("counter", long, VarLinkage::Global);
    b.datasec(".data", 8, &[Secinfo { ty: var, offset: 0, size: 8 }]);
    b.add("double", Def::Float { size: 8 });
    b.add("tag", Def::DeclTag { ty: f, component: Some(1), attribute: false });
    b.add("whole", Def::DeclTag { ty: f, component: None, attribute: false });
    let tag = b.add("user", Def::TypeTag { ty: int, attribute: false });
    b.ptr(tag);
    b
}

#[test]
fn every_kind_survives_a_round_trip() {
    for endian in [Endian::Little, Endian::Big] {
        let bytes = every_kind(endian).to_bytes().expect("small");
        let btf = Btf::parse(bytes.clone()).expect("what is built parses");
        btf.check().expect("every reference leads somewhere");
        assert_eq!(BtfBuilder::edit(&btf).and_then(|b| b.to_bytes()), Ok(bytes), "{endian}");
    }
}

#[test]
fn the_byte_order_can_be_changed() {
    let little = Btf::parse(every_kind(Endian::Little).to_bytes().expect("small")).expect("parses");
    let mut b = BtfBuilder::edit(&little).expect("every type can be read");
    b.set_endian(Endian::Big);
    assert_eq!(b.to_bytes(), every_kind(Endian::Big).to_bytes());
}

#[test]
fn what_others_made_is_written_back_byte_for_byte() {
    let objects = small().into_iter().flatten();
    let bytes = objects.map(|btf| btf.bytes().to_vec()).chain(vmlinux().map(|v| v.bytes().to_vec()));
    for bytes in bytes {
        let btf = Btf::parse(bytes.clone()).expect("parses");
        assert!(BtfBuilder::edit(&btf).and_then(|b| b.to_bytes()) == Ok(bytes));
    }
}

#[test]
fn strings_are_stored_once() {
    let mut b = BtfBuilder::new();
    let (x, y) = (b.string("x"), b.string("y"));
    assert_eq!((b.string("x"), b.string("y"), b.string("")), (x, y, StrOff::NONE));
    assert_eq!(b.name(y).map(|n| n.to_string()), Some("y".into()));
}

#[test]
fn the_kernel_takes_it() {
    require!(ROOT);
    let btf = Btf::parse(every_kind(Endian::NATIVE).to_bytes().expect("small")).expect("parses");
    load(&sanitize(&btf, &this_kernel()).expect("readable"));
}

/// What this kernel's BTF may contain, by the library's own probes.
pub(super) fn this_kernel() -> Support {
    let kernel = Kernel::host();
    let has = |feature| kernel.has(feature).allows();
    Support {
        func: has(Feature::BtfFunc),
        datasec: has(Feature::BtfDatasec),
        global_func: has(Feature::BtfGlobalFunc),
        float: has(Feature::BtfFloat),
        decl_tag: has(Feature::BtfDeclTag),
        type_tag: has(Feature::BtfTypeTag),
        enum64: has(Feature::BtfEnum64),
        qmark_datasec: has(Feature::BtfQmarkDatasec),
        layout: has(Feature::BtfLayout),
    }
}

/// Loads BTF into the kernel, or fails with the kernel's log.
pub(super) fn load(bytes: &[u8]) {
    let mut log = vec![0u8; 1 << 16];
    // `struct { u64 btf; u64 log_buf; u32 btf_size, log_size, log_level; }` of `union bpf_attr`.
    let mut attr = [0u64; 4];
    attr[0] = bytes.as_ptr() as u64;
    attr[1] = log.as_mut_ptr() as u64;
    let [size, log_size, level] = [bytes.len() as u32, log.len() as u32, 1].map(u64::from);
    let word = |low: u64, high: u64| {
        if cfg!(target_endian = "little") { low | high << 32 } else { low << 32 | high }
    };
    attr[2] = word(size, log_size);
    attr[3] = word(level, 0);
    // SAFETY: the attribute points at two live buffers and tells their lengths.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 18, attr.as_ptr(), 28) };
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    let error = std::io::Error::last_os_error();
    assert!(fd >= 0, "BPF_BTF_LOAD: {error}\n{}", String::from_utf8_lossy(&log[..end]));
    // SAFETY: the descriptor is ours and nobody else has it.
    unsafe { libc::close(fd as i32) };
}
