//! Reading objects: what clang writes, what damaged and hostile files give, and what we write ourselves.

use std::fs;
use std::time::Instant;

use rawbpf::bytes::Endian;
use rawbpf::elf::{BuildError, MapDecl, MapOrigin, Object, ReadError, RelocTarget, SlotTarget, Ty, section};
use rawbpf::insn::prelude::*;
use rawbpf::uapi::{AttachType, MapType, ProgType};

use crate::net::object;

/// Every object of bpf/, name and bytes.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let dir = object("");
    let files = fs::read_dir(dir).expect("bpf/ is there").map(|e| e.expect("a file").path());
    let mut out: Vec<(String, Vec<u8>)> = files
        .filter(|p| p.extension().is_some_and(|e| e == "o"))
        .map(|p| (p.display().to_string(), fs::read(&p).expect("it can be read")))
        .collect();
    out.sort();
    assert!(!out.is_empty());
    out
}

#[test]
fn the_packet_counter_as_clang_wrote_it() {
    let o = Object::open(object("packet_count.o")).expect("it is an object");
    assert_eq!(o.name, "packet_count");
    assert_eq!(o.license.as_deref(), Some("Dual MIT/GPL"));
    let map = &o.maps[0];
    assert_eq!((map.name.as_str(), map.map_type, map.max_entries), ("packet_count_map", MapType::Array, 1));
    assert_eq!((map.key_size, map.value_size, &map.origin), (4, 8, &MapOrigin::Declared));
    let program = o.program("count_packets").expect("the program");
    assert_eq!((program.prog_type, program.attach_type), (Some(ProgType::Xdp), AttachType::Xdp));
    assert_eq!(program.func.relocs.len(), 1);
    assert!(matches!(program.func.relocs[0].target, RelocTarget::Map(ix) if ix.0 == 0));
    let line = o.source_line(&program.func, program.func.relocs[0].at).expect("its source line");
    assert_eq!(line.text.trim(), "__u64 *count = bpf_map_lookup_elem(&packet_count_map, &key);");
    assert!(line.file.ends_with("bpf/packet_count.bpf.c"), "{}", line.file);
}

/// A second opinion on the tables: what goblin sees in the same file.
#[test]
fn goblin_sees_the_same_functions_and_relocations() {
    for (name, bytes) in fixtures() {
        let ours = Object::parse("x", &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let elf = goblin::elf::Elf::parse(&bytes).expect("goblin reads it");
        let mut theirs: Vec<(String, u64, u64)> = elf
            .syms
            .iter()
            .filter(|s| s.is_function() && s.st_shndx != 0)
            .map(|s| (elf.strtab.get_at(s.st_name).unwrap_or("").to_string(), s.st_value, s.st_size))
            .collect();
        let functions = ours.programs.iter().map(|p| &p.func).chain(&ours.functions);
        let mut mine: Vec<(String, u64, u64)> = functions
            .map(|f| (f.name.clone(), u64::from(f.offset.0) * 8, f.insns.len() as u64 * 8))
            .collect();
        theirs.sort();
        mine.sort();
        assert_eq!(mine, theirs, "{name}");
        let code = |i: usize| elf.section_headers.get(i).is_some_and(|s| s.is_executable());
        let relocations: usize = elf
            .shdr_relocs
            .iter()
            .filter(|(i, _)| code(elf.section_headers[*i].sh_info as usize))
            .map(|(_, r)| r.len())
            .sum();
        let with_symbols =
            ours.programs.iter().map(|p| &p.func).chain(&ours.functions).flat_map(|f| &f.relocs);
        // Calls within .text have no relocation in the file; we make one for each.
        assert!(with_symbols.count() >= relocations, "{name}");
    }
}

#[test]
fn every_truncation_is_an_error_or_an_object_in_bounded_time() {
    for (name, bytes) in fixtures() {
        let since = Instant::now();
        let step = (bytes.len() / 4096).max(1);
        for len in (0..bytes.len()).step_by(step) {
            let _ = Object::parse("x", &bytes[..len]);
        }
        assert!(since.elapsed().as_secs() < 60, "{name}: {:?}", since.elapsed());
    }
}

#[test]
fn every_flipped_byte_is_an_error_or_an_object_in_bounded_time() {
    let kernel = rawbpf::Kernel::fixture(rawbpf::uapi::Release(6, 18, 0));
    for (name, bytes) in fixtures() {
        let since = Instant::now();
        let mut changed = bytes.clone();
        // All bytes of one file, and some of each other: they are made of the same parts.
        let all = name.ends_with("packet_count.o");
        let step = if all { 1 } else { (bytes.len() / 300).max(1) };
        for (n, at) in (0..bytes.len()).step_by(step).enumerate() {
            let flips = [0xff, 0x80, 0x01];
            for flip in if all { &flips[..] } else { &flips[n % 3..=n % 3] } {
                changed[at] ^= *flip;
                if let Ok(object) = Object::parse("x", &changed) {
                    // Whatever was read can be printed, and does not claim more than the file could hold.
                    let total: usize = object.programs.iter().map(|p| p.func.insns.len()).sum();
                    assert!(total <= bytes.len() * 8, "{name}");
                    let _ = object.plan(&kernel, &Default::default());
                }
                changed[at] ^= *flip;
            }
        }
        assert!(since.elapsed().as_secs() < 120, "{name}: {:?}", since.elapsed());
    }
}

/// The error for a file, with its causes.
fn error(bytes: &[u8]) -> String {
    let e = Object::parse("x", bytes).expect_err("it is no good object");
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(&e);
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    text
}

#[test]
fn what_is_no_bpf_object_is_named() {
    let good = fs::read(object("packet_count.o")).expect("it is there");
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    // The lower byte of a number of two, in the object's order.
    let low = |at: usize| at + usize::from(cfg!(target_endian = "big"));
    for (bytes, wanted) in [
        (Vec::new(), "the file is empty"),
        (b"hello world".to_vec(), "it begins with 68 65 6c 6c"),
        (b"BC\xc0\xde....".to_vec(), "LLVM bitcode"),
        (change(4, 1), "32-bit"),
        (change(low(18), 62), "machine 62 (x86-64), BPF is machine 247"),
        (change(low(16), 2), "type 2, a BPF object is relocatable"),
    ] {
        let said = error(&bytes);
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("clang -g -O2 -target bpf -c"), "what to do: {said}");
    }
}

/// `f() { return 0; }`
fn nothing() -> Code {
    let mut a = Asm::named("f");
    a.mov64(R0, 0).exit();
    a.finish().expect("code")
}

/// A section header of the file, by name: where it is.
fn header_of(bytes: &[u8], name: &str) -> usize {
    let elf = goblin::elf::Elf::parse(bytes).expect("an ELF file");
    let index = elf.section_headers.iter().position(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(name));
    elf.header.e_shoff as usize + index.unwrap_or_else(|| panic!("section {name}")) * 64
}

#[test]
fn an_object_without_its_tables_says_which_one_is_missing() {
    let good = fs::read(object("packet_count.o")).expect("it is there");
    let without = |section: &str| {
        let mut bytes = good.clone();
        let at = header_of(&bytes, section);
        // SHT_NULL: as if it had been stripped.
        bytes[at + 4..at + 8].fill(0);
        let name = header_of(&good, section);
        bytes[name..name + 4].fill(0);
        bytes
    };
    assert!(error(&without(".symtab")).contains("no symbol table"));
    assert!(error(&without(".BTF")).contains("section `.maps` needs BTF, and the object has none"));
    let unlicensed = Object::parse("x", &without("license")).expect("an object without license");
    assert_eq!(unlicensed.license, None, "no license is not \"GPL\"");
}

/// A map of variables that are all hidden or static is not for user space, and so is not made to be mapped there.
#[test]
fn hidden_variables_are_not_mapped() {
    let path = object("rewrite.o");
    let mut bytes = fs::read(path).expect("it can be read");
    let mapped = |bytes: &[u8], map: &str| {
        let object = Object::parse("rewrite", bytes).expect("an object");
        object.map(map).expect(map).flags & rawbpf::sys::map::flags::MMAPABLE != 0
    };
    assert!(mapped(&bytes, ".bss") && mapped(&bytes, ".data"));
    let elf = goblin::elf::Elf::parse(&bytes).expect("an ELF file");
    let nth = elf.syms.iter().position(|s| elf.strtab.get_at(s.st_name) == Some("frames_seen"));
    let table = elf.section_headers.iter().find(|s| s.sh_type == goblin::elf::section_header::SHT_SYMTAB);
    let symbol = table.expect("symbols").sh_offset as usize + 24 * nth.expect("the variable");
    const ST_OTHER: usize = 5;
    const HIDDEN: u8 = 2;
    bytes[symbol + ST_OTHER] = HIDDEN;
    assert!(!mapped(&bytes, ".bss"), "its only variable is hidden");
    assert!(mapped(&bytes, ".data"), "and has no part in the others");
}

#[test]
fn an_unknown_section_is_an_object_that_cannot_be_planned() {
    let build = |section: &str| Object::builder("x").program(section, nothing()).finish();
    match build("kprob/f") {
        Err(BuildError::Section { near, .. }) => assert!(near.contains("kprobe"), "{near}"),
        other => panic!("{other:?}"),
    }
    let mut object = build("xdp").expect("an object");
    let program = object.program_mut("f").expect("it is there");
    (program.section, program.def, program.prog_type) = ("xpd".into(), None, None);
    let plan = object.plan(&rawbpf::Kernel::fixture(rawbpf::uapi::Release(6, 18, 0)), &Default::default());
    let error = plan.expect_err("no plan");
    let said = error.to_string();
    assert!(said.contains("section `xpd`") && said.contains("xdp"), "{said}");
    let step = rawbpf::Error::from(error).advice().and_then(|advice| advice.step);
    assert_eq!(step, Some(rawbpf::NextStep::NameType("f".into())));
    object.program_mut("f").expect("it is there").set_section("xdp").expect("a known section");
    assert!(
        object.plan(&rawbpf::Kernel::fixture(rawbpf::uapi::Release(6, 18, 0)), &Default::default()).is_ok()
    );
}

#[test]
fn an_object_for_the_other_byte_order_is_read_but_not_loaded() {
    let other = if Endian::NATIVE == Endian::Big { Endian::Little } else { Endian::Big };
    let build = |endian| {
        let code = nothing();
        Object::builder("x").endian(endian).license("GPL").program("xdp", code).finish().expect("an object")
    };
    let foreign = build(other).to_elf().expect("a file");
    let read = Object::parse("x", &foreign).expect("it is read all the same");
    assert_eq!(read.programs[0].func.insns, build(Endian::NATIVE).programs[0].func.insns);
    let said = read.plan(&rawbpf::Kernel::host(), &Default::default()).expect_err("no plan").to_string();
    assert!(said.contains("-endian and this machine is") && said.contains("-target bpf"), "{said}");
}

#[test]
fn the_section_table_is_libbpfs() {
    assert_eq!(section::TABLE.len(), 116);
    let automatic = section::TABLE.iter().filter(|d| d.auto != section::AutoAttach::Manual).count();
    assert_eq!(automatic, 50);
    for (name, pattern) in [
        ("xdp", Some("xdp")),
        ("xdp/foo", None),
        ("xdp.frags/devmap", Some("xdp.frags/devmap")),
        ("kprobe", Some("kprobe+")),
        ("kprobe/tcp_connect", Some("kprobe+")),
        ("kprobes", None),
        ("kprobe.multi/tcp_*", Some("kprobe.multi+")),
        ("sk_reuseport/migrate", Some("sk_reuseport/migrate")),
        ("tc", Some("tc")),
        ("tc/foo", None),
        ("cgroup/dev/foo", None),
        ("lsm.s/file_open", Some("lsm.s+")),
        ("struct_ops/init", Some("struct_ops+")),
    ] {
        assert_eq!(section::find(name).map(|d| d.pattern), pattern, "{name}");
    }
}

/// An object with about everything that can be built.
fn rich() -> Object {
    let mut a = Asm::named("entry");
    let helper = a.func("helper");
    a.lddw(R1, map("counts")).lddw(R2, map_value(".data", 8)).mov64(R0, 0).call(helper).exit();
    a.begin(helper).mov64(R0, 2).exit();
    let mut b = Asm::named("other");
    b.mov64(R0, 1).exit();
    let counts = MapDecl::new("counts", MapType::Hash, 64)
        .key(Ty::structure("key", &[("port", Ty::U16), ("address", Ty::array(Ty::U8, 16))]))
        .value(Ty::U64);
    let inner = MapDecl::new("inner", MapType::Array, 4).key(Ty::U32).value(Ty::U32);
    Object::builder("rich")
        .license("GPL")
        .map(counts)
        .map(inner.clone())
        .map(MapDecl::new("outer", MapType::ArrayOfMaps, 2).key(Ty::U32).inner(inner).slot(1, "inner"))
        .map(MapDecl::new("programs", MapType::ProgArray, 2).key(Ty::U32).sizes(4, 4).slot(1, "other"))
        .map(MapDecl::new("ring", MapType::Ringbuf, 4096))
        .data(".data", &[1, 0, 0, 0], &[("first", Ty::U32), ("second", Ty::U64)])
        .data(".bss", &[], &[("zero", Ty::U64)])
        .program("xdp", a.finish().expect("code"))
        .program("xdp", b.finish().expect("code"))
        .finish()
        .expect("an object")
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let built = rich();
    let bytes = built.to_elf().expect("a file");
    let read = Object::parse("rich", &bytes).expect("our own file");
    assert_eq!(read.license, built.license);
    assert_eq!(read.maps.len(), built.maps.len());
    for (a, b) in built.maps.iter().zip(&read.maps) {
        let fields = |m: &rawbpf::elf::MapDef| {
            let inner = m.inner.as_ref().map(|i| (i.map_type, i.key_size, i.value_size, i.max_entries));
            let first =
                (m.name.clone(), m.origin.clone(), m.map_type, m.key_size, m.value_size, m.max_entries);
            (first, m.flags, inner, m.slots.clone(), m.contents.clone(), m.key_type, m.value_type)
        };
        assert_eq!(fields(a), fields(b));
    }
    assert_eq!(read.maps[2].slots, [(1, SlotTarget::Map(rawbpf::elf::MapIx(1)))]);
    assert_eq!(read.maps[3].slots, [(1, SlotTarget::Program(rawbpf::elf::ProgIx(1)))]);
    let functions = |o: &Object| {
        let all = o.programs.iter().map(|p| &p.func).chain(&o.functions);
        all.map(|f| (f.name.clone(), f.section.clone(), f.offset, f.relocs.clone())).collect::<Vec<_>>()
    };
    assert_eq!(functions(&built), functions(&read));
    let kernel = rawbpf::Kernel::fixture(rawbpf::uapi::Release(6, 18, 0));
    let plan = |o: &Object| {
        let plan = o.plan(&kernel, &Default::default()).expect("a plan");
        let program = |p: &rawbpf::loader::ProgPlan| {
            (p.insns.clone(), p.patches.clone(), p.func_info.clone(), p.line_info.clone())
        };
        (plan.programs.iter().map(program).collect::<Vec<_>>(), plan.steps, plan.maps)
    };
    assert_eq!(plan(&built), plan(&read), "and it is loaded the same");
}

#[test]
fn a_reference_to_nothing_names_the_line_of_rust() {
    let mut a = Asm::named("f");
    a.lddw(R1, map("nosuch")).mov64(R0, 0).exit();
    let line = line!() - 1;
    let e = Object::builder("x").program("xdp", a.finish().expect("code")).finish().expect_err("no such map");
    let said = e.to_string();
    assert!(said.contains("there is no map `nosuch`") && said.contains(&format!("elf.rs:{line}")), "{said}");
}

#[test]
fn reading_a_missing_file_names_it() {
    match Object::open("/nonexistent/x.o") {
        Err(e @ ReadError::Io { .. }) => assert_eq!(e.to_string(), "cannot read /nonexistent/x.o"),
        other => panic!("{other:?}"),
    }
}
