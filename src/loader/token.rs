//! BPF tokens: what root has delegated to a user namespace, taken from a bpffs.
//!
//! In a container without capabilities `bpf(2)` answers `EPERM`. Root outside can mount a bpffs into it with
//! `delegate_cmds=..., delegate_maps=..., delegate_progs=...`; from that mount the container's own root makes a
//! token, and shows it with every call. Linux 6.9.
//!
//! Where it is looked for, in libbpf's order:
//!
//! ```text
//!   Options::token                   must work; an empty path: no token
//!   LIBBPF_BPF_TOKEN_PATH            must work; an empty value: no token
//!   /sys/fs/bpf                      if it works; tried in a user namespace only, elsewhere there is no token
//! ```

use std::path::{Path, PathBuf};

use crate::kernel::policy::in_user_namespace;

/// The token to make first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPlan {
    /// The root directory of the bpffs.
    pub dir: PathBuf,
    /// Fail if there is none to be had from there.
    pub required: bool,
}

/// Which token to make, if any.
pub(super) fn plan(asked: Option<&Path>, host: bool) -> Option<TokenPlan> {
    let named = |dir: PathBuf| (!dir.as_os_str().is_empty()).then_some(TokenPlan { dir, required: true });
    if let Some(dir) = asked {
        return named(dir.into());
    }
    if !host {
        return None;
    }
    match std::env::var_os("LIBBPF_BPF_TOKEN_PATH") {
        Some(dir) => named(dir.into()),
        // In the initial one the kernel makes no tokens.
        None if in_user_namespace() == Some(true) => {
            Some(TokenPlan { dir: "/sys/fs/bpf".into(), required: false })
        }
        None => None,
    }
}
