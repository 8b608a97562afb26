//! What is fuzzed: everything that reads bytes from outside. Each target takes any bytes, and must neither
//! panic nor take long nor claim more than the bytes could hold.
//!
//! `make fuzz` runs them with libFuzzer; `make test` runs them over the seeds and over what libFuzzer once found.

use rawbpf::btf::{Btf, BtfExt, CDump, decode, dump_c};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use rawbpf::insn::{Insn, Listing, RawInsn, text};
use rawbpf::kernel::Kernel;
use rawbpf::loader::Options;
use rawbpf::uapi::Release;
use std::sync::{Arc, OnceLock};

/// A target's name, what it does with the bytes, and its seeds: the files of bpf/ that end so, or, for `.BTF`
/// and `.BTF.ext`, that section of each of its objects.
pub type Target = (&'static str, fn(&[u8]), &'static str);

/// Every target.
pub const TARGETS: &[Target] = &[
    ("elf", elf, ".o"),
    ("btf", btf, ".BTF"),
    ("btf_ext", btf_ext, ".BTF.ext"),
    ("insn", insn, ".o"),
    ("text", assembler, ".s"),
    ("core", core, ".o"),
    ("core_kernel", core_kernel, ".BTF"),
];

/// An object, planned for an old and for a new kernel.
pub fn elf(data: &[u8]) {
    let Ok(object) = Object::parse("fuzz", data) else { return };
    // Whatever is read does not claim more than the file could hold.
    let slots: usize = object.programs.iter().map(|p| p.func.insns.len()).sum();
    assert!(slots <= data.len() * 8, "{slots} slots of {} bytes", data.len());
    for program in &object.programs {
        let _ = object.source_lines(&program.func);
    }
    for release in [Release(4, 19, 0), Release(6, 18, 0)] {
        let _ = object.plan(&Kernel::fixture(release), &Options::default()).map(|plan| plan.steps.len());
    }
}

/// Types alone.
pub fn btf(data: &[u8]) {
    let Ok(btf) = Btf::parse(data.to_vec()) else { return };
    let _ = dump_c(&btf, &CDump::default());
    for id in 1..btf.type_count() {
        let id = rawbpf::btf::TypeId(id);
        let _ = (btf.size_of(id), btf.field(id, "a.b[3].c"));
        let _ = decode(&btf, id, &[0xa5; 64]).map(|value| value.to_string());
    }
}

/// Function, line and CO-RE records.
pub fn btf_ext(data: &[u8]) {
    let Ok(ext) = BtfExt::parse(data.to_vec()) else { return };
    let mut bytes = 0;
    for section in ext.func_info() {
        bytes += section.with_tails().map(|(_, tail)| 8 + tail.len()).sum::<usize>();
    }
    for section in ext.line_info() {
        bytes += section.with_tails().map(|(_, tail)| 16 + tail.len()).sum::<usize>();
    }
    for section in ext.core_relo() {
        bytes += section.with_tails().map(|(_, tail)| 16 + tail.len()).sum::<usize>();
    }
    assert!(bytes <= data.len() * 3, "{bytes} bytes of records in {}", data.len());
}

/// Instructions of either byte order: what decodes is encoded to the same bytes.
pub fn insn(data: &[u8]) {
    for endian in [Endian::Little, Endian::Big] {
        let slots: Vec<RawInsn> = data
            .chunks_exact(8)
            .map(|slot| RawInsn::from_bytes(slot.try_into().expect("8 bytes"), endian))
            .collect();
        let mut rest = slots.as_slice();
        while !rest.is_empty() {
            let used = match Insn::decode(rest) {
                Ok((insn, used)) => {
                    assert_eq!(*insn.encode(), rest[..used], "{insn:?}");
                    used
                }
                Err(_) => 1,
            };
            rest = &rest[used..];
        }
        let _ = Listing::new(&slots).numbers(true).bytes(Some(endian)).to_string();
    }
}

/// The text assembler: what it takes is listed and taken again.
pub fn assembler(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let _ = text::assemble("fuzz.s", source).map(|_| ()).map_err(|e| e.to_string().len());
}

/// An object's CO-RE relocations, against the types of a small kernel.
pub fn core(data: &[u8]) {
    static KERNEL: OnceLock<Arc<Btf>> = OnceLock::new();
    let types = KERNEL.get_or_init(|| {
        let bytes = include_bytes!("../../bpf/core_kernel.o");
        Object::parse("kernel", bytes).expect("it is good").btf.expect("it has types")
    });
    let Ok(object) = Object::parse("fuzz", data) else { return };
    let kernel = Kernel::fixture(Release(6, 18, 0)).with_btf(Arc::clone(types));
    let _ = object.plan(&kernel, &Options::default()).map_err(|e| e.to_string().len());
}

/// A good object's CO-RE relocations, against any types.
pub fn core_kernel(data: &[u8]) {
    static OBJECT: OnceLock<Object> = OnceLock::new();
    let object = OBJECT.get_or_init(|| {
        Object::parse("kinds", include_bytes!("../../bpf/core_kinds.o")).expect("it is good")
    });
    let Ok(types) = Btf::parse(data.to_vec()) else { return };
    let kernel = Kernel::fixture(Release(6, 18, 0)).with_btf(Arc::new(types));
    let _ = object.plan(&kernel, &Options::default()).map_err(|e| e.to_string().len());
}
