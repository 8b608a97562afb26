//! Why no code could be made.

use crate::btf::BtfError;
use crate::elf::ReadError;

/// Why no code could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkeletonError {
    /// The object cannot be read.
    #[error("cannot read the object")]
    Read(#[source] ReadError),
    /// A type of the object cannot be said in Rust.
    #[error("cannot write the type of {what} in Rust")]
    Type {
        /// What is of that type.
        what: String,
        /// Why not.
        source: BtfError,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: String,
        /// How it failed.
        source: std::io::Error,
    },
}
