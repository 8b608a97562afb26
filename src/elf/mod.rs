//! What a BPF object file says: the first stage.
//!
//! clang compiles a BPF program to an ELF file that nothing links and nothing executes. It is a set of
//! tables for a loader to read, and the loader is us:
//!
//! ```text
//!   section      holds                            becomes
//!   ──────────   ──────────────────────────────   ─────────────────────────────────────────────
//!   xdp          machine code; the *name* says    ProgDef   one per function symbol; its type and
//!   kprobe/...   what kind of program it is                 hook from the table in [`section`]
//!   .text        functions that others call       Function  copied behind each program using it
//!   .maps        nothing but addresses; the       MapDef    type, sizes, flags: read from BTF, where
//!                BTF of each variable tells all             they are spelled as types (see [`maps`])
//!   .data .bss   global variables                 MapDef    an array map of one element
//!   .rodata                                                 the same, frozen
//!   license      "GPL"                            Object::license
//!   .BTF         the types                        Object::btf
//!   .BTF.ext     functions, source lines, CO-RE   Function::{func_info, line_info, core_relos}
//!   .rel*        "this instruction means that     Reloc     at which instruction, and what it
//!                symbol"                                    refers to: a map, a global, a function
//! ```
//!
//! Reading decides nothing and asks no kernel: the same bytes give the same [`Object`] on any machine, and
//! `rawbpf inspect` prints it without privileges. What depends on a kernel (CO-RE, externs, which
//! features it lacks) is the next stage, [`loader::plan`](crate::loader).
//!
//! An `Object` can also be built in Rust, from assembled code: [`Object::builder`].

use std::fmt;
use std::sync::Arc;

use crate::btf::{Btf, BtfExt, CoreRelo, ExtRecord, ExtSections, LineInfo, TypeId};
use crate::bytes::Endian;
use crate::insn::{InsnIx, RawInsn};
use crate::uapi::{AttachType, MapType, ProgType};

mod build;
mod error;
mod externs;
mod fixup;
mod globals;
mod kfuncs;
mod maps;
mod read;
mod relocate;
mod requirements;
pub mod section;
mod struct_ops;
mod tables;
mod text;
mod write;

pub use build::{BuildError, MapDecl, ObjectBuilder, Ty};
pub use error::ReadError;
pub use globals::{Global, GlobalError, GlobalVar};
pub use requirements::Requirement;
pub use section::SecDef;
pub use text::NoText;
pub use write::WriteError;

/// Index of a map in [`Object::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapIx(pub usize);

/// Index of a program in [`Object::programs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgIx(pub usize);

/// Index of a function in [`Object::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FuncIx(pub usize);

/// Index of an extern in [`Object::externs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternIx(pub usize);

/// A BPF object: everything that the file says, in the file's order.
#[derive(Debug, Clone)]
pub struct Object {
    /// Name: the file name up to its first dot. The kernel shows 15 letters of it in the names of data maps.
    pub name: String,
    /// Byte order of the code. Only the machine's own can be loaded.
    pub endian: Endian,
    /// The `license` section; `None` if there is none, which the kernel takes as not GPL-compatible.
    pub license: Option<String>,
    /// The `version` section (`LINUX_VERSION_CODE`), which kprobes needed up to Linux 4.20.
    pub kern_version: Option<u32>,
    /// Maps: declared ones first, then one per data section, then `.kconfig`, then struct_ops.
    pub maps: Vec<MapDef>,
    /// Entry programs, by section and offset.
    pub programs: Vec<ProgDef>,
    /// Functions of `.text`, which programs call.
    pub functions: Vec<Function>,
    /// Symbols that the kernel has to provide.
    pub externs: Vec<Extern>,
    /// The `.jumptables` section: for each entry the byte offset of its target in its code section.
    pub jump_tables: Vec<u8>,
    /// Types, if the object has any.
    pub btf: Option<Arc<Btf>>,
    /// Function, line and CO-RE records; [`Function`]s refer to it by section and offset.
    pub ext: Option<Arc<BtfExt>>,
}

impl Object {
    /// The map of this name, by its full name or (for data maps) its section name.
    pub fn map(&self, name: &str) -> Option<&MapDef> {
        self.maps.iter().find(|m| m.name == name)
    }

    /// As [`Object::map`], to change it before it is loaded.
    pub fn map_mut(&mut self, name: &str) -> Option<&mut MapDef> {
        self.maps.iter_mut().find(|m| m.name == name)
    }

    /// The program of this function name.
    pub fn program(&self, name: &str) -> Option<&ProgDef> {
        self.programs.iter().find(|p| p.func.name == name)
    }

    /// As [`Object::program`], to change it before it is loaded.
    pub fn program_mut(&mut self, name: &str) -> Option<&mut ProgDef> {
        self.programs.iter_mut().find(|p| p.func.name == name)
    }

    /// The CO-RE relocations of `func`, by the byte offset of their instruction in the section.
    pub fn core_relocations<'a>(&'a self, func: &'a Function) -> impl Iterator<Item = CoreRelo> + 'a {
        self.records(func, BtfExt::core_relo, |r: &CoreRelo| r.insn_off)
    }

    /// The source lines of `func`: where each begins, counted from the start of the function.
    pub fn source_lines(&self, func: &Function) -> Vec<(InsnIx, SourceLine)> {
        let records = self.records(func, BtfExt::line_info, |l: &LineInfo| l.insn_off);
        let text = |off| {
            self.btf.as_deref().and_then(|b| b.name(off).ok()).map(|n| n.to_string()).unwrap_or_default()
        };
        let line = |l: LineInfo| {
            let at = InsnIx((l.insn_off / 8).saturating_sub(func.offset.0));
            let (file, text) = (text(l.file_name), text(l.line));
            (at, SourceLine { file, line: l.line_number(), column: l.column(), text })
        };
        records.map(line).collect()
    }

    /// The records of one table of `.BTF.ext` that belong to `func`.
    pub(crate) fn records<'a, R: ExtRecord + 'a>(
        &'a self,
        func: &'a Function,
        table: fn(&BtfExt) -> ExtSections<'_, R>,
        offset: fn(&R) -> u32,
    ) -> impl Iterator<Item = R> + 'a {
        let start = u64::from(func.offset.0) * 8;
        let range = start..start + func.insns.len() as u64 * 8;
        let both = self.btf.as_deref().zip(self.ext.as_deref());
        let sections = both.into_iter().flat_map(move |(btf, ext)| {
            table(ext).filter(|s| btf.name(s.name).is_ok_and(|n| n == func.section.as_str()))
        });
        sections.flat_map(|s| s.records()).filter(move |r| range.contains(&u64::from(offset(r))))
    }

    /// The source line of an instruction of `func`, from `.BTF.ext`.
    pub fn source_line(&self, func: &Function, at: InsnIx) -> Option<SourceLine> {
        self.source_lines(func).into_iter().take_while(|(first, _)| *first <= at).last().map(|(_, line)| line)
    }
}

/// A map as the object defines it.
#[derive(Debug, Clone)]
pub struct MapDef {
    /// The full name. The kernel keeps 15 letters of it; see [`MapDef::kernel_name`].
    pub name: String,
    /// Where it came from.
    pub origin: MapOrigin,
    /// What kind of table it is.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// How many elements; for ring buffers bytes, for arenas pages.
    pub max_entries: u32,
    /// `BPF_F_*`, see [`sys::map::flags`](crate::sys::map::flags).
    pub flags: u32,
    /// `map_extra`: hash functions of a bloom filter, address of an arena.
    pub extra: u64,
    /// NUMA node, read only with `BPF_F_NUMA_NODE`.
    pub numa_node: u32,
    /// BTF type of the key, if declared as a type.
    pub key_type: Option<TypeId>,
    /// BTF type of the value, if declared as a type.
    pub value_type: Option<TypeId>,
    /// For map-in-map types: what the inner maps look like.
    pub inner: Option<Box<MapDef>>,
    /// Elements that the file sets to other maps or programs: index and target.
    pub slots: Vec<(u32, SlotTarget)>,
    /// `__uint(pinning, LIBBPF_PIN_BY_NAME)`: share it with other objects by its name in the bpffs.
    pub pin_by_name: bool,
    /// Pin it here, and reuse what is pinned there. Overrides `pin_by_name`.
    pub pin_path: Option<std::path::PathBuf>,
    /// The first contents: the bytes of a data section.
    pub contents: Option<Vec<u8>>,
    /// Create it at load (sections that begin with `?` say no).
    pub autocreate: bool,
}

/// What a map of an object was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapOrigin {
    /// A variable in `.maps`.
    Declared,
    /// A data section: its name and what it is for.
    Data {
        /// Name of the section.
        section: String,
        /// What it holds.
        kind: DataKind,
    },
    /// A variable in a `.struct_ops` section.
    StructOps(StructOps),
}

/// What a data section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// Initialised, writable globals.
    Data,
    /// Constants, frozen after loading.
    Rodata,
    /// Globals that start as zero.
    Bss,
    /// Values of the kernel's configuration; frozen.
    Kconfig,
}

/// A set of kernel callbacks that the object implements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructOps {
    /// The section, without a leading `?`: `.struct_ops` or `.struct_ops.link`.
    pub section: String,
    /// BTF type of the variable.
    pub type_id: TypeId,
    /// Programs at members: byte offset of the member, and the program.
    pub programs: Vec<(u32, ProgIx)>,
    /// Programs that stood at a member in the file and were taken away.
    pub replaced: Vec<ProgIx>,
    /// Registered by a link instead of by writing the element.
    pub by_link: bool,
}

/// What a static element of a map-in-map or program array refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SlotTarget {
    Map(MapIx),
    Program(ProgIx),
}

/// A program: an entry function, and how it is meant to be used.
#[derive(Debug, Clone)]
pub struct ProgDef {
    /// The code.
    pub func: Function,
    /// Name of the section without a leading `?`.
    pub section: String,
    /// The row of the section table, if the name is in it.
    pub def: Option<&'static SecDef>,
    /// Program type: from the section, or set by the user. `None`: unknown section name.
    pub prog_type: Option<ProgType>,
    /// Expected attach type: from the section, or set by the user.
    pub attach_type: AttachType,
    /// `prog_flags` beyond those that the section implies.
    pub flags: u32,
    /// The hook's name, if the user gave one; else it is the text after the section's first `/`.
    pub target: Option<String>,
    /// Load it (sections that begin with `?` say no).
    pub autoload: bool,
}

impl ProgDef {
    /// The function's name.
    pub fn name(&self) -> &str {
        &self.func.name
    }

    /// What to attach to: set by the user, or the text after the section's first `/`.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref().or_else(|| self.section.split_once('/').map(|(_, target)| target))
    }

    /// What it is and where it attaches, as a section name: that of its own section, with the hook that the
    /// user gave, if one was given.
    pub fn hook(&self) -> String {
        match &self.target {
            Some(target) => format!("{}/{target}", self.section.split('/').next().unwrap_or_default()),
            None => self.section.clone(),
        }
    }

    /// Makes it another kind of program, as if it stood in section `name`. `None` if there is no such
    /// section name.
    pub fn set_section(&mut self, name: &str) -> Option<()> {
        let def = section::find(name)?;
        self.section = name.into();
        self.def = Some(def);
        self.prog_type = Some(def.prog_type);
        self.attach_type = def.attach_type;
        Some(())
    }
}

/// A function: a run of instructions in an executable section, and what they refer to.
#[derive(Debug, Clone)]
pub struct Function {
    /// Name of its symbol.
    pub name: String,
    /// Name of its section, as in the file.
    pub section: String,
    /// Its first slot in the section.
    pub offset: InsnIx,
    /// The instructions, not yet relocated.
    pub insns: Vec<RawInsn>,
    /// What instructions refer to, ascending by `at`.
    pub relocs: Vec<Reloc>,
    /// How its symbol is bound.
    pub binding: Binding,
    /// A hidden global function: the verifier shall look at it together with its callers.
    pub hidden: bool,
}

/// How a symbol is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binding {
    Local,
    Global,
    Weak,
}

/// One reference from an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// The instruction, counted from the start of its function.
    pub at: InsnIx,
    /// What it refers to.
    pub target: RelocTarget,
}

/// What an instruction refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocTarget {
    /// `ldimm64`: the map itself.
    Map(MapIx),
    /// `ldimm64`: the address of a global variable, this many bytes into the value of a data map. The
    /// instruction's own immediate is already added.
    MapValue {
        /// The data map.
        map: MapIx,
        /// Byte offset into its value.
        offset: u32,
    },
    /// `ldimm64` or `call`: a symbol of the kernel.
    Extern(ExternIx),
    /// `call`: a function of this object.
    Call(FuncIx),
    /// `ldimm64`: the address of a function of this object (a callback).
    FuncAddr(FuncIx),
    /// `ldimm64`: a jump table, this many bytes into `.jumptables` and that many long.
    JumpTable {
        /// Byte offset into the section.
        offset: u32,
        /// Bytes.
        size: u32,
    },
}

/// A symbol that the kernel has to provide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// May be missing.
    pub weak: bool,
    /// What kind of thing it is.
    pub kind: ExternKind,
}

/// What kind of thing an extern is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternKind {
    /// `extern int CONFIG_HZ __kconfig`: a value at this offset of the `.kconfig` map.
    Kconfig {
        /// How its value is written and read.
        ty: KconfigType,
        /// Byte offset in the map's value.
        offset: u32,
        /// Bytes.
        size: u32,
    },
    /// `extern const void x __ksym`: an address from `/proc/kallsyms`.
    Address,
    /// `extern const struct x y __ksym`: a variable of the kernel, by BTF.
    Variable(TypeId),
    /// `extern int f(...) __ksym`: a kernel function that may be called (kfunc), by BTF.
    Function(TypeId),
}

/// How a kernel configuration value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KconfigType {
    Bool,
    Char,
    Int { signed: bool },
    Tristate,
    Text,
}

/// A line of source code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// File name as the compiler knew it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// The text of the line.
    pub text: String,
}

/// A place in an object, for error messages: as much of it as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// The section.
    pub section: Option<String>,
    /// The function or variable.
    pub symbol: Option<String>,
    /// The instruction, counted from the start of the function.
    pub insn: Option<InsnIx>,
    /// The source line.
    pub line: Option<SourceLine>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.symbol, &self.section) {
            (Some(symbol), Some(section)) => write!(f, "`{symbol}` (section `{section}`)")?,
            (Some(symbol), None) => write!(f, "`{symbol}`")?,
            (None, Some(section)) => write!(f, "section `{section}`")?,
            (None, None) => f.write_str("the object")?,
        }
        if let Some(at) = self.insn {
            write!(f, ", instruction {}", at.0)?;
        }
        if let Some(line) = &self.line {
            write!(f, ", at {}:{}", line.file, line.line)?;
            if line.column > 0 {
                write!(f, ":{}", line.column)?;
            }
        }
        Ok(())
    }
}
