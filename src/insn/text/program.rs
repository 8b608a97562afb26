//! What a text says.

use std::collections::HashMap;

use super::types::{TextType, TypeDef};
use crate::bytes::Endian;
use crate::insn::code::{Code, CodeFunc, CodeRef, Lines, RefKind, TextLine};
use crate::insn::reg::InsnIx;
use crate::uapi::MapType;

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
