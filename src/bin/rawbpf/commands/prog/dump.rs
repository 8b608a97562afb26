//! `rawbpf prog dump`: the code of a loaded program, with source lines and the names of what it calls and uses.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::bytes::Endian;
use rawbpf::insn::disasm::{Item, Listing, SymbolNames};
use rawbpf::insn::{InsnIx, LineRef, RawInsn, RefKind};
use rawbpf::progs::LoadedCode;
use rawbpf::symbolize::KernelSymbols;
use rawbpf::sys::{self, ObjectKind};
use rawbpf::{Kernel, Map};
use serde::Serialize;

use super::machine::{self, InsnRow};
use crate::select::{self, PROG};
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

/// Which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodeArg {
    /// The instructions after the verifier
    Xlated,
    /// The machine code
    Jited,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Which code
    pub(crate) code: CodeArg,
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// Show the bytes of each instruction
    #[arg(long)]
    pub(crate) opcodes: bool,
    /// Leave out source lines
    #[arg(long)]
    pub(crate) no_source: bool,
    /// Write the raw code to this file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Dump {
    id: u32,
    name: String,
    code: &'static str,
    functions: Vec<FunctionRow>,
}

#[derive(Debug, Serialize)]
struct FunctionRow {
    name: String,
    proto: String,
    /// Of the machine code; null for instructions.
    address: Option<String>,
    insns: Vec<InsnRow>,
    #[serde(skip)]
    text: String,
}

impl Report for Dump {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (nth, f) in self.functions.iter().enumerate() {
            if nth > 0 {
                writeln!(out)?;
            }
            if !f.proto.is_empty() {
                writeln!(out, "; {}", f.proto)?;
            }
            write!(out, "{}", f.text)?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &DumpArgs, out: &Output) -> Result<(), CliError> {
    let found = select::program(&args.program)?;
    let code = found.program.code().map_err(CliError::sys("ask for the program's code"))?;
    let hidden = |what| {
        CliError::Option(format!(
            "the kernel does not show {what} of this program: it takes CAP_SYS_ADMIN or CAP_PERFMON and CAP_BPF, and \
         kernel.bpf_jit_harden=0 or 1"
        ))
    };
    let (word, functions) = match args.code {
        CodeArg::Xlated if code.insns.is_empty() => return Err(hidden("the instructions")),
        CodeArg::Xlated => ("xlated", xlated(&code, args)),
        CodeArg::Jited if found.info.jited_size == 0 => {
            return Err(CliError::Option("the program has no machine code: the kernel interprets it".into()));
        }
        CodeArg::Jited if code.functions.iter().all(|f| f.machine.is_empty()) => {
            return Err(hidden("the machine code"));
        }
        CodeArg::Jited => ("jited", jited(&code, &found.info.tag_hex(), args)),
    };
    if let Some(path) = &args.file {
        let bytes: Vec<u8> = match args.code {
            CodeArg::Xlated => RawInsn::write_all(&code.insns, Endian::NATIVE),
            CodeArg::Jited => code.functions.iter().flat_map(|f| f.machine.iter().copied()).collect(),
        };
        return std::fs::write(path, bytes).map_err(CliError::io(format!("write {}", path.display())));
    }
    out.report("prog dump", &Dump { id: found.info.id, name: found.info.name, code: word, functions })
}

/// What the kernel knows of the names in a program.
struct Names<'a> {
    code: &'a LoadedCode,
    maps: HashMap<u32, String>,
    kernel: Kernel,
    symbols: OnceCell<(KernelSymbols, u64)>,
    lines: BTreeSet<InsnIx>,
}

impl<'a> Names<'a> {
    fn new(code: &'a LoadedCode) -> Names<'a> {
        let ids: BTreeSet<u32> = code.insns.iter().filter(|i| is_map(i)).map(|i| i.imm as u32).collect();
        let name = |id: u32| {
            let fd = sys::fd_by_id(ObjectKind::Map, id).ok()?;
            Map::from_fd(fd).ok().map(|m| (id, m.name().to_string()))
        };
        Names {
            code,
            maps: ids.into_iter().filter_map(name).collect(),
            kernel: Kernel::host(),
            symbols: OnceCell::new(),
            lines: code.lines.iter().map(|l| l.at).collect(),
        }
    }

    /// The kernel's symbols, and the address from which calls count.
    fn symbols(&self) -> &(KernelSymbols, u64) {
        self.symbols.get_or_init(|| {
            let all = self.kernel.symbols();
            let base = all.named("__bpf_call_base").next().map_or(0, |s| s.address);
            (KernelSymbols::new(all), base)
        })
    }

    /// The name of a function of the kernel, by its distance from where calls count. Numbers of helpers are small,
    /// and in an interpreted program they stay what they were.
    fn kernel_function(&self, imm: i32) -> Option<String> {
        let (symbols, base) = self.symbols();
        if *base == 0 || imm == 0 {
            return None;
        }
        let frame = symbols.frame(base.wrapping_add_signed(imm.into()));
        frame.symbol.filter(|(_, offset)| *offset == 0).map(|(name, _)| name)
    }

    fn map(&self, id: i32) -> String {
        let id = id as u32;
        self.maps.get(&id).filter(|n| !n.is_empty()).cloned().unwrap_or_else(|| format!("map id {id}"))
    }
}

/// `lddw` of a map, or of a place in its value: the kernel puts the map's id where its address is.
fn is_map(slot: &RawInsn) -> bool {
    slot.opcode == 0x18 && (slot.src == 1 || slot.src == 2)
}

/// Slots as the kernel shows them, put back into a form that can be decoded: the JIT keeps the distance of calls in
/// the offset, and numbers of functions in the immediate.
fn decodable(insns: &[RawInsn], jited: bool) -> Vec<RawInsn> {
    let mut out = insns.to_vec();
    for at in 0..out.len() {
        let Some(slot) = out.get_mut(at) else { break };
        if slot.opcode == 0x85 {
            if slot.src == 1 && jited {
                slot.imm = slot.off.into();
            }
            slot.off = 0;
        } else if slot.opcode == 0x18 && slot.src == 4 {
            if let Some(second) = out.get_mut(at + 1) {
                second.imm = 0;
            }
        }
    }
    out
}

impl SymbolNames for Names<'_> {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        let slot = self.code.insns.get(at.index())?;
        if is_map(slot) {
            let name = self.map(slot.imm);
            return Some(match slot.src {
                1 => RefKind::Map { name },
                _ => {
                    let off = self.code.insns.get(at.index() + 1).map_or(0, |s| s.imm as u32);
                    RefKind::MapValue { name, off }
                }
            });
        }
        match (slot.opcode, slot.src) {
            (0x85, 0) => self.kernel_function(slot.imm).map(|name| RefKind::Func { name }),
            (0x85, 2) => self.kernel_function(slot.imm).map(|name| RefKind::Kfunc { name }),
            _ => None,
        }
    }

    fn function(&self, at: InsnIx) -> Option<&str> {
        let f = self.code.functions.iter().find(|f| f.at == at)?;
        Some(f.name.as_str()).filter(|name| !name.is_empty())
    }

    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        let l = self.code.line_at(at).filter(|_| self.lines.contains(&at))?;
        Some(LineRef { at, file: &l.file, line: l.line, col: l.column, text: Some(&l.text) })
    }

    fn defines(&self, _function: &str) -> bool {
        true
    }
}

fn xlated(code: &LoadedCode, args: &DumpArgs) -> Vec<FunctionRow> {
    let jited = code.functions.iter().any(|f| f.address != 0 || !f.machine.is_empty());
    let insns = decodable(&code.insns, jited);
    let names = Names::new(code);
    let listing = Listing::new(&insns).symbols(&names).numbers(true).lines(!args.no_source);
    let listing = listing.bytes(args.opcodes.then_some(Endian::NATIVE));
    let mut out: Vec<FunctionRow> = Vec::new();
    for item in listing.items() {
        let start = match &item {
            Item::Function { at, .. } | Item::Label { at } => *at,
            Item::Insn(insn) => insn.at,
            Item::Line(line) => line.at,
        };
        // A function begins where the kernel says so; a program without types is one function.
        let begins = code.functions.iter().find(|f| f.at == start);
        let new = out.is_empty() || (begins.is_some() && matches!(item, Item::Function { .. }));
        if new {
            let (name, proto) = begins.map(|f| (f.name.clone(), f.proto.clone())).unwrap_or_default();
            out.push(FunctionRow { name, proto, address: None, insns: Vec::new(), text: String::new() });
        }
        let Some(function) = out.last_mut() else { continue };
        let _ = match &item {
            Item::Function { name, .. } => writeln!(function.text, "{name}:"),
            item => listing.write_one(&mut function.text, item),
        };
        let Item::Insn(insn) = item else { continue };
        let raw = code.insns.get(insn.at.index()..insn.at.index() + insn.slots.len()).unwrap_or(insn.slots);
        let line = code.line_at(insn.at);
        function.insns.push(InsnRow {
            at: insn.at.0,
            bytes: raw.iter().flat_map(|s| s.to_bytes(Endian::NATIVE)).map(|b| format!("{b:02x}")).collect(),
            text: insn.to_string(),
            file: line.map(|l| l.file.clone()),
            line: line.map(|l| l.line),
            source: line.map(|l| l.text.trim().to_string()),
        });
    }
    out
}

fn jited(code: &LoadedCode, tag: &str, args: &DumpArgs) -> Vec<FunctionRow> {
    let symbols = Kernel::host();
    let symbols = KernelSymbols::new(symbols.symbols());
    let functions = code.functions.iter().filter(|f| !f.machine.is_empty());
    let row = |f: &rawbpf::progs::LoadedFunction| {
        // As the kernel calls it in stack traces and /proc/kallsyms.
        let symbol = symbols.frame(f.address).symbol.filter(|(_, offset)| *offset == 0 && f.address != 0);
        let name = symbol.map_or_else(|| format!("bpf_prog_{tag}_{}", f.name), |(name, _)| name);
        let mut text = format!("{name}:\n");
        let lines = code.lines.iter().filter(|l| l.address >= f.address);
        let lines: Vec<_> = lines.filter(|l| l.address < f.address + f.machine.len() as u64).collect();
        let insns = machine::disassemble(f, &lines, &symbols);
        let mut last = None;
        for insn in &insns {
            let line = insn.line.zip(insn.source.as_ref()).zip(insn.file.as_ref());
            if let (false, Some(((number, source), file))) = (args.no_source, line) {
                if last.replace((number, file)) != Some((number, file)) {
                    text.push_str(&format!("    ; {source} @ {file}:{number}\n"));
                }
            }
            let bytes = if args.opcodes { format!("{:<22} ", spaced(&insn.bytes)) } else { String::new() };
            text.push_str(&format!("{:8x}: {bytes}{}\n", insn.at, insn.text));
        }
        let address = (f.address != 0).then(|| format!("{:#x}", f.address));
        FunctionRow { name, proto: f.proto.clone(), address, insns, text }
    };
    functions.map(row).collect()
}

fn spaced(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).into_owned());
    pairs.collect::<Vec<_>>().join(" ")
}
