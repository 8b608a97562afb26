//! What can be wrong with BTF, or with a question asked of it.

use super::kind::{BtfKind, KindSet};
use super::{StrOff, TypeId};
use crate::bytes::{Endian, Truncated};

/// Why BTF could not be read, or why it has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The bytes do not start with BTF's magic number.
    #[error("not {what}: the first two bytes are {found:#06x}, where 0xeb9f (either byte order) is expected")]
    Magic {
        /// `BTF` or `.BTF.ext`.
        what: &'static str,
        /// What is there instead, read as little-endian.
        found: u16,
    },
    /// The bytes end too soon.
    #[error("the {what} is cut short")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where, and by how much.
        #[source]
        source: Truncated,
    },
    /// A header field has a value that cannot be.
    #[error("the BTF header is wrong: {what} ({value}); the file is damaged, or it is not BTF")]
    Header {
        /// Which rule is broken.
        what: &'static str,
        /// The value that breaks it.
        value: u64,
    },
    /// A split BTF was given without its base.
    #[error(
        "the string section does not start with an empty string: this is split BTF (of a kernel module, \
             say), which needs the BTF of vmlinux as its base"
    )]
    NeedsBase,
    /// Split BTF and its base differ in byte order.
    #[error("the split BTF is {own}, but its base is {base}: they are not of the same machine")]
    BaseEndian {
        /// The byte order of the split BTF.
        own: Endian,
        /// The byte order of its base.
        base: Endian,
    },
    /// A type record does not fit into the type section.
    #[error("type {id} is cut short: its {kind} record ends past the type section")]
    Record {
        /// Which type.
        id: TypeId,
        /// Its kind.
        kind: BtfKind,
    },
    /// A kind that is newer than this crate, in BTF that does not say how long its records are.
    #[error("type {id} is of kind {}, which is newer than this program, and the BTF has no layout section that \
             says how to step over it; types from {id} on cannot be read", kind.0)]
    UnknownKind {
        /// Which type.
        id: TypeId,
        /// Its kind.
        kind: BtfKind,
    },
    /// There is no type of this number.
    #[error("there is no type {id}: the BTF has types 1 to {last}")]
    NoType {
        /// The number asked for.
        id: TypeId,
        /// The highest type number that the BTF has.
        last: u32,
    },
    /// A type refers to a type that does not exist.
    #[error("type {id} is broken: it refers to type {to}, but the BTF has types 1 to {last}")]
    Reference {
        /// The type that refers.
        id: TypeId,
        /// The number it refers to.
        to: TypeId,
        /// The highest type number that the BTF has.
        last: u32,
    },
    /// A name lies outside the string section.
    #[error("no string is at offset {off}: the string section is {len} byte(s) long")]
    NoString {
        /// The offset asked for.
        off: StrOff,
        /// The length of the string section, base included.
        len: u64,
    },
    /// A type has a name that lies outside the string section.
    #[error(
        "type {id} is broken: a name in it is at string offset {off}, but the string section is {len} byte(s) long"
    )]
    Name {
        /// The type that has the name.
        id: TypeId,
        /// The offset of the name.
        off: StrOff,
        /// The length of the string section, base included.
        len: u64,
    },
    /// No type has this name and kind.
    #[error("no {kinds} is called `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
        /// The kinds asked for.
        kinds: KindSet,
    },
    /// The type is not of a kind that can answer.
    #[error("type {id} (`{name}`) is a {kind}, which has no {what}")]
    WrongKind {
        /// Which type.
        id: TypeId,
        /// Its name.
        name: String,
        /// Its kind.
        kind: BtfKind,
        /// What it was asked for.
        what: &'static str,
    },
    /// A chain of types is longer than any real one; most likely it is a loop.
    #[error("type {id} leads through more than {limit} other types: a loop, or damaged BTF")]
    TooDeep {
        /// Where the chain starts.
        id: TypeId,
        /// How far it was followed.
        limit: u32,
    },
    /// A size or a number of things does not fit.
    #[error("{what} of type {id} is too large ({value})")]
    TooLarge {
        /// Which type.
        id: TypeId,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
    },
    /// A struct or union has no such member.
    #[error("`{ty}` has no member `{member}` (asked for by `{path}`){}", one_of(members))]
    NoMember {
        /// The struct or union.
        ty: String,
        /// The member asked for.
        member: String,
        /// The whole path.
        path: String,
        /// The members it does have, in order.
        members: Vec<String>,
    },
    /// A path to a member cannot be read or followed.
    #[error("the path `{path}` cannot be followed at `{at}`: {why}")]
    Path {
        /// The whole path.
        path: String,
        /// The part that fails.
        at: String,
        /// Why.
        why: &'static str,
    },
    /// A type of a distilled base has no counterpart.
    #[error("type {id} (`{name}`) of the distilled base cannot be found in the kernel's BTF: {why}")]
    Relocate {
        /// The type of the distilled base.
        id: TypeId,
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A section of `.BTF.ext` is wrong.
    #[error("the {section} section of .BTF.ext is wrong: {what} ({value})")]
    Ext {
        /// `func_info`, `line_info` or `core_relo`.
        section: &'static str,
        /// Which rule is broken.
        what: &'static str,
        /// The value that breaks it.
        value: u64,
    },
}

impl BtfError {
    pub(super) fn cut(what: &'static str) -> impl Fn(Truncated) -> BtfError {
        move |source| BtfError::Truncated { what, source }
    }
}

/// `; it has a, b, c`, for an error message; long lists are cut.
fn one_of(names: &[String]) -> String {
    const MOST: usize = 24;
    let mut list: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    if names.len() > MOST {
        list.push("...");
    }
    if list.is_empty() { String::new() } else { format!("; it has {}", list.join(", ")) }
}
