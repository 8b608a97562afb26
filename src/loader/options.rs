//! What a caller may decide about a load.

use std::path::PathBuf;

/// How to load an object.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where maps with `LIBBPF_PIN_BY_NAME` are pinned. `/sys/fs/bpf`, as in libbpf.
    pub pin_root: PathBuf,
    /// Verifier log level for programs that load: 0 no log, 1 branches, 2 every instruction, 4 statistics. A
    /// program that is refused gets a log of level 1 in any case.
    pub log_level: u32,
    /// Load only these programs; all that are not excluded by `?` if empty.
    pub only: Vec<String>,
    /// BPF token: the bpffs directory that delegates. `None`: `$LIBBPF_BPF_TOKEN_PATH`, or in a user namespace
    /// /sys/fs/bpf if it delegates; empty: no token.
    pub token: Option<PathBuf>,
    /// Programs that are bound to a function of another loaded program: `freplace`, and `fentry` and `fexit` of
    /// programs.
    pub onto: Vec<ProgTarget>,
}

/// A program of the object, and the loaded program that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "Onto")]
pub struct ProgTarget {
    /// The program of the object.
    pub program: String,
    /// The loaded program, by its id.
    pub target: u32,
    /// The function in it; what the section names if `None`.
    pub function: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pin_root: "/sys/fs/bpf".into(),
            log_level: 0,
            only: Vec::new(),
            token: None,
            onto: Vec::new(),
        }
    }
}
