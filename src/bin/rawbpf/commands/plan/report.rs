//! The calls of a plan, as text and as JSON.

use std::io::{self, Write};

use rawbpf::bytes::Endian;
use rawbpf::elf::MapIx;
use rawbpf::loader::{FdOf, MapPlan, Plan, PlanStep, Poison, ProgPlan};
use rawbpf::sys::map::flags;
use rawbpf::uapi::ProgType;
use serde::Serialize;

use crate::options::LoadOptions;
use crate::ui::output::Report;

#[derive(Debug, Serialize)]
pub(super) struct PlanReport {
    object: String,
    pub(super) calls: Vec<Call>,
    maps: Vec<MapRow>,
    programs: Vec<ProgramRow>,
    skipped: Vec<(String, String)>,
}

/// One call: the command, its attributes by their UAPI names, and what they are about.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    call: String,
    attributes: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
struct MapRow {
    map: String,
    map_name: String,
    map_type: u32,
    map_type_name: String,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    map_extra: u64,
    numa_node: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    create: bool,
    freeze: bool,
    pin: Option<String>,
    contents: Option<String>,
    inner: Option<Box<MapRow>>,
}

#[derive(Debug, Serialize)]
struct ProgramRow {
    program: String,
    section: String,
    prog_type: u32,
    prog_type_name: String,
    expected_attach_type: u32,
    attach_btf_id: u32,
    attach_to: Option<String>,
    prog_flags: u32,
    license: String,
    insn_cnt: usize,
    insns: String,
    maps: Vec<MapUse>,
    func_info_cnt: usize,
    line_info_cnt: usize,
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
struct MapUse {
    slot: u32,
    map: String,
}

/// Something that this kernel lacks, and the instruction that would need it.
#[derive(Debug, Serialize)]
struct Missing {
    slot: u32,
    what: String,
}

/// The plan as a report.
pub(super) fn report(plan: &Plan, targets: &[(String, rawbpf::Target)]) -> PlanReport {
    let mut calls: Vec<Call> = plan.steps.iter().filter_map(|step| call(plan, step)).collect();
    for (program, target) in targets {
        let mut attributes = vec![("prog_fd".into(), format!("<{program}>"))];
        attributes.extend(target.fields().into_iter().map(|(name, value)| (name.into(), value)));
        calls.push(Call { call: target.call().into(), attributes });
    }
    PlanReport {
        object: plan.object.clone(),
        calls,
        maps: plan.maps.iter().map(map_row).collect(),
        programs: plan.programs.iter().map(|p| program_row(plan, p)).collect(),
        skipped: plan.skipped.iter().map(|s| (s.program.clone(), s.why.clone())).collect(),
    }
}

fn map_name(plan: &Plan, ix: MapIx) -> String {
    plan.maps.get(ix.0).map(|m| m.name.clone()).unwrap_or_default()
}

fn map_row(map: &MapPlan) -> MapRow {
    MapRow {
        map: map.name.clone(),
        map_name: map.kernel_name.clone(),
        map_type: map.map_type.0,
        map_type_name: map.map_type.to_string(),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        map_flags: map.flags,
        map_extra: map.extra,
        numa_node: map.numa_node,
        btf_key_type_id: map.key_type.0,
        btf_value_type_id: map.value_type.0,
        create: map.create,
        freeze: map.freeze,
        pin: map.pin.as_ref().map(|p| p.display().to_string()),
        contents: map.contents.as_ref().map(|c| c.iter().map(|b| format!("{b:02x}")).collect()),
        inner: map.inner.as_deref().map(|inner| Box::new(map_row(inner))),
    }
}

fn program_row(plan: &Plan, program: &ProgPlan) -> ProgramRow {
    let maps = program.patches.iter().filter_map(|patch| match patch.fd_of {
        FdOf::Map(ix) => Some(MapUse { slot: patch.at.0, map: map_name(plan, ix) }),
        _ => None,
    });
    ProgramRow {
        program: program.name.clone(),
        section: program.section.clone(),
        prog_type: program.prog_type.0,
        prog_type_name: program.prog_type.to_string(),
        expected_attach_type: program.attach_type.0,
        attach_btf_id: program.attach.as_ref().map_or(0, |a| a.btf_id.0),
        attach_to: program.attach.as_ref().map(|a| a.name.clone()),
        prog_flags: program.flags,
        license: program.license.clone(),
        insn_cnt: program.insns.len(),
        insns: program
            .insns
            .iter()
            .flat_map(|i| i.to_bytes(Endian::NATIVE))
            .map(|b| format!("{b:02x}"))
            .collect(),
        maps: maps.collect(),
        func_info_cnt: program.func_info.len(),
        line_info_cnt: program.line_info.len(),
        missing: program.poisons.iter().map(|(at, p)| Missing { slot: at.0, what: describe(p) }).collect(),
    }
}

pub(super) fn describe(poison: &Poison) -> String {
    match poison {
        Poison::Core(what) => what.clone(),
        Poison::Map(name) => format!("map `{name}`, which is not created"),
        Poison::Extern(name) => format!("kernel function `{name}`"),
    }
}

/// The call that a step makes. The other steps belong to the one before.
fn call(plan: &Plan, step: &PlanStep) -> Option<Call> {
    let fields = |list: Vec<(&str, String)>| list.into_iter().map(|(n, v)| (n.to_string(), v)).collect();
    let named = |ix: &MapIx| format!("<{}>", map_name(plan, *ix));
    let (call, attributes) = match step {
        PlanStep::RaiseMemlock => ("setrlimit", vec![("RLIMIT_MEMLOCK", "unlimited".to_string())]),
        PlanStep::BtfLoad => {
            let size = plan.btf.as_ref().map_or(0, |b| b.bytes.len());
            ("BPF_BTF_LOAD", vec![("btf_size", size.to_string())])
        }
        PlanStep::MapCreate(ix) => ("BPF_MAP_CREATE", map_fields(plan.maps.get(ix.0)?)),
        PlanStep::MapFill(ix) => {
            let len = plan.maps.get(ix.0)?.contents.as_ref().map_or(0, Vec::len);
            (
                "BPF_MAP_UPDATE_ELEM",
                vec![("map_fd", named(ix)), ("key", "0".into()), ("value", format!("{len} bytes"))],
            )
        }
        PlanStep::MapFreeze(ix) => ("BPF_MAP_FREEZE", vec![("map_fd", named(ix))]),
        PlanStep::MapSlots(ix) | PlanStep::ProgSlots(ix) => {
            let n = plan.maps.get(ix.0)?.slots.len();
            ("BPF_MAP_UPDATE_ELEM", vec![("map_fd", named(ix)), ("elements", n.to_string())])
        }
        PlanStep::StructOpsFill(ix) => {
            ("BPF_MAP_UPDATE_ELEM", vec![("map_fd", named(ix)), ("value", "callbacks".into())])
        }
        PlanStep::ProgLoad(n) => ("BPF_PROG_LOAD", program_fields(plan.programs.get(*n)?)),
        PlanStep::ProgBindMap(n, ix) => {
            let program = format!("<{}>", plan.programs.get(*n)?.name);
            ("BPF_PROG_BIND_MAP", vec![("prog_fd", program), ("map_fd", named(ix))])
        }
    };
    Some(Call { call: call.into(), attributes: fields(attributes) })
}

/// The attributes that are not zero.
fn map_fields(map: &MapPlan) -> Vec<(&'static str, String)> {
    let mut out = vec![
        ("map_type", format!("{:?}", map.map_type)),
        ("key_size", map.key_size.to_string()),
        ("value_size", map.value_size.to_string()),
        ("max_entries", map.max_entries.to_string()),
    ];
    let mut set = |name, value: u64, text: String| {
        if value != 0 {
            out.push((name, text));
        }
    };
    set("map_flags", map.flags.into(), format!("{:#x}", map.flags));
    set("map_extra", map.extra, format!("{:#x}", map.extra));
    set("map_name", map.kernel_name.len() as u64, format!("\"{}\"", map.kernel_name));
    set("btf_key_type_id", map.key_type.0.into(), map.key_type.0.to_string());
    set("btf_value_type_id", map.value_type.0.into(), map.value_type.0.to_string());
    out
}

fn program_fields(program: &ProgPlan) -> Vec<(&'static str, String)> {
    let mut out = vec![
        ("prog_type", format!("{:?}", program.prog_type)),
        ("insn_cnt", program.insns.len().to_string()),
        ("license", format!("\"{}\"", program.license)),
        ("prog_name", format!("\"{}\"", program.name.chars().take(15).collect::<String>())),
    ];
    if program.prog_type == ProgType::StructOps {
        out.push(("expected_attach_type", format!("{} (the member)", program.attach_type.0)));
    } else if program.attach_type.0 != 0 {
        out.push(("expected_attach_type", format!("{:?}", program.attach_type)));
    }
    if program.flags != 0 {
        out.push(("prog_flags", format!("{:#x}", program.flags)));
    }
    if let Some(attach) = &program.attach {
        out.push(("attach_btf_id", format!("{} ({})", attach.btf_id.0, attach.name)));
    }
    if !program.func_info.is_empty() {
        out.push(("func_info_cnt", program.func_info.len().to_string()));
        out.push(("line_info_cnt", program.line_info.len().to_string()));
    }
    out
}

impl Report for PlanReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (n, call) in self.calls.iter().enumerate() {
            let attributes: Vec<String> = call.attributes.iter().map(|(n, v)| format!("{n}={v}")).collect();
            writeln!(out, "{:>3}  {}  {}", n + 1, call.call, attributes.join(" "))?;
        }
        for p in self.programs.iter().filter(|p| !p.maps.is_empty() || !p.missing.is_empty()) {
            writeln!(out, "\n{} ({} instructions):", p.program, p.insn_cnt)?;
            for m in &p.maps {
                writeln!(out, "  instruction {:>4} will hold the descriptor of {}", m.slot, m.map)?;
            }
            for m in &p.missing {
                writeln!(out, "  instruction {:>4} needs what is missing here: {}", m.slot, m.what)?;
            }
        }
        for (program, why) in &self.skipped {
            writeln!(out, "\nnot loaded: {program}: {why}")?;
        }
        Ok(())
    }
}

/// The calls that registering takes, for `plan`.
pub(super) fn struct_ops(plan: &Plan, how: &LoadOptions) -> Vec<Call> {
    let loaded = |ix| plan.programs.iter().any(|p| p.ix == ix);
    let mut out = Vec::new();
    for map in plan.maps.iter().filter(|m| m.create && !how.no_attach) {
        let Some(ops) = map.struct_ops.as_ref().filter(|ops| ops.functions.iter().all(|(_, ix)| loaded(*ix)))
        else {
            continue;
        };
        let fd = format!("<{}>", map.name);
        let (call, attributes) = if map.flags & flags::LINK != 0 {
            ("BPF_LINK_CREATE", vec![("map_fd", fd), ("attach_type", "BPF_STRUCT_OPS".into())])
        } else {
            let value = format!("{} bytes with {} programs", ops.value.len(), ops.functions.len());
            ("BPF_MAP_UPDATE_ELEM", vec![("map_fd", fd), ("key", "0".into()), ("value", value)])
        };
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        out.push(Call { call: call.into(), attributes });
    }
    out
}
