//! The grammar of `rawbpf btf`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FormatArg {
    /// One type a line, by numbers
    #[default]
    Raw,
    /// C; the whole kernel's is a vmlinux.h
    C,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Whose types; the kernel's if not given
    #[arg(num_args = 0..=3, value_name = "SOURCE")]
    pub(crate) source: Vec<String>,
    /// How to print them
    #[arg(long, value_name = "FORMAT", default_value = "raw")]
    pub(crate) format: FormatArg,
    /// Only this type, by its name or number; as C with all that it needs (may be given several times)
    #[arg(long = "root", value_name = "TYPE")]
    pub(crate) roots: Vec<String>,
    /// The types of the kernel that a module's file was built for; the running kernel's if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
}
