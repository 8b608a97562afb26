//! Offsets with a type: the fields of packet headers and of program contexts.
//!
//! In C, `ctx->data_end` knows its offset, its size, and what its type says of byte order. A [`Field`]
//! is those three facts, and `R1 + xdp_md::DATA_END` is the operand:
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let mut a = Asm::new();
//! a.get(R2, R1 + xdp_md::DATA)                // r2 = ctx->data
//!     .get(R3, R2 + eth::PROTO)               // r3 = bpf_ntohs(eth->h_proto)
//!     .mov64(R0, XDP_PASS)
//!     .exit();
//! let code = a.finish()?;
//! assert_eq!(code.insns()[0].imm, 0);
//! assert_eq!(code.insns()[1].off, 12);
//! # Ok::<(), AsmError>(())
//! ```

use super::op::Bits;
use super::reg::{Mem, Reg, Size};
use std::ops::Add;

/// A field of a structure: where, how many bytes, and whether it is in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Bytes from the start of the structure.
    pub off: i16,
    /// How many bytes a load reads.
    pub size: Size,
    /// How many of its bits are a number in network order; `None` for one in machine order.
    pub network: Option<Bits>,
}

impl Field {
    /// A field in machine order.
    pub const fn new(off: i16, size: Size) -> Field {
        Field { off, size, network: None }
    }

    /// A field in network order, of 2, 4 or 8 bytes.
    pub const fn network(off: i16, size: Size) -> Field {
        let network = match size {
            Size::B => None,
            Size::H => Some(Bits::B16),
            Size::W => Some(Bits::B32),
            Size::DW => Some(Bits::B64),
        };
        Field { off, size, network }
    }
}

/// A field of the structure that a register points to. It also stands for its memory: `load` and
/// `store` take it as they take `R1 + 4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldAt {
    /// Its memory.
    pub mem: Mem,
    /// How many bytes.
    pub size: Size,
    /// How many of its bits are a number in network order.
    pub network: Option<Bits>,
}

impl Add<Field> for Reg {
    type Output = FieldAt;
    fn add(self, field: Field) -> FieldAt {
        Mem::from(self) + field
    }
}

impl Add<Field> for Mem {
    type Output = FieldAt;
    /// # Panics
    /// If the sum of the offsets leaves 16 bits.
    fn add(self, field: Field) -> FieldAt {
        FieldAt { mem: self + field.off, size: field.size, network: field.network }
    }
}

impl From<FieldAt> for Mem {
    fn from(at: FieldAt) -> Mem {
        at.mem
    }
}

/// A structure of the kernel by its C names, for what reads text: see [`layout`](super::layout).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The name of the `struct`.
    pub name: &'static str,
    /// Its size in bytes.
    pub bytes: i16,
    /// The fields: C name, offset and size in bytes.
    pub fields: &'static [(&'static str, i16, usize)],
}

/// Declares structures: a module each, a constant a field, and the table of all.
macro_rules! structs {
    ($( $(#[$meta:meta])* $module:ident $name:literal $bytes:literal {
        $( $field:ident $c:literal = $off:literal, $ty:tt $($order:ident)?, $doc:literal; )*
    } )*) => {
        $(
            $(#[$meta])*
            #[doc = ""]
            #[doc = concat!("`struct ", $name, "`, ", $bytes, " bytes. Every field's constant is its C name in capitals.")]
            pub mod $module {
                #[allow(unused_imports)]
                use crate::insn::{Bits, Size, field::Field};

                #[doc = concat!("`sizeof(struct ", $name, ")`.")]
                pub const BYTES: i16 = $bytes;

                $( crate::insn::field::structs!(@field $name $field $c $off $ty $($order)?; $doc); )*
            }
        )*

        /// The structures of this module by their C names.
        pub(in crate::insn) const LAYOUTS: &[crate::insn::field::Layout] = &[
            $( crate::insn::field::Layout {
                name: $name,
                bytes: $bytes,
                fields: &[$( ($c, $off, crate::insn::field::structs!(@bytes $ty)) ),*],
            } ),*
        ];
    };

    (@field $name:literal $field:ident $c:literal $off:literal [$n:literal]; $doc:literal) => {
        #[doc = concat!("`", $name, ".", $c, "`, ", $n, " bytes: their offset. ", $doc)]
        #[doc(alias = $c)]
        pub const $field: i16 = $off;
    };
    (@field $name:literal $field:ident $c:literal $off:literal $size:ident; $doc:literal) => {
        #[doc = concat!("`", $name, ".", $c, "`. ", $doc)]
        #[doc(alias = $c)]
        pub const $field: Field = Field::new($off, Size::$size);
    };
    (@field $name:literal $field:ident $c:literal $off:literal $size:ident be16; $doc:literal) => {
        #[doc = concat!("`", $name, ".", $c, "`, 16 bits in network order. ", $doc)]
        #[doc(alias = $c)]
        pub const $field: Field = Field { off: $off, size: Size::$size, network: Some(Bits::B16) };
    };
    (@field $name:literal $field:ident $c:literal $off:literal $size:ident be32; $doc:literal) => {
        #[doc = concat!("`", $name, ".", $c, "`, 32 bits in network order. ", $doc)]
        #[doc(alias = $c)]
        pub const $field: Field = Field { off: $off, size: Size::$size, network: Some(Bits::B32) };
    };

    (@bytes [$n:literal]) => { $n };
    (@bytes B) => { 1 };
    (@bytes H) => { 2 };
    (@bytes W) => { 4 };
    (@bytes DW) => { 8 };
}
pub(super) use structs;
