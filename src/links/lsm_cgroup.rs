//! A security module's hook for one cgroup: the program runs only for processes in it, and below.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;

use super::hook_kind::{HookKind, Needs};
use super::{AttachError, Link, refusal};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, TargetFd};
use crate::sys::{self, SysError};
use crate::uapi::{AttachType, ProgType};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: Needs = &[("lsm_cgroup", "a cgroup has to be named")];

/// A cgroup whose processes an LSM program (`SEC("lsm_cgroup/...")`) is for. Linux 6.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LsmCgroup {
    /// Its directory, in a cgroup2 file system.
    pub cgroup: PathBuf,
}

impl fmt::Display for LsmCgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lsm_cgroup of {}", self.cgroup.display())
    }
}

impl HookKind for LsmCgroup {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }
}

/// Attaches an LSM program to a cgroup.
pub(super) fn attach(kernel: &Kernel, program: &Program, target: &LsmCgroup) -> Result<Link, AttachError> {
    refusal::check_type(program, "lsm_cgroup", ProgType::Lsm)?;
    let dir = File::open(&target.cgroup).map_err(|e| SysError::other("open the cgroup", e));
    let made = dir.and_then(|dir| {
        sys::link_create(&LinkCreate {
            prog_fd: Fd::of(program),
            target_fd: TargetFd::of(&dir),
            attach_type: AttachType::LsmCgroup,
            ..Default::default()
        })
    });
    let options = &["BPF_LSM", "CGROUP_BPF"];
    made.map(Link::new).map_err(|source| refusal::refused(kernel, program, target, source, options))
}
