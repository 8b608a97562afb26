//! Constants of networking.

/// Let the packet pass to the network stack.
pub const XDP_PASS: i32 = 2;
