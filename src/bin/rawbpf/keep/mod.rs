//! What stays when the command ends: programs, maps and links, kept by pins and by their hooks.

pub(crate) mod attach;
pub(crate) mod bpffs;
pub(crate) mod linkless;
pub(crate) mod replace;
pub(crate) mod report;
pub(crate) mod signals;
pub(crate) mod store;
pub(crate) mod struct_ops;
pub(crate) mod wanted;
