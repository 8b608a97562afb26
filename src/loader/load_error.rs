//! Why loading failed.

use std::path::PathBuf;

use super::poison::Poison;
use crate::elf::Site;
use crate::maps::Shape;
use crate::sys::SysError;
use crate::uapi::{MapType, ProgType};
use crate::verifier::Diagnosis;

/// What the verifier wrote about a program, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifierLog {
    /// The program.
    pub program: String,
    /// The text, as the kernel wrote it.
    pub text: String,
    /// The kernel had more than 16 MiB to say. Since Linux 6.4 the text is the last MiB of it, before the first 16.
    pub cut: bool,
}

/// Why loading failed: which step, with which error number, and what the kernel said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The types were refused.
    #[error("the kernel refused the object's BTF")]
    Btf {
        /// The error.
        source: SysError,
        /// The kernel's log.
        log: String,
    },
    /// A map could not be made.
    #[error("cannot {what} map `{map}`{}", without_types(.untyped))]
    Create {
        /// The map.
        map: String,
        /// What was tried: to create it, or its inner map.
        what: &'static str,
        /// What was asked for.
        shape: Shape,
        /// Why it was made without types, if the kernel had refused them.
        untyped: Option<SysError>,
        /// The error.
        source: SysError,
    },
    /// Something around a map could not be done.
    #[error("cannot {what} map `{map}`")]
    Map {
        /// The map.
        map: String,
        /// Its type.
        map_type: MapType,
        /// What was tried.
        what: &'static str,
        /// The error.
        source: SysError,
    },
    /// What is pinned is another map than the object wants.
    #[error(
        "map `{map}` is pinned at {path} and differs from the object's: {differences}; unpin it (rm {path}) or change the object"
    )]
    PinMismatch {
        /// The map.
        map: String,
        /// Where.
        path: PathBuf,
        /// Each field that differs, with both values.
        differences: String,
    },
    /// A program was refused.
    #[error("the kernel refused program `{program}` (section `{section}`){}{}", lacking(.missing), without_types(.untyped))]
    Program {
        /// The program.
        program: String,
        /// Its section.
        section: String,
        /// Its type.
        prog_type: ProgType,
        /// Why it was loaded without types, if the kernel had refused them.
        untyped: Option<SysError>,
        /// The error.
        source: SysError,
        /// What the verifier wrote.
        log: Box<VerifierLog>,
        /// Something that this kernel lacks, if the verifier came upon it: where, and what.
        missing: Option<Box<(Site, Poison)>>,
        /// The log, explained; `None` if the verifier wrote none.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// Something around a program could not be done.
    #[error("cannot {what} of program `{program}`")]
    ProgramPart {
        /// The program.
        program: String,
        /// What was tried.
        what: &'static str,
        /// The error.
        source: SysError,
    },
    /// The token could not be made.
    #[error("cannot make a BPF token from {path}")]
    Token {
        /// The bpffs directory.
        path: PathBuf,
        /// The error.
        source: SysError,
    },
}

fn lacking(missing: &Option<Box<(Site, Poison)>>) -> String {
    match missing.as_deref() {
        Some((site, Poison::Core(what))) => format!("; {site} needs what this kernel does not have: {what}"),
        Some((site, Poison::Map(map))) => format!("; {site} uses map `{map}`, which was not created"),
        Some((site, Poison::Extern(name))) => {
            format!("; {site} calls `{name}`, which this kernel does not have")
        }
        None => String::new(),
    }
}

fn without_types(untyped: &Option<SysError>) -> String {
    untyped.as_ref().map_or(String::new(), |e| format!("; the kernel has no types of this object: {e}"))
}
