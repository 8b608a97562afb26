//! Why assembled parts make no object.

use crate::btf::BtfError;
use crate::insn::InsnIx;

/// Why assembled parts make no object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Code refers to something that was not given.
    #[error("function `{function}`, instruction {}{place}: there is no {what} `{name}` in this object; there are: {known}", at.0)]
    Unknown {
        /// The function.
        function: String,
        /// The instruction.
        at: InsnIx,
        /// ` (file:line)` of it.
        place: String,
        /// `map`, `function` ...
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// A name was given twice.
    #[error("there are two {what}s called `{name}`")]
    Twice {
        /// `map`, `function`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A section name that says no program type.
    #[error("program `{program}`: `{section}` is not a section name that says a program type{near}")]
    Section {
        /// The program.
        program: String,
        /// The section.
        section: String,
        /// Names that are close.
        near: String,
    },
    /// A map element that refers to nothing.
    #[error("map `{map}`: its element {index} is to be `{target}`, which is no {what} of this object")]
    Slot {
        /// The map.
        map: String,
        /// The element.
        index: u32,
        /// What it was to be.
        target: String,
        /// `map` or `program`.
        what: &'static str,
    },
    /// Something of a text, or of a map, that does not fit together.
    #[error("{what}: {why}")]
    Text {
        /// What it is: `variable \`limit\``, `map \`hits\``.
        what: String,
        /// Why not.
        why: String,
    },
    /// The types could not be written.
    #[error("the types of the object cannot be written")]
    Btf(#[from] BtfError),
}
