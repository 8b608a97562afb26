//! The `rawbpf` command: the library's stages, one verb each.
//!
//! ```text
//!   inspect   Object     what the file says                    no privileges
//!   plan      Plan       every bpf(2) call before it happens   no privileges
//!   load      Loaded     the calls are made, the hook runs, pins keep it
//!   unload               and all of it is gone
//!   verify    Loaded     each program alone, then dropped: what the verifier says of it
//!   doctor               what the machine allows, what an object needs
//!   map, prog, link      what the kernel has now
//!   events, trace, stack what programs say
//! ```
//!
//! Every verb makes a report (a value that can be printed for people and as JSON) or an error; this file
//! prints it and sets the exit status. The command is an outside user of the library: it reaches nothing
//! that other programs cannot reach.

mod args;
mod asm;
mod attach;
mod bpffs;
mod disasm;
mod doctor;
mod error;
mod event_type;
mod events;
mod events_args;
mod input;
mod inspect;
mod iter;
mod link;
mod load;
mod map;
mod output;
mod plan;
mod printer;
mod prog;
mod rejection;
mod stack;
mod stop;
mod store;
mod trace;
mod tune;
mod unload;
mod values;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command, LinkCommand, ProgCommand};
use error::CliError;
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    let out = Output::new(args.json, args.verbose);
    let command = args.command.name();
    if args.explain {
        rawbpf::sys::observe(Some(Box::new(output::explain)));
    }
    let result = run(args.command, &out);
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

fn run(command: Command, out: &Output) -> Result<(), CliError> {
    match command {
        Command::Load(args) => load::run(args, out),
        Command::Unload(args) => unload::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Plan(args) => plan::run(&args, out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Asm(args) => asm::run(&args, out),
        Command::Disasm(args) => disasm::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Map(command) => map::run(command, out),
        Command::Events(args) => events::run(&args, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Stack(args) => stack::run(&args, out),
        Command::Prog(ProgCommand::List) => prog::list(out),
        Command::Link(LinkCommand::List) => link::list(out),
        Command::Iter(args) => iter::run(&args, out),
    }
}

/// Help and version are answers; anything else that clap says is a usage error (exit status 2).
fn usage(e: &clap::Error) -> ExitCode {
    let _ = e.print();
    if e.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
