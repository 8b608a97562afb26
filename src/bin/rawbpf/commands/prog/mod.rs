//! `rawbpf prog`: the programs that the kernel has, what they are made of, and what they do.

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

use clap::Subcommand;

use crate::ui::error::CliError;
use crate::ui::output::Output;
use dump::DumpArgs;
use list::ListArgs;
use pin::PinArgs;
use run::RunArgs;
use stats::{StatsArgs, TopArgs};
use stream::StreamArgs;

const SELECTORS: &str = "\
PROG is a NAME (in full, or the 15 letters that the kernel keeps), `id N`, `tag HEX`, or the path of a pin.";

#[derive(Debug, Subcommand)]
pub(crate) enum ProgCommand {
    /// List loaded programs
    List(ListArgs),
    /// Show all details of one program, or of all
    #[command(after_long_help = SELECTORS)]
    Show(ListArgs),
    /// Show the code of a program: as the verifier left it, or as the machine runs it
    #[command(after_long_help = SELECTORS)]
    Dump(DumpArgs),
    /// Pin a program
    #[command(after_long_help = SELECTORS)]
    Pin(PinArgs),
    /// Run a program on data of your own (BPF_PROG_TEST_RUN)
    #[command(after_long_help = SELECTORS)]
    Run(RunArgs),
    /// Measure run time and number of runs; statistics are enabled only meanwhile
    #[command(after_long_help = SELECTORS)]
    Stats(StatsArgs),
    /// Show the programs that use the most CPU time, continuously
    Top(TopArgs),
    /// Print what a program wrote to its streams (Linux 6.17); what is printed is gone from there
    #[command(after_long_help = SELECTORS)]
    Stream(StreamArgs),
}

impl ProgCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ProgCommand::List(_) => "prog list",
            ProgCommand::Show(_) => "prog show",
            ProgCommand::Dump(_) => "prog dump",
            ProgCommand::Pin(_) => "prog pin",
            ProgCommand::Run(_) => "prog run",
            ProgCommand::Stats(_) => "prog stats",
            ProgCommand::Top(_) => "prog top",
            ProgCommand::Stream(_) => "prog stream",
        }
    }
}

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
