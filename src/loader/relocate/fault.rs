//! What can be wrong with a CO-RE relocation.

use crate::btf::BtfError;
use crate::kernel::KernelError;

/// What is wrong with a CO-RE relocation.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreFault {
    /// It is between two instructions.
    #[error("its offset {offset} is not that of an instruction, which is a multiple of 8")]
    Misaligned {
        /// Bytes from the start of the section.
        offset: u32,
    },
    /// A kind that is newer than this crate.
    #[error("kind {kind} is newer than this program, which knows kinds 0 to 12")]
    Kind {
        /// The number of the kind.
        kind: u32,
    },
    /// The path cannot be read.
    #[error("its path `{path}` is malformed: {why}")]
    Path {
        /// The path as it is in the file.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path does not fit the program's own types.
    #[error("its path leads nowhere in the program's own types: at element {nth}, {why}")]
    Step {
        /// Which element of the path, from 0.
        nth: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The type that the path starts from has no name to look for.
    #[error("its type has no name, so no kernel type can be found for it; give the struct a name")]
    Anonymous,
    /// The kernel's types are needed, and cannot be had.
    #[error("the types of the kernel are needed for it")]
    NoBtf(#[source] Box<KernelError>),
    /// Types cannot be followed.
    #[error("the types of the {whose} cannot be followed")]
    Types {
        /// `object` or `kernel`.
        whose: &'static str,
        /// Why not.
        #[source]
        source: BtfError,
    },
    /// Types are nested deeper than libbpf, and so any program, follows them.
    #[error("types are nested more than {limit} deep")]
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// Looking through the types takes longer than for any real object.
    #[error("the object's types and relocations take too long to look through")]
    TooMuch,
    /// A field that starts more than 4 GiB after its struct.
    #[error("the field is more than 4 GiB from the start of the type")]
    TooFar,
    /// A bitfield that no load of at most 8 bytes can hold.
    #[error(
        "the bitfield cannot be read with one load: its {bits} bits from bit {start} are not within 8 bytes"
    )]
    Bitfield {
        /// Where it starts, in bits from the start of the type.
        start: u64,
        /// How many bits it has.
        bits: u32,
    },
    /// A member with a width in bits that is neither integer nor enumeration.
    #[error("the bitfield is neither an integer nor an enumeration")]
    BitfieldType,
    /// A question that makes sense for members only.
    #[error("it asks for the {what} of an array element, and only that of a struct's member can be told")]
    Element {
        /// The kind of the relocation.
        what: &'static str,
    },
    /// Types of the kernel have the field at different places.
    #[error(
        "the kernel has several such types, with the field at bit {one} of one and at bit {other} of \
             another; name a member that only the right one has, or use its full definition"
    )]
    AmbiguousOffset {
        /// Where the first has it, in bits.
        one: u64,
        /// Where another has it.
        other: u64,
    },
    /// Types of the kernel give different numbers.
    #[error("the kernel has several such types, and the answer is {one} for one and {other} for another")]
    AmbiguousValue {
        /// The number of the first.
        one: u64,
        /// The number of another.
        other: u64,
    },
    /// The instruction does not have the number that the program's own types give.
    #[error(
        "its instruction has {found}, where the program's types give {expected}; was the object changed \
             after clang wrote it?"
    )]
    Unexpected {
        /// What the instruction has.
        found: i64,
        /// What it should have.
        expected: u64,
    },
    /// The number does not fit into the offset of a load or store.
    #[error("the field's offset on this kernel is {offset}, and a load or store reaches 32767 at most")]
    Range {
        /// The offset in bytes.
        offset: u64,
    },
    /// A load that does not move as many bytes as the field has in the program's types.
    #[error(
        "the instruction moves {moved} byte(s), but the field has {size} in the program's types, and has \
             another size on this kernel; load the whole field"
    )]
    AccessSize {
        /// How many bytes the instruction moves.
        moved: u32,
        /// The size of the field.
        size: u32,
    },
    /// A load of that many bytes does not exist.
    #[error("the field has {size} byte(s) on this kernel, and an instruction can move 1, 2, 4 or 8")]
    NewSize {
        /// The size of the field on this kernel.
        size: u32,
    },
    /// The instruction has no place for the number.
    #[error(
        "its instruction (opcode {opcode:#04x}) is none that takes a number: arithmetic with a constant, \
             a load, a store or a 64-bit constant"
    )]
    Instruction {
        /// The opcode.
        opcode: u8,
    },
}

/// Whose types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The object's own.
    Program,
    /// The kernel's, or a module's.
    Kernel,
}
