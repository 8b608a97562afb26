//! The grammar of `rawbpf prog`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::select::PROG;

const SELECTORS: &str = "\
PROG is a NAME (in full, or the 15 letters that the kernel keeps), `id N`, `tag HEX`, or the path of a pin.";

#[derive(Debug, Subcommand)]
pub(crate) enum ProgCommand {
    /// List loaded programs
    List(ListArgs),
    /// Show all about one program, or about all of them
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
    /// Measure run time and runs for a while; statistics are on only so long
    #[command(after_long_help = SELECTORS)]
    Stats(StatsArgs),
    /// Show the programs that take the most CPU time, as it changes
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

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    #[arg(num_args = 0..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
}

/// Which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodeArg {
    /// The instructions after the verifier
    Xlated,
    /// The machine code
    Jited,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Which code
    pub(crate) code: CodeArg,
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// Show the bytes of each instruction
    #[arg(long)]
    pub(crate) opcodes: bool,
    /// Leave out source lines
    #[arg(long)]
    pub(crate) no_source: bool,
    /// Write the code as it is to this file, and print nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinArgs {
    /// The program, and the path in a bpffs
    #[arg(required = true, num_args = 2..=3, value_names = ["PROG", "PATH"])]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// The packet, or what else the program type takes: a file (`-` is standard input)
    #[arg(long, value_name = "FILE", group = "input")]
    pub(crate) data: Option<PathBuf>,
    /// The same, in hex: `ff ff ff` or `ffffff`
    #[arg(long, value_name = "BYTES", group = "input")]
    pub(crate) hex: Option<String>,
    /// Packets of a capture: each of them, or only the Nth (from 1 on), as FILE:N
    #[arg(long, value_name = "FILE[:N]", group = "input")]
    pub(crate) pcap: Option<String>,
    /// The context struct of the program type: a file
    #[arg(long, value_name = "FILE", conflicts_with = "ctx_hex")]
    pub(crate) ctx: Option<PathBuf>,
    /// The same, in hex
    #[arg(long, value_name = "BYTES")]
    pub(crate) ctx_hex: Option<String>,
    /// Write the data afterwards to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) data_out: Option<PathBuf>,
    /// Write the context afterwards to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ctx_out: Option<PathBuf>,
    /// How often to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) repeat: u32,
    /// Run it on this CPU (tracing programs and raw tracepoints)
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    #[arg(num_args = 0..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) time: f64,
}

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamArg {
    /// What the program prints (bpf_stream_printk)
    Out,
    /// What the kernel reports of it: loops without end, faults in an arena
    Err,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StreamArgs {
    /// Which stream
    pub(crate) stream: StreamArg,
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// Wait for more, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Wait for more, for so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TopArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) interval: f64,
    /// Stop after so many tables
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// One table, then stop
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,
}
