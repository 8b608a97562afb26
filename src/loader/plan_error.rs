//! Why an object cannot be loaded on a kernel.

use super::externs::ExternError;
use super::relocate::CoreError;
use super::struct_ops::StructOpsError;
use super::target::TargetError;
use crate::btf::BtfError;

/// Why an object cannot be loaded on a kernel, found out before asking it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The object is for machines of the other byte order.
    #[error("the object is {object} and this machine is {machine}; compile with `-target {target}`")]
    Endian {
        /// The object's.
        object: crate::bytes::Endian,
        /// The machine's.
        machine: crate::bytes::Endian,
        /// What to compile for.
        target: &'static str,
    },
    /// Nothing would be loaded.
    #[error("the object has no programs; its sections with code are: {sections}")]
    NoPrograms {
        /// What there is.
        sections: String,
    },
    /// A name that is not in the object.
    #[error("the object has no {what} `{name}`; it has: {known}")]
    NoSuch {
        /// `program` or `map`.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// The section name does not say what kind of program it is.
    #[error("program `{program}`: section `{section}` is not a known program type{}", nearest(.near))]
    UnknownSection {
        /// The program.
        program: String,
        /// Its section.
        section: String,
        /// Names that are close.
        near: Vec<&'static str>,
    },
    /// A map definition that no kernel takes.
    #[error("map `{map}`: {why}")]
    Map {
        /// The map.
        map: String,
        /// What is wrong.
        why: String,
    },
    /// Function or line records that do not fit the code.
    #[error(
        "program `{program}`: .BTF.ext has {what} records for it but none for `{function}`, which it calls"
    )]
    Info {
        /// The program.
        program: String,
        /// The function.
        function: String,
        /// `func_info` or `line_info`.
        what: &'static str,
    },
    /// The object's types could not be made fit for the kernel.
    #[error("the object's BTF cannot be adapted to this kernel")]
    Btf(#[from] BtfError),
    /// A CO-RE relocation cannot be made.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An extern cannot be resolved.
    #[error(transparent)]
    Extern(#[from] ExternError),
    /// What a program attaches to was not found.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A set of callbacks does not fit this kernel.
    #[error(transparent)]
    StructOps(#[from] StructOpsError),
    /// A jump table cannot be made.
    #[error("program `{program}`: {why}")]
    JumpTable {
        /// The program.
        program: String,
        /// What is wrong.
        why: String,
    },
}

fn nearest(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) }
}
