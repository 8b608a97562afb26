//! What is to be loaded, and where.

use std::path::Path;

use rawbpf::{Plan, Target};

use crate::options::LoadOptions;

/// An object that is planned, and the places for its programs.
pub(crate) struct Wanted<'a> {
    /// Where the object was read from.
    pub(crate) object: &'a Path,
    pub(crate) how: &'a LoadOptions,
    pub(crate) plan: &'a Plan,
    /// Program and target.
    pub(crate) targets: &'a [(String, Target)],
}
