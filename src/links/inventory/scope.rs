//! Where to look, and what could not be seen there.

use crate::links::netns::NetNs;

/// Something that could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot look at {what}: {why}")]
pub struct Problem {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Which network namespaces to visit. What belongs to none (cgroups, probes) is always listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// That of the caller.
    #[default]
    Here,
    /// These.
    Of(Vec<NetNs>),
    /// All that a process is in, or that a file stands for.
    Everywhere,
}
