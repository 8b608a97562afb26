//! `rawbpf inspect`: what an object file holds. Reads the file and nothing else.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::Object;
use rawbpf::elf::{Binding, ExternKind, Function, MapDef, MapOrigin, RelocTarget, section};
use rawbpf::insn::Helper;
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;
use crate::ui::table::Table;

/// An object file.
#[derive(Debug, ClapArgs)]
pub(crate) struct ObjectArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
}

#[derive(Debug, Serialize)]
struct Inspection {
    name: String,
    endian: String,
    license: Option<String>,
    btf: bool,
    programs: Vec<ProgramRow>,
    functions: Vec<FunctionRow>,
    maps: Vec<MapRow>,
    externs: Vec<ExternRow>,
    globals: Vec<GlobalRow>,
    /// The oldest kernel that has all that is asked for below; null if something is not known.
    oldest_kernel: Option<String>,
    requirements: Vec<RequirementRow>,
}

#[derive(Debug, Serialize)]
struct GlobalRow {
    name: String,
    section: String,
    declaration: String,
    size: u32,
}

/// Something that a kernel must have.
#[derive(Debug, Serialize)]
pub(crate) struct RequirementRow {
    since: Option<String>,
    kind: &'static str,
    what: String,
    used_by: Vec<String>,
}

impl From<rawbpf::elf::Requirement> for RequirementRow {
    fn from(r: rawbpf::elf::Requirement) -> RequirementRow {
        let since = r.since.map(|s| s.to_string());
        RequirementRow { since, kind: r.kind, what: r.what, used_by: r.used_by }
    }
}

impl RequirementRow {
    /// As a line: since when, what, and for whom.
    pub(crate) fn cells(&self) -> Vec<String> {
        let since = self.since.clone().unwrap_or_else(|| "?".into());
        let users: Vec<&str> = self.used_by.iter().take(4).map(String::as_str).collect();
        let more = if self.used_by.len() > users.len() { ", ..." } else { "" };
        vec![since, self.kind.into(), self.what.clone(), users.join(", ") + more]
    }
}

#[derive(Debug, Serialize)]
struct ProgramRow {
    name: String,
    section: String,
    prog_type: Option<String>,
    autoload: bool,
    insns: usize,
    helpers: Vec<String>,
    maps: Vec<String>,
    core_relocations: usize,
    nearest_sections: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct FunctionRow {
    name: String,
    insns: usize,
    binding: &'static str,
}

#[derive(Debug, Serialize)]
struct MapRow {
    name: String,
    #[serde(rename = "type")]
    map_type: String,
    origin: &'static str,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

#[derive(Debug, Serialize)]
struct ExternRow {
    name: String,
    kind: &'static str,
    weak: bool,
}

pub(crate) fn run(args: &ObjectArgs, out: &Output) -> Result<(), CliError> {
    let object = Object::open(&args.object)?;
    let inspection = Inspection {
        name: object.name.clone(),
        endian: object.endian.to_string(),
        license: object.license.clone(),
        btf: object.btf.is_some(),
        programs: object
            .programs
            .iter()
            .map(|p| ProgramRow {
                name: p.name().into(),
                section: p.section.clone(),
                prog_type: p.prog_type.map(|t| t.to_string()),
                autoload: p.autoload,
                insns: p.func.insns.len(),
                helpers: helpers(&p.func),
                maps: maps(&object, &p.func),
                core_relocations: object.core_relocations(&p.func).count(),
                nearest_sections: if p.def.is_some() { Vec::new() } else { section::nearest(&p.section, 3) },
            })
            .collect(),
        functions: object.functions.iter().map(function).collect(),
        maps: object.maps.iter().map(map).collect(),
        externs: object
            .externs
            .iter()
            .map(|e| ExternRow { name: e.name.clone(), kind: extern_kind(&e.kind), weak: e.weak })
            .collect(),
        globals: object
            .globals()
            .into_iter()
            .map(|g| GlobalRow { name: g.name, section: g.section, declaration: g.declaration, size: g.size })
            .collect(),
        oldest_kernel: object.oldest_kernel().map(|r| r.to_string()),
        requirements: object.requirements().into_iter().map(Into::into).collect(),
    };
    out.report("inspect", &inspection)
}

/// The helpers that a function calls, each once.
fn helpers(func: &Function) -> Vec<String> {
    let mut names = Vec::new();
    let mut second_slot = false;
    for insn in &func.insns {
        let skip = std::mem::replace(&mut second_slot, insn.is_lddw());
        if !skip && insn.is_helper_call() {
            let name = Helper(insn.imm as u32).to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The maps that a function refers to, each once.
fn maps(object: &Object, func: &Function) -> Vec<String> {
    let mut names = Vec::new();
    for reloc in &func.relocs {
        if let RelocTarget::Map(ix) | RelocTarget::MapValue { map: ix, .. } = reloc.target {
            if let Some(name) = object.maps.get(ix.0).map(|m| m.name.clone()).filter(|n| !names.contains(n)) {
                names.push(name);
            }
        }
    }
    names
}

fn function(func: &Function) -> FunctionRow {
    let binding = match func.binding {
        Binding::Local => "static",
        Binding::Global => "global",
        Binding::Weak => "weak",
    };
    FunctionRow { name: func.name.clone(), insns: func.insns.len(), binding }
}

fn map(map: &MapDef) -> MapRow {
    MapRow {
        name: map.name.clone(),
        map_type: map.map_type.to_string(),
        origin: match map.origin {
            MapOrigin::Declared => "declared",
            MapOrigin::Data { .. } => "data section",
            MapOrigin::StructOps(_) => "struct_ops",
        },
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
    }
}

fn extern_kind(kind: &ExternKind) -> &'static str {
    match kind {
        ExternKind::Kconfig { .. } => "kconfig",
        ExternKind::Address => "ksym address",
        ExternKind::Variable(_) => "ksym variable",
        ExternKind::Function(_) => "kfunc",
    }
}

impl Report for Inspection {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let license =
            self.license.as_deref().unwrap_or("none: helpers for GPL-compatible programs are refused");
        let btf = if self.btf { "with BTF" } else { "without BTF" };
        writeln!(out, "{}: BPF object, {}, {btf}, license {license}", self.name, self.endian)?;
        if self.programs.is_empty() {
            writeln!(out, "no programs: no function stands in a section made by SEC(...)")?;
        }
        for p in &self.programs {
            let prog_type = match (&p.prog_type, p.nearest_sections.as_slice()) {
                (Some(t), _) => t.clone(),
                (None, []) => "unknown section name".into(),
                (None, near) => format!("unknown section name (nearest: {})", near.join(", ")),
            };
            let load = if p.autoload { "" } else { ", loaded only when asked for" };
            let insns = count(p.insns, "instruction");
            writeln!(out, "\nprogram {}  section {}  {prog_type}  {insns}{load}", p.name, p.section)?;
            for (what, names) in [("helpers", &p.helpers), ("maps", &p.maps)] {
                if !names.is_empty() {
                    writeln!(out, "  {what}: {}", names.join(", "))?;
                }
            }
            if p.core_relocations > 0 {
                writeln!(out, "  CO-RE: {}", count(p.core_relocations, "relocation"))?;
            }
        }
        self.tables(out)
    }
}

impl Inspection {
    fn tables(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.functions.is_empty() {
            writeln!(out)?;
            let mut table = Table::new(&["FUNCTION", "BINDING", "INSTRUCTIONS"]);
            for f in &self.functions {
                table.row(vec![f.name.clone(), f.binding.into(), f.insns.to_string()]);
            }
            table.write(out)?;
        }
        if !self.maps.is_empty() {
            writeln!(out)?;
            let mut table = Table::new(&["MAP", "TYPE", "KEY", "VALUE", "MAX", "FLAGS", "FROM"]);
            for m in &self.maps {
                table.row(vec![
                    m.name.clone(),
                    m.map_type.clone(),
                    m.key_size.to_string(),
                    m.value_size.to_string(),
                    m.max_entries.to_string(),
                    format!("{:#x}", m.flags),
                    m.origin.into(),
                ]);
            }
            table.write(out)?;
        }
        if !self.externs.is_empty() {
            writeln!(out)?;
            let mut table = Table::new(&["EXTERN", "KIND", "MISSING"]);
            for e in &self.externs {
                let missing = if e.weak { "allowed" } else { "an error" };
                table.row(vec![e.name.clone(), e.kind.into(), missing.into()]);
            }
            table.write(out)?;
        }
        if !self.globals.is_empty() {
            writeln!(out)?;
            let mut table = Table::new(&["GLOBAL (--set NAME=VALUE)", "SECTION", "BYTES"]);
            for g in &self.globals {
                table.row(vec![g.declaration.clone(), g.section.clone(), g.size.to_string()]);
            }
            table.write(out)?;
        }
        match &self.oldest_kernel {
            Some(release) => writeln!(out, "\noldest kernel: Linux {release}, because it has")?,
            None => writeln!(out, "\noldest kernel: not known, because it must have")?,
        }
        let mut table = Table::new(&[]);
        for r in &self.requirements {
            table.row([vec![String::new()], r.cells()].concat());
        }
        table.write(out)
    }
}
