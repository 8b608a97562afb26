//! The options that several verbs share: where programs are attached, and what is changed before they are loaded.

pub(crate) mod net;
pub(crate) mod overrides;
pub(crate) mod scope;

use clap::{Args as ClapArgs, ValueEnum};

use net::NetArgs;
use overrides::Overrides;
use rawbpf::deploy::Maps;

/// What both `load` and `plan` take.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct LoadOptions {
    /// Attach XDP programs to these interfaces (separated by commas, or given several times)
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    pub(crate) xdp: Vec<String>,
    /// Where XDP programs run: in the driver (native), in the network stack (generic), or wherever they can
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub(crate) xdp_mode: XdpModeArg,
    #[command(flatten)]
    pub(crate) net: NetArgs,
    /// Attach PROGRAM to a hook, written as its section name would be: `kprobe/tcp_connect`,
    /// `uprobe/libc.so.6:malloc`, `perf_event/cpu-clock,freq=99` (may be given several times)
    #[arg(long, value_name = "PROGRAM=HOOK")]
    pub(crate) attach: Vec<String>,
    /// Do not attach programs by their section names
    #[arg(long)]
    pub(crate) no_attach: bool,
    /// Fail, and leave nothing behind, if a program cannot be attached where its section says; without this, it is
    /// reported, and the others are attached
    #[arg(long, conflicts_with = "no_attach")]
    pub(crate) strict: bool,
    /// Wait for an interface, cgroup or namespace that does not exist yet
    #[arg(long)]
    pub(crate) wait: bool,
    /// When replacing: keep maps of the same name and shape with what is in them; this is how `apply` does it
    #[arg(long, group = "fate")]
    pub(crate) keep_maps: bool,
    /// As --keep-maps; of maps of another shape, copy the elements field by field
    #[arg(long, group = "fate")]
    pub(crate) migrate: bool,
    /// When replacing: make all maps anew, empty; this is how `load --replace` does it
    #[arg(long, group = "fate")]
    pub(crate) fresh_maps: bool,
    /// Only this process: for uprobes, USDT probes and perf events
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// The value that bpf_get_attach_cookie returns to programs, for --attach
    #[arg(long, value_name = "N", requires = "attach")]
    pub(crate) cookie: Option<u64>,
    /// Bind PROGRAM (freplace, fentry, fexit) to a function of a loaded program: its id, name, or pin; the
    /// function is the one that the section names if none is given
    #[arg(long, value_name = "PROGRAM=TARGET[:FUNCTION]")]
    pub(crate) onto: Vec<String>,
    /// Load only this program (may be given several times)
    #[arg(long = "program", value_name = "NAME")]
    pub(crate) programs: Vec<String>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum XdpModeArg {
    #[default]
    Auto,
    Native,
    Generic,
    Offloaded,
}

impl LoadOptions {
    /// What becomes of maps when an object is replaced; `or` if nothing is said.
    pub(crate) fn maps(&self, or: Maps) -> Maps {
        match (self.fresh_maps, self.keep_maps, self.migrate) {
            (true, _, _) => Maps::Fresh,
            (_, true, _) => Maps::Keep,
            (_, _, true) => Maps::Migrate,
            _ => or,
        }
    }
}
