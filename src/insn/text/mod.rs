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

mod address;
pub(super) mod cursor;
mod data;
mod error;
mod insn;
mod lex;
mod link;
mod map;
mod parsed;
mod program;
mod read;
mod type_read;
mod types;
mod value;
mod wide;
mod write;

pub use error::{TextError, TextErrors};
pub use program::{Elem, Init, TextCore, TextData, TextExtern, TextFunction, TextMap, TextProgram, TextVar};
pub use types::{Definition, Encoding, Enum, Tag, TextComposite, TextMember, TextType, TypeDef};

/// Assembles a text. `file` is its name, for errors and for the lines of the code.
///
/// # Errors
/// Every line that is wrong, as a [`TextError`].
pub fn assemble(file: &str, text: &str) -> Result<TextProgram, TextErrors> {
    let (draft, errors) = read::read(file, text);
    link::resolve(file, draft, errors)
}
