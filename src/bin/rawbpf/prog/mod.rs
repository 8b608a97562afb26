//! `rawbpf prog`: the programs that the kernel has, what they are made of, and what they do.

pub(crate) mod args;
mod dump;
mod list;
mod machine;
mod metadata;
mod pcap;
mod pin;
mod run;
mod stats;
mod stream;
mod verdict;

use crate::error::CliError;
use crate::output::Output;
use args::ProgCommand;

/// Carries a verb of `rawbpf prog` out.
pub(crate) fn run(command: ProgCommand, out: &Output) -> Result<(), CliError> {
    match command {
        ProgCommand::List(args) => list::list(&args, out),
        ProgCommand::Show(args) => list::show(&args, out),
        ProgCommand::Dump(args) => dump::run(&args, out),
        ProgCommand::Pin(args) => pin::run(&args, out),
        ProgCommand::Run(args) => run::run(&args, out),
        ProgCommand::Stats(args) => stats::stats(&args, out),
        ProgCommand::Top(args) => stats::top(&args, out),
        ProgCommand::Stream(args) => stream::run(&args, out),
    }
}
