//! The `rawbpf` command: the library's stages, one verb each.
//!
//! ```text
//!   inspect   Object     what the file says                    no privileges
//!   plan      Plan       every bpf(2) call before it happens   no privileges
//!   load      Loaded     the calls are made, the hook runs, pins keep it
//!   unload               and all of it is gone
//!   apply, status, save  what is to stay, from a file; beside what is; as a file
//!   verify    Loaded     each program alone, then dropped: what the verifier says of it
//!   doctor               what the machine allows, what an object needs
//!   map, prog, link      what the kernel has now
//!   events, trace, stack what programs say
//!   export               what maps hold, as metrics for a monitoring system
//! ```
//!
//! Every verb makes a report (a value that can be printed for people and as JSON) or an error; this file
//! prints it and sets the exit status. The command is an outside user of the library: it reaches nothing
//! that other programs cannot reach.

mod commands;
mod file;
mod keep;
mod options;
mod select;
mod targets;
mod ui;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use commands::Command;
use ui::error::CliError;
use ui::output::{self, Output};
use ui::schema;

/// Loads, attaches, shows and manages eBPF programs and maps, with nothing between it and bpf(2).
#[derive(Debug, Parser)]
#[command(
    name = "rawbpf",
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 rejected or failed, 2 usage, 3 not permitted, 4 this kernel lacks it, 5 not found, 6 something is to be done (apply --dry-run)."
)]
struct Args {
    /// Print one JSON document instead of text, errors included
    #[arg(long, global = true)]
    json: bool,
    /// Print every bpf(2) call to standard error as it happens
    #[arg(long, global = true)]
    explain: bool,
    /// Print the JSON Schema of what --json prints, for every command
    #[arg(long, exclusive = true)]
    json_schema: bool,
    /// Print the verifier's whole log as well, if it refuses a program
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    let out = Output::new(args.json, args.verbose);
    if args.json_schema {
        println!("{:#}", schema::schema(&Args::command()));
        return ExitCode::SUCCESS;
    }
    let Some(verb) = args.command else {
        let missing = clap::error::ErrorKind::MissingSubcommand;
        return usage(&Args::command().error(missing, "a command is missing; `rawbpf --help` lists them"));
    };
    let command = verb.name();
    if args.explain {
        rawbpf::sys::observe(Some(Box::new(output::explain)));
    }
    let result = verb.run(Args::command, &out);
    let status = match &result {
        Ok(()) => 0,
        Err(CliError::Reported(status)) => *status,
        Err(e) => {
            out.error(command, e);
            e.exit_status()
        }
    };
    ExitCode::from(status)
}

/// Help and version are answers; anything else that clap says is a usage error (exit status 2).
fn usage(e: &clap::Error) -> ExitCode {
    // What cannot be parsed may still ask for JSON.
    if e.use_stderr() && std::env::args_os().any(|a| a == "--json") {
        let text = e.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        Output::new(true, false).error("rawbpf", &CliError::Option(text.into()));
        return ExitCode::from(2);
    }
    let _ = e.print();
    if e.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
