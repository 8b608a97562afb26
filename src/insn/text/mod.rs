//! The text assembler: a small program as a file, in the syntax that `llvm-objdump` and the verifier print.
//!
//! ```
//! use rawbpf::insn::text;
//! let program = text::assemble("count.s", r#"
//! .license "GPL"
//! .map hits type=array key=4 value=8 max_entries=1
//!
//! .section "xdp"
//! count:
//!     *(u32 *)(r10 - 4) = 0           ; u32 key = 0
//!     r2 = r10
//!     r2 += -4
//!     r1 = hits ll
//!     call bpf_map_lookup_elem
//!     if r0 == 0 goto out
//!     r1 = 1
//!     lock *(u64 *)(r0 + 0) += r1
//! out:
//!     r0 = XDP_PASS
//!     exit
//! "#)?;
//! assert_eq!(program.license.as_deref(), Some("GPL"));
//! assert_eq!(program.maps[0].value, text::Elem::Bytes(8));
//! let count = &program.functions[0];
//! assert_eq!((count.name.as_str(), count.section.as_str()), ("count", "xdp"));
//! assert_eq!(count.code.insns().len(), 11);
//! assert_eq!(count.code.lines().next().and_then(|l| l.text), Some("*(u32 *)(r10 - 4) = 0"));
//! # Ok::<(), rawbpf::insn::text::TextErrors>(())
//! ```
//!
//! # A line
//!
//! A line is an instruction, a label or a directive; a comment starts with `;`, `//` or `#`. What a
//! verifier's log or a listing puts before an instruction (`12: (7b)`) is skipped, so that lines can be
//! pasted from there. The instructions are those of [`Insn`](super::Insn)'s `Display`.
//!
//! | directive | meaning |
//! | --- | --- |
//! | `.section "xdp"` | what follows belongs to this ELF section, which says the kind of program |
//! | `.text` | what follows are functions for others to call |
//! | `.globl name` | the label `name` starts a function that all can see; `.weak`, `.hidden` likewise |
//! | `.func name: fn(ctx: *struct xdp_md) -> int` | what a function takes and returns; it starts at its label |
//! | `.map name type=hash key=u32 value=8 max_entries=1024` | a map: a type of keys and values, or their bytes; also `flags=1`, `numa_node=0`, `extra=3`, `pin=by_name`, `inner={type=array ..}` |
//! | `.slot name, 3, target` | the element 3 of a map of maps or programs is `target` from the start |
//! | `.var`, `.bytes`, `.space` | global variables, behind `.section ".data"` and its like: see [below](#variables) |
//! | `.int`, `.float`, `.typedef`, `.struct`, `.union`, `.enum`, `.fwd` | a name for a type: see [below](#types) |
//! | `.ksym name: fn() -> void`, `.kconfig NAME: int` | what the kernel has to provide; `weak` behind it: or not |
//! | `.core byte_off struct task_struct "0:3"` | the next instruction depends on the kernel's types (CO-RE) |
//! | `.license "GPL"`, `.version 0x40e00` | the license of the whole file; a kernel version, for old kernels |
//! | `.endian big` | the byte order of the object, if it is not this machine's |
//! | `.equ NAME, 5` | a name for a number |
//! | `.8byte 0x95` | a slot as its number, in little-endian order: what is no instruction |
//!
//! A directive with an open `{` goes on with the next line, up to its `}`.
//!
//! # Functions
//!
//! A label starts a function if it is the first of its section, if `.globl` names it, or if anything in
//! the file calls it or takes its address. Every other label is a target of jumps, and belongs to its
//! function.
//!
//! # Numbers
//!
//! A number is decimal, hexadecimal, or a name: of `.equ`, of [`net`](super::net) (`XDP_PASS`,
//! `ETH_P_IP`), or of a field of a structure of [`net`](super::net) and [`ctx`](super::ctx) by its C
//! names: `r2 = *(u32 *)(r1 + xdp_md.data)`, `r1 += ethhdr.sizeof`.

//!
//! # Variables
//!
//! ```
//! use rawbpf::insn::text::{self, Init};
//! let program = text::assemble("data.s", r#"
//! .section ".rodata"
//! .var limit: u32 = 100                ; a number of that size
//! .var static fmt: [16]char = "%d\n"   ; its bytes, and zeros up to its end
//! .var mac: [6]u8 = { 2, 0, 0, 0, 0, 1 }
//! .section ".bss"
//! .var table: [16]u64 @64              ; zeros, and where in the section it is, in bytes
//! .space 256                           ; the section is this long
//!
//! .section "socket"
//! main:
//!     r1 = map_val(.rodata) ll         ; the address of `limit`
//!     r0 = *(u32 *)(r1 + 0)
//!     exit
//! "#)?;
//! assert_eq!(program.data[0].variables[0].init, Init::Number(100));
//! assert_eq!((program.data[1].section.as_str(), program.data[1].bytes), (".bss", 256));
//! # Ok::<(), text::TextErrors>(())
//! ```
//!
//! `.bytes @192 = "text"` are contents without a variable.
//!
//! # Types
//!
//! See [`TextType`] for how they are written.
//!
//! ```
//! use rawbpf::insn::text;
//! let source = "\
//! .typedef __u32 = unsigned int
//! .struct flow 12 {
//!     addr: [2]__u32 @0,
//!     port: unsigned short @8,
//!     tcp: _Bool bit 80:1,
//!     next: *struct flow @16
//! }
//! .map flows type=hash key=struct flow value=u64 max_entries=1024
//! ";
//! let program = text::assemble("types.s", &format!("{source}exit"))?;
//! assert!(program.to_string().starts_with(source));
//! # Ok::<(), text::TextErrors>(())
//! ```

mod cursor;
mod data;
mod error;
mod insn;
mod lex;
mod link;
mod map;
mod read;
mod type_read;
mod types;
mod value;
mod wide;
mod write;

pub use error::{TextError, TextErrors};
pub use types::{Definition, Encoding, Enum, Tag, TextComposite, TextMember, TextType, TypeDef};

use super::code::{Code, CodeFunc, CodeRef, Lines, RefKind, TextLine};
use super::reg::InsnIx;
use crate::bytes::Endian;
use crate::uapi::MapType;
use std::collections::HashMap;

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[doc(alias = "Program")]
pub struct TextProgram {
    /// The license, if there is one.
    pub license: Option<String>,
    /// The kernel version that old kernels compare for kprobes.
    pub version: Option<u32>,
    /// The byte order of the object, if the text says one.
    pub endian: Option<Endian>,
    /// The types with names, in the order of the text.
    pub types: Vec<TypeDef>,
    /// The maps, in the order of the text.
    pub maps: Vec<TextMap>,
    /// The sections of global variables, in the order of the text.
    pub data: Vec<TextData>,
    /// What the kernel has to provide.
    pub externs: Vec<TextExtern>,
    /// The functions, in the order of the text.
    pub functions: Vec<TextFunction>,
}

/// A map that a text declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMap {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: MapType,
    /// Its keys.
    pub key: Elem,
    /// Its values.
    pub value: Elem,
    /// How many entries it has at most; bytes, for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// NUMA node, read only with `BPF_F_NUMA_NODE`.
    pub numa_node: u32,
    /// `map_extra`: hash functions of a bloom filter, address of an arena.
    pub extra: u64,
    /// Whether it is to be pinned under its name (`LIBBPF_PIN_BY_NAME`).
    pub pinned: bool,
    /// For a map of maps: what they are like. It has no name.
    pub inner: Option<Box<TextMap>>,
    /// For a map of maps or programs: the elements that are set from the start, index and name.
    pub slots: Vec<(u32, String)>,
    /// The line that declares it.
    pub line: u32,
}

impl TextMap {
    /// A map of no type yet.
    pub fn new(name: impl Into<String>, line: u32) -> TextMap {
        TextMap {
            name: name.into(),
            kind: MapType(0),
            key: Elem::Bytes(0),
            value: Elem::Bytes(0),
            max_entries: 0,
            flags: 0,
            numa_node: 0,
            extra: 0,
            pinned: false,
            inner: None,
            slots: Vec::new(),
            line,
        }
    }
}

/// What a map's keys or values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elem {
    /// So many bytes of no type.
    Bytes(u32),
    /// Of a type.
    Type(TextType),
}

/// A section of global variables.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TextData {
    /// Its name: `.data`, `.rodata`, `.bss`, or one of these with `.NAME` behind it.
    pub section: String,
    /// Its variables and contents, in the order of the text.
    pub variables: Vec<TextVar>,
    /// How many bytes it has at least.
    pub bytes: u32,
}

/// A global variable, or contents of a section that have no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextVar {
    /// Its name; empty for contents without one.
    pub name: String,
    /// Its type; `None` for contents without a name.
    pub ty: Option<TextType>,
    /// `static`: not for other objects, nor for user space.
    pub local: bool,
    /// Where in the section it is, in bytes; behind the one before it, if not given.
    pub at: Option<u32>,
    /// Its first value.
    pub init: Init,
}

/// The first value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init {
    /// All zero.
    Zero,
    /// A number of the variable's size.
    Number(i128),
    /// Bytes; what they do not fill is zero.
    Bytes(Vec<u8>),
}

/// Something that the kernel has to provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextExtern {
    /// Its name.
    pub name: String,
    /// Its type: a function, a variable, or `void` for an address.
    pub ty: TextType,
    /// A value of the kernel's configuration, and not a symbol of the kernel.
    pub kconfig: bool,
    /// May be missing.
    pub weak: bool,
}

/// That an instruction depends on the kernel's types: a CO-RE relocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextCore {
    /// The instruction.
    pub at: InsnIx,
    /// What is asked, by the name in [`CoreReloKind`](crate::btf::CoreReloKind): `byte_off` ...
    pub kind: String,
    /// The type that is asked about.
    pub ty: TextType,
    /// Which part of it: `0:3:1`.
    pub access: String,
}

/// A function of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFunction {
    /// Its name.
    pub name: String,
    /// The ELF section it belongs to.
    pub section: String,
    /// Whether `.globl` names it.
    pub global: bool,
    /// Whether `.weak` names it.
    pub weak: bool,
    /// Whether `.hidden` names it.
    pub hidden: bool,
    /// What it takes and returns, if `.func` says it.
    pub proto: Option<TextType>,
    /// The instructions that depend on the kernel's types.
    pub core: Vec<TextCore>,
    /// Its instructions. A call of another function of the text is a reference,
    /// [`RefKind::Func`]; its address, [`RefKind::FuncAddr`].
    pub code: Code,
    /// The line that it starts on.
    pub line: u32,
}

/// Assembles a text. `file` is its name, for errors and for the lines of the code.
///
/// # Errors
/// Every line that is wrong, as a [`TextError`].
pub fn assemble(file: &str, text: &str) -> Result<TextProgram, TextErrors> {
    let (draft, errors) = read::read(file, text);
    link::resolve(file, draft, errors)
}

impl TextProgram {
    /// A function of the text by its name.
    pub fn function(&self, name: &str) -> Option<&TextFunction> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// A function with all that it calls or refers to, in the order of the text, as one code with the
    /// distances between them in place; `None` if there is no function of that name.
    ///
    /// ```
    /// use rawbpf::insn::text;
    /// let program = text::assemble("a.s", "main:\n call two\n exit\ntwo:\n r0 = 2\n exit\n")?;
    /// let code = program.link("main").unwrap();
    /// assert_eq!(code.insns()[0].imm, 1);
    /// assert_eq!(code.funcs().len(), 2);
    /// # Ok::<(), rawbpf::insn::text::TextErrors>(())
    /// ```
    pub fn link(&self, entry: &str) -> Option<Code> {
        let places: HashMap<&str, usize> =
            self.functions.iter().enumerate().map(|(ix, f)| (f.name.as_str(), ix)).collect();
        let entry = *places.get(entry)?;
        let mut reached = vec![false; self.functions.len()];
        let mut next = vec![entry];
        while let Some(ix) = next.pop() {
            let (Some(function), Some(mark)) = (self.functions.get(ix), reached.get_mut(ix)) else {
                continue;
            };
            if std::mem::replace(mark, true) {
                continue;
            }
            next.extend(function.code.refs().iter().filter_map(|r| match &r.kind {
                RefKind::Func { name } | RefKind::FuncAddr { name } => places.get(name.as_str()).copied(),
                _ => None,
            }));
        }
        let first = self.functions.get(entry).into_iter();
        let rest = self.functions.iter().zip(&reached).enumerate();
        let rest = rest.filter(|(ix, (_, reached))| **reached && *ix != entry).map(|(_, (f, _))| f);
        Some(concatenate(&first.chain(rest).collect::<Vec<_>>()))
    }
}

/// Lays functions behind each other and sets the distances of calls between them.
fn concatenate(parts: &[&TextFunction]) -> Code {
    let mut starts = HashMap::new();
    let mut code = Code::default();
    let mut lines = Vec::new();
    let mut file = String::new();
    for part in parts {
        let start = code.insns.len() as u32;
        let shift = |at: InsnIx| InsnIx(at.0.saturating_add(start));
        starts.insert(part.name.as_str(), start);
        code.funcs.push(CodeFunc { name: part.name.clone(), start: InsnIx(start) });
        code.insns.extend_from_slice(&part.code.insns);
        let refs = part.code.refs.iter();
        code.refs.extend(refs.map(|r| CodeRef { at: shift(r.at), kind: r.kind.clone() }));
        if let Lines::Text(name, of_part) = &part.code.lines {
            file.clone_from(name);
            lines.extend(of_part.iter().map(|l| TextLine { at: shift(l.at), ..l.clone() }));
        }
    }
    code.lines = Lines::Text(file, lines);
    let Code { insns, refs, .. } = &mut code;
    refs.retain(|r| {
        let to = match &r.kind {
            RefKind::Func { name } | RefKind::FuncAddr { name } => starts.get(name.as_str()),
            _ => None,
        };
        let (Some(&to), Some(slot)) = (to, insns.get_mut(r.at.index())) else { return true };
        slot.imm = (i64::from(to) - i64::from(r.at.0) - 1) as i32;
        false
    });
    code
}

/// Whether a name can stand in a text without quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(lex::is_name_start)
        && chars.all(lex::is_name)
        && !cursor::looks_like_register(name)
        && name != "pc"
}
