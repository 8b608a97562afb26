//! The flags of the network's hooks; what they do is in `net`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::links::{Anchor, NetNs, Netfilter, Order, Place, Route, Via};

use crate::select;
use crate::ui::error::CliError;

/// Where programs of the network are attached.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Attaching to the network")]
pub(crate) struct NetArgs {
    /// Attach tc programs to what these interfaces receive or send, as their sections say if it is not given here
    #[arg(long, value_name = "IF[:ingress|egress]", value_delimiter = ',')]
    pub(crate) tc: Vec<String>,
    /// Attach tc programs to the list of programs (tcx, Linux 6.6), or as filters of a clsact qdisc
    #[arg(long, value_name = "HOW", default_value = "auto", requires = "tc")]
    pub(crate) tc_hook: TcHookArg,
    /// Attach netkit programs to these pairs, named by their primary devices
    #[arg(long, value_name = "IF[:primary|peer]", value_delimiter = ',')]
    pub(crate) netkit: Vec<String>,
    /// Attach the netfilter program to a hook of the IP stack, such as ipv4:prerouting:-150
    #[arg(long, value_name = "FAMILY:HOOK[:PRIORITY][:defrag]", value_delimiter = ',')]
    pub(crate) netfilter: Vec<Netfilter>,
    /// Attach cgroup programs to this cgroup: its directory, or its path below the cgroup2 mount
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Vec<PathBuf>,
    /// How programs share a cgroup's hook; anything but multi implies --no-link
    #[arg(long, value_name = "HOW", default_value = "multi", requires = "cgroup")]
    pub(crate) cgroup_share: ShareArg,
    /// Attach sk_msg and sk_skb programs to this map of sockets: one of the object's, id:N, or the path of a pin
    #[arg(long, value_name = "MAP")]
    pub(crate) sockmap: Vec<String>,
    /// Make a route whose packets the object's lwt programs see, in the main table, such as 10.9.0.0/16,dev=eth0
    #[arg(long, value_name = "ADDRESS/BITS[,via=ADDRESS],dev=IF[,headroom=BYTES]")]
    pub(crate) route: Vec<Route>,
    /// Attach lirc_mode2 programs to this infrared receiver, such as /dev/lirc0
    #[arg(long, value_name = "DEVICE")]
    pub(crate) lirc: Vec<PathBuf>,
    /// Enter this network namespace first: a name of `ip netns`, a process, a file, or `self` for the one where we are;
    /// flow dissectors and sk_lookup programs are attached to it
    #[arg(long, value_name = "NAME|PID|PATH|self")]
    pub(crate) netns: Option<NetNs>,
    /// Run before all other programs of the hook (tc, netkit, cgroup)
    #[arg(long, group = "place")]
    pub(crate) first: bool,
    /// Run after all others
    #[arg(long, group = "place")]
    pub(crate) last: bool,
    /// Run just before this one: the name of its program, id:N, or link:N
    #[arg(long, value_name = "PROGRAM", group = "place")]
    pub(crate) before: Option<Anchor>,
    /// Run just after this one
    #[arg(long, value_name = "PROGRAM", group = "place")]
    pub(crate) after: Option<Anchor>,
    /// Only if the hook's list still has this revision; `attachments` shows it (tcx, netkit, cgroup)
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u64>,
    /// Replace this program, which is attached without a link: its id, name, or pin (XDP, tcx, tc, netkit);
    /// implies --no-link
    #[arg(long, value_name = "PROGRAM", group = "place")]
    pub(crate) instead_of: Option<String>,
    /// Attach without link objects: the hooks keep the programs until they are removed
    #[arg(long)]
    pub(crate) no_link: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum TcHookArg {
    #[default]
    Auto,
    Tcx,
    Clsact,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShareArg {
    #[default]
    Multi,
    Override,
    Exclusive,
}

impl NetArgs {
    pub(crate) fn place(&self) -> Place {
        match (&self.before, &self.after) {
            (Some(anchor), _) => Place::Before(anchor.clone()),
            (_, Some(anchor)) => Place::After(anchor.clone()),
            _ if self.first => Place::First,
            _ if self.last => Place::Last,
            _ => Place::Default,
        }
    }

    pub(crate) fn order(&self) -> Order {
        Order { place: self.place(), expected_revision: self.revision }
    }

    pub(crate) fn via(&self) -> Via {
        if self.no_link || self.instead_of.is_some() { Via::Direct } else { Via::Auto }
    }

    /// The id of the program whose place is to be taken.
    pub(crate) fn instead_of(&self) -> Result<Option<u32>, CliError> {
        self.instead_of.as_deref().map(select::program_id).transpose()
    }
}
