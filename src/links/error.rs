//! Why a program could not be attached: the hook, the cause, and what to do.

use super::remedy::Remedy;
use crate::sys::SysError;

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no such interface.
    #[error("there is no interface `{name}` in this network namespace; there are: {known}")]
    NoInterface {
        /// The name.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// The interfaces of this network namespace cannot be listed.
    #[error("cannot list the network interfaces, to find `{name}`")]
    Interfaces {
        /// The name that was looked for.
        name: String,
        /// Why not.
        source: crate::sys::netlink::NetlinkError,
    },
    /// The program is of another kind.
    #[error("program `{program}` is of type {found}; a {hook} hook takes {wanted}")]
    WrongType {
        /// The program.
        program: String,
        /// Its type.
        found: crate::uapi::ProgType,
        /// The hook.
        hook: &'static str,
        /// What it takes.
        wanted: crate::uapi::ProgType,
    },
    /// The hook is taken.
    #[error("cannot attach `{program}` to {hook}: {holder} is attached there{advice}")]
    Taken {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is there: program, id, mode.
        holder: String,
        /// Why that is in the way: it begins with a blank or a punctuation mark, or is empty.
        advice: String,
        /// What to do, where `advice` does not say it.
        remedy: Option<Remedy>,
    },
    /// What was named as the target is not there.
    #[error("cannot attach `{program}`: {why}")]
    NoTarget {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is not there, and what is.
        why: String,
    },
    /// The target is of another kind, or the wish makes no sense there.
    #[error("cannot attach `{program}` to {hook}: {why}")]
    WrongTarget {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// Why, and what to do.
        why: String,
        /// What to do, where `why` does not say it.
        remedy: Option<Remedy>,
    },
    /// The caller lacks a capability.
    #[error("cannot attach `{program}` to {hook}: this takes {missing}, which this process does not have")]
    NotPermitted {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The capabilities.
        missing: String,
        /// The error number.
        source: SysError,
    },
    /// The hook is not described right.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// There is no such function, symbol, tracepoint or file.
    #[error("cannot attach `{program}` to {hook}: there is no {what} `{name}`{near}")]
    NotFound {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What there is none of.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for, and what is near: it begins with a blank or a punctuation mark, or is empty.
        near: String,
    },
    /// This kernel cannot do it.
    #[error("cannot attach `{program}` to {hook}: {why}")]
    Unsupported {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is missing.
        why: String,
        /// What to do, where `why` does not say it.
        remedy: Option<Remedy>,
    },
    /// A file that the attachment depends on could not be read.
    #[error("cannot attach `{program}` to {hook}: {path} {why}")]
    File {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel refused.
    #[error("cannot attach `{program}` to {hook}{why}")]
    Refused {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The error number.
        source: SysError,
        /// The reason, if it could be found: it begins with `: ` or is empty.
        why: String,
        /// What to do, where `why` does not say it.
        remedy: Option<Remedy>,
    },
}

impl AttachError {
    /// What to do about it, if that is known.
    pub fn remedy(&self) -> Option<&Remedy> {
        match self {
            AttachError::Taken { remedy, .. }
            | AttachError::WrongTarget { remedy, .. }
            | AttachError::Unsupported { remedy, .. }
            | AttachError::Refused { remedy, .. } => remedy.as_ref(),
            _ => None,
        }
    }

    /// With what to do about it.
    pub(super) fn with(mut self, cure: Option<Remedy>) -> AttachError {
        if let AttachError::Taken { remedy, .. }
        | AttachError::WrongTarget { remedy, .. }
        | AttachError::Unsupported { remedy, .. }
        | AttachError::Refused { remedy, .. } = &mut self
        {
            *remedy = cure;
        }
        self
    }
}

/// A section name that does not describe a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{section}` does not say where to attach: {why}")]
pub struct HookError {
    /// The section name.
    pub section: String,
    /// What is wrong with it.
    pub why: String,
}
