//! `--netns` and `--all-netns`: which network namespaces are looked at.

use clap::Args as ClapArgs;
use rawbpf::links::{NetNs, Scope};

use crate::ui::error::CliError;

/// Which network namespaces to look at.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ScopeArgs {
    /// The interfaces of this network namespace instead of those of the current one: a name of `ip netns`, a process, a
    /// file (may be given several times)
    #[arg(long, value_name = "NAME|PID|PATH|self", conflicts_with = "all_netns")]
    pub(crate) netns: Vec<NetNs>,
    /// The interfaces of all network namespaces
    #[arg(long)]
    pub(crate) all_netns: bool,
}

/// The namespaces that are meant.
pub(crate) fn scope(args: &ScopeArgs) -> Result<Scope, CliError> {
    if args.all_netns {
        return Ok(Scope::Everywhere);
    }
    // A namespace that is not there is the caller's mistake, and not one of the machine's.
    for netns in &args.netns {
        netns.open()?;
    }
    Ok(if args.netns.is_empty() { Scope::Here } else { Scope::Of(args.netns.clone()) })
}
