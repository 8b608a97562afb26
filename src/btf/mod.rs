//! BTF: the types of a BPF object or of a kernel, as data.
//!
//! # The problem
//!
//! Machine code has no types. A BPF program reads `task->pid` as "4 bytes at offset 2460", and that is
//! only right on the kernel it was compiled for. A map holds 16 bytes, and nothing in them says that they
//! are two addresses and two ports. BTF, the *BPF Type Format*, is the missing description: every type of
//! a program or of a kernel, in a form that is small enough to be kept at run time. `clang -g` writes it
//! into each BPF object, and a running kernel shows its own in `/sys/kernel/btf/vmlinux`.
//!
//! Nearly everything that makes BPF pleasant rests on it: programs that fit themselves to the kernel they
//! meet (CO-RE), hooks on any kernel function (`fentry`), map contents that can be read, verifier errors
//! with source lines.
//!
//! # What it looks like
//!
//! ```text
//!  header ─┬─► types:   one record after the other; the n-th is type number n, and 0 is `void`
//!          ├─► layout:  how long a record of each kind is (since 2026; for readers older than a kind)
//!          └─► strings: every name once, each with a NUL, the empty one first
//!
//!  a record:   name offset │ kind, vlen, flag │ size or type number │ vlen elements ...
//!
//!  struct key { __u32 saddr; __u32 daddr; };            the types refer to one another by number:
//!
//!  [1] INT     'unsigned int' size=4                        3 ──saddr──► 2 ──► 1
//!  [2] TYPEDEF '__u32' type_id=1                            └───daddr────┘
//!  [3] STRUCT  'key' size=8 vlen=2
//!        'saddr' type_id=2 bits_offset=0
//!        'daddr' type_id=2 bits_offset=32
//! ```
//!
//! A qualifier (`const`), a typedef and a pointer are types of their own, so that most questions start by
//! looking through a few of them: [`Btf::skip_mods_and_typedefs`]. *Split* BTF, that of a kernel module,
//! holds only what its base does not have, and numbers on from there.
//!
//! # What is here
//!
//! | to | use |
//! |---|---|
//! | read: types, names, sizes, members | [`Btf`], [`Type`], [`Kind`] |
//! | find types by name | [`Btf::find`], [`Btf::find_many`], [`Btf::field`] |
//! | read and write values | [`decode`], [`Value`], [`Literal`], [`encode`] |
//! | show types as text | [`dump_c`], [`Btf::render_decl`], [`Btf::raw`] |
//! | make or change BTF | [`BtfBuilder`], [`Def`] |
//! | make it fit for an older kernel | [`sanitize()`] |
//! | move a module's BTF to the running kernel | [`Btf::relocate`] |
//! | read what ties instructions to types and lines | [`BtfExt`] |
//!
//! The bytes are read where they lie, and as late as possible. Opening takes one walk over the records,
//! which also tells a whole file from a damaged one; a search by name takes one pass, however many names
//! are wanted. Bytes from outside are not trusted: a type is checked when it is touched, a loop of types
//! ends at a limit, and a kind that is newer than this crate is stepped over.
//!
//! Read on in the order `kind`, `parse`, `types`, `list`, `find`, `resolve`; then `value`, `c`, `build`.

mod build;
mod c;
mod data;
mod def;
mod error;
mod ext;
mod find;
mod kind;
mod list;
mod name;
mod parse;
mod patch;
mod raw;
mod relocate;
mod resolve;
mod sanitize;
mod types;
mod value;

pub use build::{BtfBuilder, NewMember};
pub use c::{CDump, dump_c};
pub use data::Data;
pub use def::{Composite, Def, MemberDef, Values};
pub use error::BtfError;
pub use ext::{
    BtfExt, BtfExtBuilder, CoreRelo, CoreReloKind, ExtRecord, ExtSection, ExtSections, FuncInfo, LineInfo,
};
pub use find::{FindScope, TypeQuery};
pub use kind::{BtfKind, FuncLinkage, IntEncoding, KindSet, VarLinkage};
pub use list::{
    Element, Enumerator, Enumerators, List, ListIter, Member, Members, Param, Params, Secinfo, Secinfos,
};
pub use name::{Name, essential_name};
pub use parse::Btf;
pub(crate) use patch::Patch;
pub use raw::Raw;
pub use resolve::BtfField;
pub use sanitize::{Support, sanitize};
pub use types::{Array, FwdKind, Int, Kind, Type, Unknown};

pub use value::{
    EncodeError, Literal, SyntaxError, Value, ValueProblem, decode, decode_field, encode, encode_into,
};

use std::fmt;

/// The number of a type; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// No type.
    pub const VOID: TypeId = TypeId(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where a string is: in bytes from the start of the string section, the base's included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrOff(pub u32);

impl StrOff {
    /// The empty string, which is the name of what has none.
    pub const NONE: StrOff = StrOff(0);
}

impl fmt::Display for StrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
