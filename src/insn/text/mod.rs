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
//! assert_eq!(program.maps[0].value, 8);
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
//! | `.globl name` | the label `name` starts a function |
//! | `.map name type=hash key=4 value=8 max_entries=1024` | a map; also `flags=1`, `pin=by_name` |
//! | `.license "GPL"` | the license of the whole file |
//! | `.equ NAME, 5` | a name for a number |
//! | `.8byte 0x95` | a slot as its number, in little-endian order: what is no instruction |
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

mod cursor;
mod error;
mod insn;
mod lex;
mod link;
mod read;
mod value;
mod wide;
mod write;

pub use error::{TextError, TextErrors};

use super::code::{Code, CodeFunc, CodeRef, Lines, RefKind, TextLine};
use super::reg::InsnIx;
use crate::uapi::MapType;
use std::collections::HashMap;

/// What a text says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Program {
    /// The license, if there is one.
    pub license: Option<String>,
    /// The maps, in the order of the text.
    pub maps: Vec<TextMap>,
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
    /// Size of a key in bytes.
    pub key: u32,
    /// Size of a value in bytes.
    pub value: u32,
    /// How many entries it has at most; bytes, for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// Whether it is to be pinned under its name (`LIBBPF_PIN_BY_NAME`).
    pub pinned: bool,
    /// The line that declares it.
    pub line: u32,
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
pub fn assemble(file: &str, text: &str) -> Result<Program, TextErrors> {
    let (draft, errors) = read::read(file, text);
    link::resolve(file, draft, errors)
}

impl Program {
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
