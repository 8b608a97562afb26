//! `rawbpf completions`: a script for a shell, made of the command line's own grammar.

use std::io::Write as _;

use clap::Args as ClapArgs;
use clap_complete::Shell;

use crate::ui::error::CliError;

#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, grammar: &mut clap::Command) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, grammar, "rawbpf", &mut text);
    match std::io::stdout().lock().write_all(&text) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CliError::io("write to standard output")),
    }
}
