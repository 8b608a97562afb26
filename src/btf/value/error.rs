//! Why what was typed is no value of a type.

use super::SyntaxError;
use crate::btf::BtfError;

/// Why a text is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The text is no value of any type.
    #[error("the value cannot be read")]
    Syntax(#[from] SyntaxError),
    /// A part of it does not fit its type.
    #[error("{}{problem}", place(path, ty))]
    Value {
        /// The member, as a path; empty for the whole value.
        path: String,
        /// Its type, as C writes it.
        ty: String,
        /// What is wrong.
        problem: ValueProblem,
    },
    /// The type itself is not one that values can be written of.
    #[error("{}the type cannot be written", place(path, ""))]
    Type {
        /// The member, as a path; empty for the whole value.
        path: String,
        /// Why.
        source: BtfError,
    },
}

/// What is wrong with a part of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[doc(alias = "Problem")]
pub enum ValueProblem {
    /// A number that the type cannot hold.
    #[error("{value} does not fit; it takes {min} to {max}")]
    Range {
        /// The number.
        value: String,
        /// The least that fits.
        min: i128,
        /// The most that fits.
        max: u128,
    },
    /// Something of another sort.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the type takes.
        expected: String,
        /// What was typed.
        found: String,
    },
    /// No member, enumerator or variable of that name.
    #[error("`{name}` is none of its names: {}", names.join(", "))]
    NoSuchName {
        /// What was typed.
        name: String,
        /// The names there are; no more than the first 24.
        names: Vec<String>,
    },
    /// Too many elements, or too long a text.
    #[error("{len} {what} do not fit; it takes {most}")]
    TooLong {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        len: usize,
        /// How much fits.
        most: usize,
    },
    /// Too few bytes to write into.
    #[error("the buffer has {have} byte(s), and the type needs {need}")]
    Buffer {
        /// The length of the buffer.
        have: usize,
        /// The size of the type.
        need: usize,
    },
}

fn place(path: &str, ty: &str) -> String {
    match (path.is_empty(), ty.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("{ty}: "),
        (false, true) => format!("`{path}`: "),
        (false, false) => format!("`{path}` ({ty}): "),
    }
}
