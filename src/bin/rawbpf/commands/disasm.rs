//! `rawbpf disasm`: the instructions of an object file, with names and source lines.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::Object;
use rawbpf::elf::{Function, Reloc, RelocTarget, SourceLine};
use rawbpf::insn::disasm::{Item, Listing, SymbolNames};
use rawbpf::insn::{InsnIx, LineRef, RefKind};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct DisasmArgs {
    /// The BPF object file
    pub(crate) object: PathBuf,
    /// Print the whole object as text, from which `rawbpf asm` makes the same object
    #[arg(long)]
    pub(crate) text: bool,
}

#[derive(Debug, Serialize)]
struct Disassembly {
    functions: Vec<FunctionRow>,
}

/// The whole object as text.
#[derive(Debug, Serialize)]
struct Text {
    text: String,
}

#[derive(Debug, Serialize)]
struct FunctionRow {
    function: String,
    section: String,
    insns: Vec<InsnRow>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct InsnRow {
    at: u32,
    /// The label that jumps of this function go to.
    label: Option<String>,
    bytes: String,
    text: String,
    /// The map, function or kernel symbol that it refers to.
    symbol: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    source: Option<String>,
}

pub(crate) fn run(args: &DisasmArgs, out: &Output) -> Result<(), CliError> {
    let object = Object::open(&args.object)?;
    if args.text {
        let text = object.to_text()?.to_string();
        return out.report("disasm", &Text { text });
    }
    let programs = object.programs.iter().map(|p| &p.func);
    let functions = programs.chain(&object.functions).map(|func| listing(&object, func)).collect();
    out.report("disasm", &Disassembly { functions })
}

/// What the object knows of the names in one function.
struct Names<'a> {
    object: &'a Object,
    func: &'a Function,
    lines: BTreeMap<InsnIx, SourceLine>,
}

impl SymbolNames for Names<'_> {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        let reloc: &Reloc = self.func.relocs.iter().find(|r| r.at == at)?;
        let map = |ix: rawbpf::elf::MapIx| self.object.maps.get(ix.0).map(|m| m.name.clone());
        let function = |ix: rawbpf::elf::FuncIx| self.object.functions.get(ix.0).map(|f| f.name.clone());
        let is_call = self.func.insns.get(at.index()).is_some_and(|i| i.is_call());
        Some(match reloc.target {
            RelocTarget::Map(ix) => RefKind::Map { name: map(ix)? },
            RelocTarget::MapValue { map: ix, offset } => RefKind::MapValue { name: map(ix)?, off: offset },
            RelocTarget::Extern(ix) if is_call => {
                RefKind::Kfunc { name: self.object.externs.get(ix.0)?.name.clone() }
            }
            RelocTarget::Extern(ix) => RefKind::Ksym { name: self.object.externs.get(ix.0)?.name.clone() },
            RelocTarget::Call(ix) => RefKind::Func { name: function(ix)? },
            RelocTarget::FuncAddr(ix) => RefKind::FuncAddr { name: function(ix)? },
            _ => return None,
        })
    }

    fn function(&self, at: InsnIx) -> Option<&str> {
        (at.0 == 0).then_some(self.func.name.as_str())
    }

    fn defines(&self, function: &str) -> bool {
        self.object.functions.iter().any(|f| f.name == function)
    }

    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        let (_, line) = self.lines.range(..=at).next_back()?;
        Some(LineRef { at, file: &line.file, line: line.line, col: line.column, text: Some(&line.text) })
    }
}

fn listing(object: &Object, func: &Function) -> FunctionRow {
    let names = Names { object, func, lines: object.source_lines(func).into_iter().collect() };
    let listing = Listing::new(&func.insns).symbols(&names).numbers(true).lines(true);
    let mut insns = Vec::new();
    let mut label = None;
    for item in listing.items() {
        let insn = match item {
            Item::Label { at } => {
                label = Some(format!("L{at}"));
                continue;
            }
            Item::Insn(insn) => insn,
            _ => continue,
        };
        let line = names.lines.range(..=insn.at).next_back().map(|(_, line)| line);
        let bytes = insn.slots.iter().flat_map(|s| s.to_bytes(object.endian));
        insns.push(InsnRow {
            at: insn.at.0,
            label: label.take(),
            symbol: names.reference(insn.at).map(|kind| kind.name().to_string()),
            bytes: bytes.map(|b| format!("{b:02x}")).collect(),
            text: insn.to_string(),
            file: line.map(|l| l.file.clone()),
            line: line.map(|l| l.line),
            source: line.map(|l| l.text.clone()),
        });
    }
    let text = listing.to_string();
    FunctionRow { function: func.name.clone(), section: func.section.clone(), insns, text }
}

impl Report for Text {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())
    }
}

impl Report for Disassembly {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (n, f) in self.functions.iter().enumerate() {
            if n > 0 {
                writeln!(out)?;
            }
            writeln!(out, "; section {}", f.section)?;
            write!(out, "{}", f.text)?;
        }
        Ok(())
    }
}
