//! One integration binary: it runs as it is on this machine and in every guest kernel.

mod btf;
mod gate;
mod harness;
mod smoke;
