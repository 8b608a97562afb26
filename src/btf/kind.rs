//! The kinds of BTF types, and how many bytes a record of each kind takes.

use crate::uapi::{Release, open_enum};
use std::fmt;

open_enum! {
    /// What a BTF type is: the number in bits 24..31 of `btf_type.info`.
    ///
    /// The kinds up to `Restrict` came with BTF itself; the later ones are those that
    /// older kernels refuse.
    BtfKind: u8, "BTF kind";
    Void = 0, "UNKNOWN", "BTF_KIND_UNKN", 4 . 18;
    Int = 1, "INT", "BTF_KIND_INT", 4 . 18;
    Ptr = 2, "PTR", "BTF_KIND_PTR", 4 . 18;
    Array = 3, "ARRAY", "BTF_KIND_ARRAY", 4 . 18;
    Struct = 4, "STRUCT", "BTF_KIND_STRUCT", 4 . 18;
    Union = 5, "UNION", "BTF_KIND_UNION", 4 . 18;
    Enum = 6, "ENUM", "BTF_KIND_ENUM", 4 . 18;
    Fwd = 7, "FWD", "BTF_KIND_FWD", 4 . 18;
    Typedef = 8, "TYPEDEF", "BTF_KIND_TYPEDEF", 4 . 18;
    Volatile = 9, "VOLATILE", "BTF_KIND_VOLATILE", 4 . 18;
    Const = 10, "CONST", "BTF_KIND_CONST", 4 . 18;
    Restrict = 11, "RESTRICT", "BTF_KIND_RESTRICT", 4 . 18;
    Func = 12, "FUNC", "BTF_KIND_FUNC", 5 . 0;
    FuncProto = 13, "FUNC_PROTO", "BTF_KIND_FUNC_PROTO", 5 . 0;
    Var = 14, "VAR", "BTF_KIND_VAR", 5 . 2;
    Datasec = 15, "DATASEC", "BTF_KIND_DATASEC", 5 . 2;
    Float = 16, "FLOAT", "BTF_KIND_FLOAT", 5 . 13;
    DeclTag = 17, "DECL_TAG", "BTF_KIND_DECL_TAG", 5 . 16;
    TypeTag = 18, "TYPE_TAG", "BTF_KIND_TYPE_TAG", 5 . 17;
    Enum64 = 19, "ENUM64", "BTF_KIND_ENUM64", 6 . 0;
}

open_enum! {
    /// Who can see a function (`enum btf_func_linkage`).
    FuncLinkage: u32, "function linkage";
    Static = 0, "static", "BTF_FUNC_STATIC", 5 . 0;
    Global = 1, "global", "BTF_FUNC_GLOBAL", 5 . 6;
    Extern = 2, "extern", "BTF_FUNC_EXTERN", 5 . 6;
}

open_enum! {
    /// Who can see a variable, and whether this object has its storage.
    VarLinkage: u32, "variable linkage";
    Static = 0, "static", "BTF_VAR_STATIC", 5 . 2;
    Global = 1, "global", "BTF_VAR_GLOBAL_ALLOCATED", 5 . 2;
    Extern = 2, "extern", "BTF_VAR_GLOBAL_EXTERN", 5 . 10;
}

/// A set of kinds, for a search by name.
///
/// ```
/// use rawbpf::btf::{BtfKind, KindSet};
/// let composites = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);
/// assert!(composites.contains(BtfKind::Union) && !composites.contains(BtfKind::Func));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KindSet(u128);

impl KindSet {
    /// Every kind, also those that are newer than this crate.
    pub const ANY: KindSet = KindSet(u128::MAX);

    /// The set of these kinds.
    pub const fn of(kinds: &[BtfKind]) -> KindSet {
        let mut bits = 0;
        let mut rest = kinds;
        while let [kind, tail @ ..] = rest {
            bits |= 1 << (kind.0 & 0x7f);
            rest = tail;
        }
        KindSet(bits)
    }

    /// Whether the set has this kind.
    #[inline]
    pub const fn contains(self, kind: BtfKind) -> bool {
        self.0 >> (kind.0 & 0x7f) & 1 == 1
    }

    /// The kinds of both sets.
    pub const fn union(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }
}

impl From<BtfKind> for KindSet {
    fn from(kind: BtfKind) -> KindSet {
        KindSet::of(&[kind])
    }
}

impl fmt::Display for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == KindSet::ANY {
            return f.write_str("any kind");
        }
        let mut sep = "";
        for kind in BtfKind::ALL.iter().filter(|k| self.contains(**k)) {
            write!(f, "{sep}{kind}")?;
            sep = " or ";
        }
        Ok(())
    }
}

/// How an integer is meant to be read: the encoding bits of `BTF_KIND_INT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntEncoding(pub u8);

impl IntEncoding {
    /// A plain unsigned number.
    pub const UNSIGNED: IntEncoding = IntEncoding(0);
    /// A signed number (`BTF_INT_SIGNED`). clang gives C's `char` this encoding, not `CHAR`.
    pub const SIGNED: IntEncoding = IntEncoding(1);
    /// A character (`BTF_INT_CHAR`).
    pub const CHAR: IntEncoding = IntEncoding(2);
    /// A truth value (`BTF_INT_BOOL`).
    pub const BOOL: IntEncoding = IntEncoding(4);

    /// Whether the number is signed.
    pub fn is_signed(self) -> bool {
        self.0 & Self::SIGNED.0 != 0
    }

    /// Whether the number is a character.
    pub fn is_char(self) -> bool {
        self.0 & Self::CHAR.0 != 0
    }

    /// Whether the number is a truth value.
    pub fn is_bool(self) -> bool {
        self.0 & Self::BOOL.0 != 0
    }
}

/// The size of a `struct btf_type`, which every record starts with, in bytes.
pub(super) const HEAD: usize = 12;

/// How long a record is: `fixed + vlen * each` bytes. A `fixed` of 0 stands for a kind of unknown length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub fixed: u16,
    pub each: u16,
}

/// One shape for each value of the byte that holds the kind (bits 0..7) and the kind flag (bit 7), so
/// that the walk over all types needs one load and no mask.
pub(super) type Shapes = [Shape; 256];

/// The shapes of the kinds that this crate knows.
pub(super) const KNOWN: Shapes = known();

const fn known() -> Shapes {
    // kind, bytes after the head, bytes of each of the `vlen` elements
    const ROWS: [(BtfKind, u16, u16); 19] = [
        (BtfKind::Int, 4, 0),
        (BtfKind::Ptr, 0, 0),
        (BtfKind::Array, 12, 0),
        (BtfKind::Struct, 0, 12),
        (BtfKind::Union, 0, 12),
        (BtfKind::Enum, 0, 8),
        (BtfKind::Fwd, 0, 0),
        (BtfKind::Typedef, 0, 0),
        (BtfKind::Volatile, 0, 0),
        (BtfKind::Const, 0, 0),
        (BtfKind::Restrict, 0, 0),
        (BtfKind::Func, 0, 0),
        (BtfKind::FuncProto, 0, 8),
        (BtfKind::Var, 4, 0),
        (BtfKind::Datasec, 0, 12),
        (BtfKind::Float, 0, 0),
        (BtfKind::DeclTag, 4, 0),
        (BtfKind::TypeTag, 0, 0),
        (BtfKind::Enum64, 0, 12),
    ];
    let mut out = [Shape { fixed: 0, each: 0 }; 256];
    let mut i = 0;
    while i < ROWS.len() {
        let (kind, fixed, each) = ROWS[i];
        let shape = Shape { fixed: HEAD as u16 + fixed, each };
        out[kind.0 as usize] = shape;
        out[kind.0 as usize | 0x80] = shape;
        i += 1;
    }
    out
}
