//! Completions for shells and man pages, made of the command line's own grammar.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Args;
use crate::error::CliError;

#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ManArgs {
    /// Where to write the pages; it is made if it does not exist
    dir: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "rawbpf", &mut text);
    match std::io::stdout().lock().write_all(&text) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CliError::io("write to standard output")),
    }
}

/// One page for the command, and one for each verb: rawbpf.1, rawbpf-prog-list.1 ...
pub(crate) fn man(args: &ManArgs) -> Result<(), CliError> {
    let doing = || CliError::io(format!("write the man pages to {}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(doing())?;
    clap_mangen::generate_to(Args::command(), &args.dir).map_err(doing())
}
