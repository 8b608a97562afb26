//! The structures that programs read, by their C names.

use super::field::Layout;

/// The structures of [`net`](super::net) and [`ctx`](super::ctx).
pub fn layouts() -> impl Iterator<Item = &'static Layout> {
    super::net::LAYOUTS.iter().chain(super::ctx::LAYOUTS)
}

/// The structure of a C name.
///
/// ```
/// let md = rawbpf::insn::layout("xdp_md").unwrap();
/// assert_eq!(md.bytes, 24);
/// assert_eq!(md.fields[1], ("data_end", 4, 4));
/// ```
pub fn layout(name: &str) -> Option<&'static Layout> {
    layouts().find(|l| l.name == name)
}
