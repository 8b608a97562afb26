//! What `load`, `apply` and the exporter share of deploying: the bpffs, signals, and what they say.

pub(crate) mod bpffs;
pub(crate) mod report;
pub(crate) mod signals;
