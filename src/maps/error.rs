//! What can go wrong with a map, by the map's name.

use std::path::PathBuf;

use super::{Map, Shape};
use crate::sys::SysError;
use crate::uapi::MapType;

/// A failure of a typed map, or of making a map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A system call failed.
    #[error("cannot {doing} map `{map}`")]
    Sys {
        /// The map.
        map: String,
        /// What was tried, as in "read an element of".
        doing: &'static str,
        /// The failure.
        source: SysError,
    },
    /// A batch failed in its middle.
    #[error("cannot {doing} map `{map}`: {done} of {of} elements were done")]
    Partly {
        /// The map.
        map: String,
        /// What was tried.
        doing: &'static str,
        /// How many elements were done before the failure.
        done: usize,
        /// How many were asked for.
        of: usize,
        /// The failure.
        source: SysError,
    },
    /// A map could not be made.
    #[error("cannot create map `{map}` ({map_type}, {what})")]
    Create {
        /// The map.
        map: String,
        /// Its type.
        map_type: MapType,
        /// Its sizes, and the memory that it would take.
        what: String,
        /// What was asked for.
        shape: Shape,
        /// The failure.
        source: SysError,
    },
    /// The map is not what it is taken for.
    #[error("map `{map}` {mismatch}")]
    Mismatch {
        /// The map.
        map: String,
        /// What is different.
        mismatch: Mismatch,
    },
    /// The name of a [`SharedMaps`](super::SharedMaps) is in use.
    #[error("`{name}` is taken by {by}, see {path}")]
    Taken {
        /// The name.
        name: String,
        /// The directory.
        path: PathBuf,
        /// What kind of owner it has.
        by: &'static str,
    },
    /// A file or directory of a [`SharedMaps`](super::SharedMaps).
    #[error("cannot {doing} {path}")]
    Shared {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: std::io::Error,
    },
    /// An argument that no map takes.
    #[error("map `{map}`: {problem}")]
    Argument {
        /// The map.
        map: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// In what a map differs from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Another type of map.
    #[error("is of type {found}; expected {}", names(expected))]
    Type {
        /// The types that would do.
        expected: &'static [MapType],
        /// Its type.
        found: MapType,
    },
    /// Keys of another size.
    #[error("has keys of {found} bytes; the Rust type has {expected}")]
    Key {
        /// Bytes of the Rust type.
        expected: usize,
        /// Bytes of the map's keys.
        found: usize,
    },
    /// Values of another size.
    #[error("has values of {found} bytes; the Rust type has {expected}")]
    Value {
        /// Bytes of the Rust type.
        expected: usize,
        /// Bytes of the map's values.
        found: usize,
    },
    /// A field of a pinned map that is to be reused.
    #[error("is pinned with {field} {found}; expected {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A flag of map creation that is missing.
    #[error("was created without {0}")]
    Flag(&'static str),
}

fn names(types: &[MapType]) -> String {
    let names: Vec<String> = types.iter().map(MapType::to_string).collect();
    names.join(" or ")
}

impl MapError {
    /// A failed system call of a map. The name is copied only if it comes to that: this stands behind every access.
    pub(crate) fn sys(map: &Map, doing: &'static str) -> impl FnOnce(SysError) -> MapError {
        move |source| MapError::Sys { map: map.name().into(), doing, source }
    }

    pub(crate) fn argument(map: &Map, problem: impl Into<String>) -> MapError {
        MapError::Argument { map: map.name().into(), problem: problem.into() }
    }
}
