//! Plans: pure, so they can be compared with a text file, for kernels that are not here.

use std::fs;
use std::path::Path;

use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::insn::prelude::*;
use rawbpf::loader::{FdOf, PlanStep};
use rawbpf::uapi::{MapType, Release};
use rawbpf::{Kernel, Options, Plan};

use crate::net::object;

/// A plan as text: the steps, and what each is about.
fn show(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for step in &plan.steps {
        match *step {
            PlanStep::MapCreate(ix) => {
                let m = &plan.maps[ix.0];
                let sizes = format!("key {} value {} max {}", m.key_size, m.value_size, m.max_entries);
                let types = format!("types {} {}", m.key_type, m.value_type);
                line(format!(
                    "create {} ({:?}) {} {sizes} flags {:#x} {types}",
                    m.name, m.kernel_name, m.map_type, m.flags
                ));
            }
            PlanStep::ProgLoad(n) => {
                let p = &plan.programs[n];
                let records = format!("func_info {} line_info {}", p.func_info.len(), p.line_info.len());
                line(format!(
                    "load {} {} for {:?} {} instructions {records}",
                    p.name,
                    p.prog_type,
                    p.attach_type,
                    p.insns.len()
                ));
                for patch in &p.patches {
                    if let FdOf::Map(ix) = patch.fd_of {
                        line(format!("  {}: descriptor of {}", patch.at, plan.maps[ix.0].name));
                    }
                }
                for (at, poison) in &p.poisons {
                    line(format!("  {at}: {poison:?}"));
                }
            }
            PlanStep::MapFill(ix) => line(format!(
                "fill {} ({} bytes)",
                plan.maps[ix.0].name,
                plan.maps[ix.0].contents.as_ref().map_or(0, Vec::len)
            )),
            PlanStep::MapFreeze(ix) => line(format!("freeze {}", plan.maps[ix.0].name)),
            PlanStep::MapSlots(ix) | PlanStep::ProgSlots(ix) => {
                line(format!("elements of {}: {:?}", plan.maps[ix.0].name, plan.maps[ix.0].slots))
            }
            PlanStep::ProgBindMap(n, ix) => {
                line(format!("bind {} to {}", plan.maps[ix.0].name, plan.programs[n].name))
            }
            PlanStep::StructOpsFill(ix) => line(format!("callbacks of {}", plan.maps[ix.0].name)),
            PlanStep::BtfLoad => line("BTF".into()),
            PlanStep::RaiseMemlock => line("raise the memory limit".into()),
        }
    }
    out
}

/// Compares with tests/golden/NAME; RAWBPF_BLESS=1 writes it.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("RAWBPF_BLESS").is_some() {
        fs::write(&path, text).expect("the golden file is written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{} differs; RAWBPF_BLESS=1 accepts it", path.display());
}

fn old() -> Kernel {
    Kernel::fixture(Release(4, 19, 0))
}

fn new() -> Kernel {
    Kernel::fixture(Release(6, 18, 0))
}

#[test]
fn the_packet_counter_on_a_new_and_on_an_old_kernel() {
    let o = Object::open(object("packet_count.o")).expect("an object");
    for (name, kernel) in [("packet_count-6.18.txt", new()), ("packet_count-4.19.txt", old())] {
        golden(name, &show(&o.plan(&kernel, &Options::default()).expect("a plan")));
    }
}

fn everything() -> Object {
    let mut a = Asm::named("entry");
    let helper = a.func("helper");
    a.lddw(R1, map("counts")).lddw(R2, map_value(".data", 8)).mov64(R0, 0).call(helper).exit();
    a.begin(helper).lddw(R1, map_value(".rodata", 0)).mov64(R0, 2).exit();
    let inner = MapDecl::new("inner", MapType::Array, 4).key(Ty::U32).value(Ty::U32);
    Object::builder("everything_in_one")
        .license("GPL")
        // The outer map stands before the map that it holds: all maps exist before elements are set.
        .map(
            MapDecl::new("outer", MapType::ArrayOfMaps, 2).key(Ty::U32).inner(inner.clone()).slot(1, "inner"),
        )
        .map(inner)
        .map(MapDecl::new("counts", MapType::PercpuHash, 64).key(Ty::U32).value(Ty::U64))
        .map(MapDecl::new("programs", MapType::ProgArray, 2).key(Ty::U32).sizes(4, 4).slot(0, "entry"))
        .map(MapDecl::new("events", MapType::PerfEventArray, 0).sizes(4, 4))
        .map(MapDecl::new("ring", MapType::Ringbuf, 5000))
        .data(".data", &[1], &[("first", Ty::U32), ("second", Ty::U64)])
        .data(".rodata", &[7, 0, 0, 0], &[("seven", Ty::U32)])
        .program("xdp", a.finish().expect("code"))
        .finish()
        .expect("an object")
}

#[test]
fn everything_in_one() {
    for (name, kernel) in [("everything-6.18.txt", new()), ("everything-4.19.txt", old())] {
        golden(name, &show(&everything().plan(&kernel, &Options::default()).expect("a plan")));
    }
}

#[test]
fn planning_twice_gives_the_same_plan() {
    let plan = || everything().plan(&new(), &Options::default()).expect("a plan");
    let (a, b) = (plan(), plan());
    assert_eq!(a.steps, b.steps);
    assert_eq!(a.maps, b.maps);
    for (a, b) in a.programs.iter().zip(&b.programs) {
        assert_eq!((&a.insns, &a.patches), (&b.insns, &b.patches));
    }
}

#[test]
fn a_called_function_stands_behind_its_caller() {
    let plan = everything().plan(&new(), &Options::default()).expect("a plan");
    let program = &plan.programs[0];
    let parts: Vec<(u32, &str)> = program.parts.iter().map(|p| (p.at.0, p.name.as_str())).collect();
    assert_eq!(parts, [(0, "entry"), (7, "helper")]);
    let call = program.insns[5];
    assert!(call.is_local_call());
    assert_eq!(5 + 1 + call.imm, 7, "the call reaches it");
}

#[test]
fn ring_buffers_are_a_power_of_two_of_pages() {
    let plan = everything().plan(&new(), &Options::default()).expect("a plan");
    let ring = plan.maps.iter().find(|m| m.name == "ring").expect("the ring");
    assert_eq!(ring.max_entries, 8192);
    let events = plan.maps.iter().find(|m| m.name == "events").expect("the perf events");
    assert_eq!(events.max_entries, 1, "one for each CPU that the fixture has");
}

#[test]
fn only_the_programs_that_were_asked_for() {
    let o = Object::open(object("packet_count.o")).expect("an object");
    let options = Options { only: vec!["nosuch".into()], ..Options::default() };
    let said = o.plan(&new(), &options).expect_err("no such program").to_string();
    assert_eq!(said, "the object has no program `nosuch`; it has: count_packets");
}
