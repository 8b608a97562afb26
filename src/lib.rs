//! The whole user side of eBPF, with nothing between it and the `bpf(2)` system call.
//!
//! One path, five stages. Each has one type, one place that makes it, one error type, and one command that
//! prints it:
//!
//! ```text
//! &[u8] ──elf──► Object ──loader::plan(Kernel)──► Plan ──run──► Loaded ──links::attach──► Link
//!       what the file says     what will be asked of    what the kernel gave:    what makes it run
//!                              this kernel; pure        open descriptors
//!       rawbpf inspect         rawbpf plan              rawbpf load              rawbpf load --xdp eth0
//! Request + State ──deploy::diff──► steps ──run──► what stays when the process ends      rawbpf apply
//! Asm ──finish──► Code ──Object::builder──► Object      the same, from code assembled in Rust
//! ```
//!
//! ```no_run
//! use rawbpf::{Kernel, Object, Options, Target, Xdp, XdpMode};
//!
//! let object = Object::open("packet_count.o")?;
//! let loaded = object.plan(&Kernel::host(), &Options::default())?.run()?;
//! let program = loaded.program("count_packets").expect("it is in the object");
//! let _link = rawbpf::attach(program, &Target::Xdp(Xdp { interface: "eth0".into(), mode: XdpMode::Auto }))?;
//! let count = loaded.map("packet_count_map").expect("it is in the object").get(&0u32.to_ne_bytes())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read `docs/READING.md` for the order in which to read the source.

pub mod attached;
pub mod btf;
pub mod bytes;
pub mod deploy;
pub mod elf;
mod error;
pub mod events;
pub mod insn;
pub mod kernel;
pub mod links;
pub mod loader;
pub mod maps;
pub mod progs;
pub mod skeleton;
pub mod symbolize;
pub mod sys;
pub mod uapi;
pub mod verifier;

pub use attached::Attached;
pub use elf::Object;
pub use error::{Advice, Causes, Error, ErrorKind, NextStep};
pub use kernel::Kernel;
pub use links::{Link, Target, Xdp, XdpMode, attach};
pub use loader::{Loaded, Options, Plan};
pub use maps::Map;
pub use progs::Program;
