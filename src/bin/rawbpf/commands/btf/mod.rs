//! `rawbpf btf`: the types that the kernel, its modules, programs and files have.

mod dump;
mod list;
mod raw_json;
mod source;

use clap::Subcommand;

use crate::ui::error::CliError;
use crate::ui::output::Output;
use dump::DumpArgs;

const SOURCES: &str = "\
SOURCE says whose types:
  vmlinux               the running kernel's; also if there is no SOURCE
  NAME                  a loaded module's: nf_conntrack
  id N                  a BTF object's, as `btf list` shows it
  prog PROG             a program's: prog count_packets, prog id 7
  map MAP               a map's, its key and value first: map packet_count_map
  FILE                  those in a file: raw BTF, or an ELF file with a .BTF section

  rawbpf btf dump --format c > vmlinux.h";

#[derive(Debug, Subcommand)]
pub(crate) enum BtfCommand {
    /// List the BTF objects that the kernel has
    #[command(visible_alias = "show")]
    List,
    /// Print types: one a line, or as C
    #[command(after_long_help = SOURCES, after_help = SOURCES)]
    Dump(DumpArgs),
}

impl BtfCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            BtfCommand::List => "btf list",
            BtfCommand::Dump(_) => "btf dump",
        }
    }
}

/// Carries a verb of `rawbpf btf` out.
pub(crate) fn run(command: BtfCommand, out: &Output) -> Result<(), CliError> {
    match command {
        BtfCommand::List => list::run(out),
        BtfCommand::Dump(args) => dump::run(&args, out),
    }
}
