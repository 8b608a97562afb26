//! What class of failure an error is.

use super::{Error, cause};
use crate::elf::ReadError;
use crate::events::TraceError;
use crate::kernel::KernelError;
use crate::links::AttachError;
use crate::loader::{ExternError, LoadError, PlanError, TargetError};
use crate::maps::MapError;
use crate::symbolize::SymbolizeError;
use crate::sys::Errno;

/// What class of failure an error is; the command line's exit status follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something was wrong or refused (exit status 1).
    Failed,
    /// The caller may not do it (exit status 3).
    NotPermitted,
    /// This kernel cannot do it (exit status 4).
    Unsupported,
    /// What was named does not exist (exit status 5).
    NotFound,
}

impl Error {
    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Read(ReadError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            Error::Read(ReadError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                ErrorKind::NotPermitted
            }
            Error::Plan(PlanError::NoSuch { .. })
            | Error::Attach(AttachError::NoInterface { .. } | AttachError::NoTarget { .. }) => {
                ErrorKind::NotFound
            }
            Error::Attach(AttachError::NotFound { .. }) => ErrorKind::NotFound,
            Error::Attach(AttachError::Unsupported { .. }) => ErrorKind::Unsupported,
            Error::Plan(PlanError::Target(TargetError::NotFound { .. } | TargetError::NoBtf { .. }))
            | Error::Plan(PlanError::Extern(ExternError::Symbol { .. } | ExternError::NoBtf { .. }))
            | Error::Kernel(KernelError::NoBtf { .. }) => ErrorKind::Unsupported,
            Error::Kernel(KernelError::BtfUnreadable { errno, .. }) => of_errno(*errno),
            // The verifier says EACCES for a program that it rejects: that is no lack of privilege.
            Error::Load(LoadError::Program { source, log, missing, .. }) => match missing {
                Some(_) => ErrorKind::Unsupported,
                None if cause::is_unsupported(self) => ErrorKind::Unsupported,
                None if log.text.trim().is_empty() => of_errno(source.errno),
                None => ErrorKind::Failed,
            },
            Error::Load(LoadError::Create { .. }) | Error::Map(MapError::Create { .. })
                if cause::is_unsupported(self) =>
            {
                ErrorKind::Unsupported
            }
            Error::Trace(TraceError::NoTracefs) => ErrorKind::NotFound,
            Error::Trace(TraceError::Io { source, .. }) | Error::Symbolize(SymbolizeError { source, .. }) => {
                source.raw_os_error().map_or(ErrorKind::Failed, |e| of_errno(Errno(e)))
            }
            _ => self.errno().map_or(ErrorKind::Failed, of_errno),
        }
    }
}

fn of_errno(errno: Errno) -> ErrorKind {
    match errno {
        e if e.is_permission() => ErrorKind::NotPermitted,
        Errno::EOPNOTSUPP | Errno::ENOTSUPP | Errno::ENOSYS => ErrorKind::Unsupported,
        Errno::ENOENT | Errno::ENODEV => ErrorKind::NotFound,
        _ => ErrorKind::Failed,
    }
}
