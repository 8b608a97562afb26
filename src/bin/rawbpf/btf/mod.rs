//! `rawbpf btf`: the types that the kernel, its modules, programs and files have.

pub(crate) mod args;
mod dump;
mod list;
mod raw_json;
mod source;

use crate::error::CliError;
use crate::output::Output;
use args::BtfCommand;

/// Carries a verb of `rawbpf btf` out.
pub(crate) fn run(command: BtfCommand, out: &Output) -> Result<(), CliError> {
    match command {
        BtfCommand::List => list::run(out),
        BtfCommand::Dump(args) => dump::run(&args, out),
    }
}
