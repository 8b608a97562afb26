//! `rawbpf man`: the man pages, made of the command line's own grammar.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::ui::error::CliError;

#[derive(Debug, ClapArgs)]
pub(crate) struct ManArgs {
    /// Directory to write the pages to; created if it does not exist
    dir: PathBuf,
}

/// One page for the command, and one for each verb: rawbpf.1, rawbpf-prog-list.1 ...
pub(crate) fn run(args: &ManArgs, grammar: clap::Command) -> Result<(), CliError> {
    let doing = || CliError::io(format!("write the man pages to {}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(doing())?;
    clap_mangen::generate_to(grammar, &args.dir).map_err(doing())
}
