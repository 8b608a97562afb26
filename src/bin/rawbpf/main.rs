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
//!   export               what maps hold, as metrics for a monitoring system
//! ```
//!
//! Every verb makes a report (a value that can be printed for people and as JSON) or an error; this file
//! prints it and sets the exit status. The command is an outside user of the library: it reaches nothing
//! that other programs cannot reach.

mod args;
mod asm;
mod attach;
mod attachments;
mod bpffs;
mod btf;
mod cgroup;
mod clock;
mod direct;
mod disasm;
mod doctor;
mod error;
mod event_type;
mod events;
mod events_args;
#[cfg(feature = "export")]
mod export;
mod feature;
mod gc;
mod generate;
mod hook;
mod input;
mod inspect;
mod iter;
mod link;
mod load;
mod map;
mod net;
mod net_args;
mod output;
mod plan;
mod printer;
mod probes;
mod prog;
mod progress;
mod rejection;
mod replace;
mod schema;
mod screen;
mod sections;
mod select;
mod shell;
mod stack;
mod stop;
mod store;
mod struct_ops;
mod tables;
mod token;
mod trace;
mod tune;
mod unload;
mod values;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Args, Command, LinkCommand};
use error::CliError;
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    let out = Output::new(args.json, args.verbose);
    if args.json_schema {
        println!("{:#}", schema::schema());
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
    let result = run(verb, &out);
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
        #[cfg(feature = "export")]
        Command::Export(args) => export::run(&args, out),
        Command::Events(args) => events::run(&args, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Stack(args) => stack::run(&args, out),
        Command::Prog(command) => prog::run(command, out),
        Command::Btf(command) => btf::run(command, out),
        Command::Gen(command) => generate::run(&command, out),
        Command::Probes(args) => probes::run(&args, out),
        Command::Cgroup(command) => cgroup::run(&command, out),
        Command::StructOps(command) => struct_ops::run(&command, out),
        Command::Token(command) => token::run(&command, out),
        Command::Gc(args) => gc::run(&args, out),
        Command::Sections(args) => sections::run(&args, out),
        Command::Feature(args) => feature::run(&args, out),
        Command::Link(LinkCommand::List(args)) => link::list(&args, out),
        Command::Link(LinkCommand::Show(args)) => link::show(&args, out),
        Command::Link(LinkCommand::Detach(args)) => link::detach(&args, out),
        Command::Link(LinkCommand::Update(args)) => link::update(&args, out),
        Command::Link(LinkCommand::Pin(args)) => link::pin(&args, out),
        Command::Attachments(args) => attachments::run(&args, out),
        Command::Iter(args) => iter::run(&args, out),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    }
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
