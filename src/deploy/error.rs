//! What can go wrong with what stays.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::links::{AttachError, NetNsError};
use crate::loader::{LoadError, PlanError};
use crate::sys::SysError;

/// Why something could not be deployed, changed or taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// A stage before this one, or a system call.
    #[error(transparent)]
    Lib(#[from] Error),
    /// A network namespace cannot be opened or entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
    /// The name is taken.
    #[error("`{name}` is loaded already, pinned under {path}")]
    Loaded {
        /// The name.
        name: String,
        /// Its directory.
        path: PathBuf,
    },
    /// The name cannot be one of a directory in a bpffs.
    #[error(
        "`{name}` cannot be a name: it becomes a directory in a bpffs, whose names have 1 to 200 letters, without dots, \
         slashes and `~`"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Nothing is deployed under this name.
    #[error("nothing is loaded under the name `{name}`; loaded are: {known}")]
    NotLoaded {
        /// The name.
        name: String,
        /// Those that are.
        known: String,
    },
    /// No bpffs is mounted where pins are to be kept.
    #[error("no bpffs is mounted at {}", .path.display())]
    NoBpffs {
        /// Where.
        path: PathBuf,
    },
    /// Pins would be lost with the mount namespace.
    #[error("pins made here would not stay: {why}")]
    Private {
        /// Why.
        why: String,
        /// The network namespace, by its name, that was entered by `ip netns exec`.
        netns: Option<String>,
    },
    /// A file operation failed.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// How it failed.
        source: std::io::Error,
    },
    /// A wish that does not fit the object or the machine, by its key in a file or on a command line.
    #[error("{key}: {why}")]
    Wish {
        /// The key: `xdp`, `tc`, `cgroup` ...
        key: &'static str,
        /// What is wrong.
        why: String,
    },
    /// What is attached has no successor.
    #[error("`{program}` is attached ({place}), and the new object has no program of this name")]
    NoSuccessor {
        /// The program.
        program: String,
        /// Where it is attached.
        place: String,
    },
    /// A change that cannot be made in one step, and is not made in two.
    #[error("{what}: {why}; take it away first")]
    NotInPlace {
        /// What is to be changed.
        what: String,
        /// Why not in place.
        why: String,
    },
    /// Calls said that it was done, and the machine says that it is not so.
    #[error("{what} is not attached, though no call failed: {why}")]
    NotSo {
        /// The program and its hook.
        what: String,
        /// What the machine says.
        why: String,
    },
    /// Something could not be looked at, so nothing was changed.
    #[error("cannot look at {what}: {why}; nothing was changed")]
    Unseen {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
}

/// `Result` of this stage.
pub(super) type Result<T> = std::result::Result<T, DeployError>;

impl DeployError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> DeployError {
        let doing = doing.into();
        move |source| DeployError::Io { doing, source }
    }

    pub(crate) fn sys(doing: impl Into<String>) -> impl FnOnce(SysError) -> DeployError {
        let doing = doing.into();
        move |source| DeployError::Lib(Error::sys(doing, source))
    }

    pub(crate) fn open(what: &str, path: &Path) -> impl FnOnce(SysError) -> DeployError {
        DeployError::sys(format!("open the {what} {}", path.display()))
    }

    pub(crate) fn wish(key: &'static str, why: impl Into<String>) -> DeployError {
        DeployError::Wish { key, why: why.into() }
    }

    /// True if it is about a place that is not there now and may come: an interface, a cgroup, a namespace.
    pub fn may_come(&self) -> bool {
        matches!(
            self,
            DeployError::Lib(Error::Attach(AttachError::NoInterface { .. } | AttachError::NoTarget { .. }))
                | DeployError::NetNs(NetNsError::NoName { .. } | NetNsError::NoProcess { .. })
        )
    }
}

impl From<AttachError> for DeployError {
    fn from(e: AttachError) -> DeployError {
        DeployError::Lib(e.into())
    }
}

impl From<LoadError> for DeployError {
    fn from(e: LoadError) -> DeployError {
        DeployError::Lib(e.into())
    }
}

impl From<PlanError> for DeployError {
    fn from(e: PlanError) -> DeployError {
        DeployError::Lib(e.into())
    }
}
