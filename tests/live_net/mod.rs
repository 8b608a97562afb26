//! Attaching to the network, on a real kernel, each hook tested by what its program saw or did: a packet counted, a
//! connection sent elsewhere, an access denied. Then the program is detached, and nothing may be left.

mod cgroup;
mod cli;
mod inventory;
mod leaks;
mod netfilter;
mod netkit;
mod netns;
mod route;
mod socket;
mod sockmap;
mod struct_ops;
mod tc;
pub(crate) mod world;
mod xdp;
