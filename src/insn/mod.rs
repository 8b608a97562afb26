//! The instruction set: from an operation in Rust to the eight bytes the kernel reads, and back.
