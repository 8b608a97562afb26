//! Objects that a file names: `[[object]]` of `rawbpf apply` and `rawbpf export`.
//!
//! ```toml
//! [[object]]
//! path = "traffic.o"
//! name = "traffic"
//! load = { xdp = "eth0", set = { limit = 7 } }
//! ```
//!
//! The keys of `load` are the options of `rawbpf load`, and become the same values (`keys`), which become one request
//! (`targets`). A mistake is named by file, line and key (`place`).

pub(crate) mod applied;
pub(crate) mod keys;
pub(crate) mod object;
pub(crate) mod place;
