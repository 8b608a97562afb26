//! All stages' errors as one, and what class of failure each is.
//!
//! Every stage has an error type of its own that names the thing in the user's file: [`ReadError`],
//! [`PlanError`], [`LoadError`], [`AttachError`]. [`Error`] joins them for callers that go through several
//! stages, and answers three questions of any of them: what kind of failure it is ([`Error::kind`]), which
//! error number the kernel gave ([`Error::errno`]), and what to do ([`Error::advice`]).

mod advice;
mod cause;
mod kind;
mod table;

pub use advice::{Advice, NextStep};
pub use kind::ErrorKind;

use crate::btf::BtfError;
use crate::elf::{BuildError, GlobalError, NoText, ReadError, WriteError};
use crate::events::TraceError;
use crate::insn::AsmError;
use crate::insn::text::TextErrors;
use crate::kernel::KernelError;
use crate::links::AttachError;
use crate::loader::{LoadError, MinimalError, PlanError};
use crate::maps::MapError;
use crate::skeleton::SkeletonError;
use crate::symbolize::SymbolizeError;
use crate::sys::netlink::NetlinkError;
use crate::sys::{Errno, SysError};

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading an object.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Assembling a program.
    #[error(transparent)]
    Asm(#[from] AsmError),
    /// Assembling text.
    #[error(transparent)]
    Text(#[from] TextErrors),
    /// Putting an object together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Writing an object as a file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Saying an object as text.
    #[error(transparent)]
    NoText(#[from] NoText),
    /// Setting a global variable.
    #[error(transparent)]
    Global(#[from] GlobalError),
    /// Reading types.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// Asking about the kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Deciding how to load.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Loading.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Attaching.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Reading, writing or making a map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Reading the kernel's trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Looking at a process.
    #[error(transparent)]
    Symbolize(#[from] SymbolizeError),
    /// Making the least BTF for some objects.
    #[error(transparent)]
    Minimal(#[from] MinimalError),
    /// Writing code for an object.
    #[error(transparent)]
    Skeleton(#[from] SkeletonError),
    /// Talking to the network stack.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A system call that is nobody's part.
    #[error("cannot {doing}")]
    Sys {
        /// What was tried.
        doing: String,
        /// How it failed.
        source: SysError,
    },
}

impl Error {
    /// A failed system call, with what it was for.
    pub fn sys(doing: impl Into<String>, source: SysError) -> Error {
        Error::Sys { doing: doing.into(), source }
    }

    /// The system call that failed, if one did.
    pub fn sys_error(&self) -> Option<SysError> {
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(e) = at {
            if let Some(sys) = e.downcast_ref::<SysError>() {
                return Some(*sys);
            }
            at = e.source();
        }
        None
    }

    /// The kernel's error number, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.sys_error().map(|e| e.errno)
    }
}

/// An error with all that caused it, in one line. Each error of this crate says only what its own layer knows; this is
/// for whoever prints the whole.
///
/// ```
/// let refused = rawbpf::Object::open("/no/such/file").unwrap_err();
/// let said = rawbpf::Causes(&refused).to_string();
/// assert!(said.ends_with("No such file or directory (os error 2)"), "{said}");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Causes<'e>(pub &'e (dyn std::error::Error + 'e));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut at = self.0;
        write!(f, "{at}")?;
        while let Some(cause) = at.source() {
            write!(f, ": {cause}")?;
            at = cause;
        }
        Ok(())
    }
}
