//! What can be said to the filter, at the prompt and on the command line alike.

use std::fmt;
use std::str::FromStr;

use rawbpf::maps::{Ip4, Ip6, Prefix};

pub(crate) const HELP: &str = "\
block NETWORK     drop what comes from it: 10.0.0.1, 10.0.0.0/8, 2001:db8::/32
unblock NETWORK   no longer; the same network as was blocked
list              what is blocked, and how much of it was dropped
stats             how many packets passed, were dropped, or were invalid
help              this list
quit              detach and end";

/// An address, or the addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    V4(Prefix<Ip4>),
    V6(Prefix<Ip6>),
}

impl FromStr for Network {
    type Err = String;

    /// Bits after the prefix do not count: 10.1.2.3/8 is 10.0.0.0/8.
    fn from_str(text: &str) -> Result<Network, String> {
        let network = match text.contains(':') {
            true => text.parse::<Prefix<Ip6>>().map(|net| Network::V6(net.network())),
            false => text.parse::<Prefix<Ip4>>().map(|net| Network::V4(net.network())),
        };
        network.map_err(|_| {
            format!(
                "`{text}` is no address and no network; write it as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32"
            )
        })
    }
}

impl fmt::Display for Network {
    /// As it is written: without the number of bits where all count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Network::V4(net) if net.bits == 32 => net.data.to_string(),
            Network::V6(net) if net.bits == 128 => net.data.to_string(),
            Network::V4(net) => net.to_string(),
            Network::V6(net) => net.to_string(),
        };
        f.pad(&text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Block(Network),
    Unblock(Network),
    List,
    Stats,
    Help,
    Quit,
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Command, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["block", network] => network.parse().map(Command::Block),
            ["unblock", network] => network.parse().map(Command::Unblock),
            ["list"] => Ok(Command::List),
            ["stats"] => Ok(Command::Stats),
            ["help"] => Ok(Command::Help),
            ["quit"] => Ok(Command::Quit),
            [verb @ ("block" | "unblock"), ..] => Err(format!("`{verb}` takes one address or network")),
            [verb @ ("list" | "stats" | "help" | "quit"), ..] => Err(format!("`{verb}` takes no arguments")),
            [other, ..] => Err(format!("there is no command `{other}`; `help` lists them")),
            [] => Err("an empty line; `help` lists the commands".into()),
        }
    }
}
