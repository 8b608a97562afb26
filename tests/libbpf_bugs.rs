//! Where libbpf goes wrong (1.8, at commit f7081a6b): a test for each of its bugs that we know of, which libbpf would
//! fail. Those that a kernel has to answer are in tests/live_lessons/libbpf_bugs.rs, and these elsewhere:
//!
//! ```text
//!   arguments of USDT probes in the layout of objects from before 1.7   live_tracing::usdt::arguments_by_the_older_layout
//!   lists of CPUs that are longer than 128 bytes                        sys::cpu::tests::a_list_of_any_length
//!   an offset in a library that lies in an archive                      live_tracing::archive::a_function_in_an_archive_is_probed
//!   kprobe/MODULE:FUNCTION, attached in the module                      live_tracing::kernel_side::a_kprobe_in_a_module
//! ```

use rawbpf::elf::Object;
use rawbpf::links::Kprobe;
use rawbpf::uapi::Release;
use rawbpf::{Kernel, Options, Target};

fn object(name: &str) -> Object {
    let path = crate::net::object(&format!("{name}.o"));
    Object::open(&path).unwrap_or_else(|e| panic!("{path}: {e:?}"))
}

/// Plans a program for `fentry/TARGET`, on a kernel whose types are those of packet_count.o: the one function in them
/// is `count_packets`.
fn fentry(target: &str) -> Result<u32, String> {
    let btf = object("packet_count").btf.expect("it has types");
    let kernel = Kernel::fixture(Release(6, 12, 0)).with_btf(btf);
    let mut tracer = object("packet_count");
    let program = tracer.program_mut("count_packets").expect("it is there");
    program.set_section(&format!("fentry/{target}")).expect("a section");
    let plan = tracer.plan(&kernel, &Options::default()).map_err(|e| e.to_string())?;
    Ok(plan.programs[0].attach.as_ref().expect("a target").btf_id.0)
}

/// libbpf compares a module's name only as far as the section writes it, so `v:` is taken for vmlinux and `nf:` for
/// nf_conntrack.
#[test]
fn a_module_is_named_by_its_whole_name() {
    let id = fentry("count_packets").expect("without a module");
    assert_eq!(fentry("vmlinux:count_packets"), Ok(id));
    for part in ["v", "vm", "vmlinu", ""] {
        let said = fentry(&format!("{part}:count_packets")).expect_err(part);
        assert!(said.contains(&format!("module `{part}` is not loaded")), "{said}");
    }
}

/// libbpf reads the name up to the `:` and goes for a function that is called as the module is.
#[test]
fn a_kprobe_may_name_a_module() {
    let target = Target::of_section("kprobe/nf_conntrack:nf_conntrack_in+0x8");
    let wanted = Kprobe { offset: 8, ..Kprobe::entry("nf_conntrack:nf_conntrack_in") };
    assert_eq!(target, Ok(Some(Target::Kprobe(wanted))));
}

/// libbpf knows the section usdt.s and attaches nothing in it: it only looks for "usdt/", and a bare one fails too.
#[test]
fn a_sleepable_usdt_program_has_a_hook() {
    let named = Target::of_section("usdt.s//bin/program:provider:probe").expect("a hook");
    assert!(matches!(&named, Some(Target::Usdt(usdt)) if usdt.name == "probe"), "{named:?}");
    assert_eq!(Target::of_section("usdt.s"), Ok(None), "no hook, and no error");
}

/// libbpf strips the `?` from the section's name at the first variable, and then takes all others as wanted.
#[test]
fn a_question_mark_counts_for_every_table_of_its_section() {
    let optional = object("cc_optional");
    for name in ["first", "second"] {
        assert!(!optional.map(name).unwrap_or_else(|| panic!("no {name}")).autocreate, "{name}");
    }
    let plan = optional.plan(&Kernel::fixture(Release(6, 12, 0)), &Options::default()).expect("a plan");
    assert!(plan.programs.is_empty(), "and their programs wait with them");
}
