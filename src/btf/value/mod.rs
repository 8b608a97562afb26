//! Values: the bytes of a map, a ring buffer record or a global variable, read and written by their type.
//!
//! ```text
//!   [05 00 00 00 | 02 00 00 00]  +  struct stats { __u32 pkts; enum verdict last; }
//!         decode ──►  Value  ──Display──►  {pkts: 5, last: V_DROP}  ──Literal::parse, encode──►  the bytes
//! ```
//!
//! What is shown can be written back. Where C's type alone would show a number that nobody can use, its
//! name helps: `__be16` is shown as the number it means, `__be32` and `struct in6_addr` as an address.

mod bits;
mod decode;
mod encode;
mod encode_number;
mod error;
mod literal;
mod show;
mod word;

pub use decode::{decode, decode_field};
pub use encode::{encode, encode_into};
pub use error::{EncodeError, ValueProblem};
pub use literal::{Literal, SyntaxError};

use super::types::Kind;
use super::{Btf, BtfError, BtfKind, Name, TypeId};
use std::net::IpAddr;

/// A value, as its type says it is to be read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A signed integer, or a bitfield of one.
    Int(i128),
    /// An unsigned integer, or a bitfield of one.
    Uint(u128),
    /// A truth value that is 0 or 1.
    Bool(bool),
    /// A single `char`.
    Char(u8),
    /// A value of an enumeration, and its name if it has one.
    Enum {
        /// The number.
        value: i128,
        /// The name of the first enumerator that has it.
        name: Option<Name<'a>>,
    },
    /// A `char` array that holds printable text up to a NUL.
    Text(String),
    /// A pointer.
    Ptr(u64),
    /// A floating-point number of 4 or 8 bytes.
    Float(f64),
    /// `__be32`, `struct in_addr` or `struct in6_addr`.
    Addr(IpAddr),
    /// A struct or union: the members in their order, those of anonymous members in their place. All
    /// members of a union are there, each with its view of the bytes.
    Struct(Vec<(Name<'a>, Value<'a>)>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An array of `unsigned char`, or a number of a size that has no type in Rust.
    Bytes(Vec<u8>),
    /// An ELF section: its variables in their order.
    Vars(Vec<(Name<'a>, Value<'a>)>),
}

/// How many typed things a value may have for each byte of it, and how many more: enough for any real
/// union, too few for hostile BTF to run away.
const NODES_PER_BYTE: u32 = 64;
const NODES: u32 = 4096;

/// What an integer's typedef says about its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing: the order of the file.
    File,
    /// `__be16`, `__be32`, `__be64`: most significant byte first.
    Network,
}

/// The type under qualifiers, typedefs and variables, and what the typedefs on the way say.
fn meaning(btf: &Btf, id: TypeId) -> Result<(super::Type<'_>, Order), BtfError> {
    let mut order = Order::File;
    let mut at = id;
    for _ in 0..=super::resolve::MAX_CHAIN {
        let ty = btf.ty(at)?;
        at = match ty.kind {
            Kind::Typedef(to) => {
                if ["__be16", "__be32", "__be64"].iter().any(|name| ty.name == *name) {
                    order = Order::Network;
                }
                to
            }
            Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => to,
            Kind::TypeTag { ty: to, .. } | Kind::Var { ty: to, .. } => to,
            _ => return Ok((ty, order)),
        };
    }
    Err(BtfError::TooDeep { id, limit: super::resolve::MAX_CHAIN })
}

/// Whether an array of this type is a string: `char`, in any of the ways compilers encode it.
fn is_char(ty: &super::Type<'_>) -> bool {
    matches!(ty.kind, Kind::Int(int) if int.size == 1 && (int.encoding.is_char() || ty.name == "char"))
}

/// Whether an array of this type is plain bytes.
fn is_byte(ty: &super::Type<'_>) -> bool {
    matches!(ty.kind, Kind::Int(int) if int.size == 1 && int.encoding.0 == 0)
}

/// Whether this is `struct in_addr` (4 bytes) or `struct in6_addr` (16).
fn addr_len(ty: &super::Type<'_>) -> Option<u32> {
    let (name, len) = match ty.members()?.size {
        4 => ("in_addr", 4),
        16 => ("in6_addr", 16),
        _ => return None,
    };
    (ty.tag() == BtfKind::Struct && ty.name == name).then_some(len)
}
