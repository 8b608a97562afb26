//! The verbs, each with its arguments in one file, and the grammar that lists them.

pub(crate) mod apply;
pub(crate) mod asm;
pub(crate) mod attachments;
pub(crate) mod btf;
pub(crate) mod cgroup;
pub(crate) mod completions;
pub(crate) mod disasm;
pub(crate) mod doctor;
pub(crate) mod events;
#[cfg(feature = "export")]
pub(crate) mod export;
pub(crate) mod feature;
pub(crate) mod gc;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod iter;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod map;
pub(crate) mod plan;
pub(crate) mod probes;
pub(crate) mod prog;
pub(crate) mod save;
pub(crate) mod sections;
pub(crate) mod stack;
pub(crate) mod status;
pub(crate) mod struct_ops;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod unload;
pub(crate) mod verify;
pub(crate) mod watch;

use clap::Subcommand;

use crate::ui::error::CliError;
use crate::ui::output::Output;
use apply::ApplyArgs;
use asm::AsmArgs;
use attachments::AttachmentsArgs;
use btf::BtfCommand;
use cgroup::CgroupCommand;
use completions::CompletionsArgs;
use disasm::DisasmArgs;
use doctor::DoctorArgs;
use events::EventsArgs;
use feature::FeatureArgs;
use gc::GcArgs;
use generate::GenCommand;
use inspect::ObjectArgs;
use iter::IterArgs;
use link::LinkCommand;
use load::LoadArgs;
use man::ManArgs;
use map::MapCommand;
use plan::PlanArgs;
use probes::ProbesArgs;
use prog::ProgCommand;
use save::SaveArgs;
use sections::SectionsArgs;
use stack::StackArgs;
use status::StatusArgs;
use struct_ops::StructOpsCommand;
use token::TokenCommand;
use trace::TraceArgs;
use unload::UnloadArgs;
use verify::VerifyArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load an object, attach its programs, and pin both
    Load(LoadArgs),
    /// Detach and remove what `load` made
    Unload(UnloadArgs),
    /// Make the machine as a file says: load, attach, change and repair what is otherwise
    Apply(ApplyArgs),
    /// Show what was wanted beside what is attached; status 1 where they differ
    Status(StatusArgs),
    /// Print the file that would make what is loaded now
    Save(SaveArgs),
    /// Show what an object file holds; needs no privileges
    Inspect(ObjectArgs),
    /// Show every bpf(2) call that `load` would make; needs no privileges
    Plan(PlanArgs),
    /// Load each program separately and report what the verifier says; leaves nothing behind
    Verify(VerifyArgs),
    /// Report what this machine allows for eBPF and what an object needs; needs no privileges
    Doctor(DoctorArgs),
    /// Assemble text into an object file
    Asm(AsmArgs),
    /// Show the instructions of an object file, with source lines
    Disasm(DisasmArgs),
    /// Show, read, write and make maps
    #[command(subcommand)]
    Map(MapCommand),
    /// Print what programs send through a ring buffer or a perf event array
    Events(EventsArgs),
    /// Serve what maps hold as metrics over HTTP (OpenMetrics, Prometheus)
    #[cfg(feature = "export")]
    Export(export::ExportArgs),
    /// Print what programs print with bpf_printk, and which program it was
    Trace(TraceArgs),
    /// Print stack traces with names
    Stack(StackArgs),
    /// Show, dump, run, pin and measure loaded programs
    #[command(subcommand)]
    Prog(ProgCommand),
    /// Show the types of the kernel, of programs and of files
    #[command(subcommand)]
    Btf(BtfCommand),
    /// Generate Rust code, or minimal BTF, from object files
    #[command(subcommand)]
    Gen(GenCommand),
    /// Show the programs of cgroups
    #[command(subcommand)]
    Cgroup(CgroupCommand),
    /// Show sets of kernel callbacks that programs implement
    #[command(subcommand, name = "struct_ops")]
    StructOps(StructOpsCommand),
    /// Show what tokens delegate, and try one
    #[command(subcommand)]
    Token(TokenCommand),
    /// List unused objects; remove dead ones
    Gc(GcArgs),
    /// Show what can be traced here, as names for SEC()
    Probes(ProbesArgs),
    /// List the section names that programs may have, and what each means
    Sections(SectionsArgs),
    /// Show what this kernel can do, and why not
    Feature(FeatureArgs),
    /// Show and manage links: attachments that are objects of their own
    #[command(subcommand)]
    Link(LinkCommand),
    /// Show everything that is attached on this machine, by whatever means
    Attachments(AttachmentsArgs),
    /// Print the output of an iterator: one in an object, or one behind a pinned link
    Iter(IterArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    Man(ManArgs),
}

impl Command {
    /// As it is typed; for the `command` field of JSON output.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Load(_) => "load",
            Command::Unload(_) => "unload",
            Command::Apply(_) => "apply",
            Command::Status(_) => "status",
            Command::Save(_) => "save",
            Command::Inspect(_) => "inspect",
            Command::Plan(_) => "plan",
            Command::Verify(_) => "verify",
            Command::Doctor(_) => "doctor",
            Command::Asm(_) => "asm",
            Command::Disasm(_) => "disasm",
            Command::Map(command) => command.name(),
            Command::Events(_) => "events",
            #[cfg(feature = "export")]
            Command::Export(_) => "export",
            Command::Trace(_) => "trace",
            Command::Stack(_) => "stack",
            Command::Prog(command) => command.name(),
            Command::Btf(command) => command.name(),
            Command::Sections(_) => "sections",
            Command::Feature(_) => "feature",
            Command::Cgroup(command) => command.name(),
            Command::StructOps(command) => command.name(),
            Command::Token(command) => command.name(),
            Command::Gc(_) => "gc",
            Command::Probes(_) => "probes",
            Command::Gen(command) => command.name(),
            Command::Link(command) => command.name(),
            Command::Attachments(_) => "attachments",
            Command::Iter(_) => "iter",
            Command::Completions(_) => "completions",
            Command::Man(_) => "man",
        }
    }

    /// Carries it out. `grammar` is that of the whole command line, for those who describe it.
    pub(crate) fn run(self, grammar: fn() -> clap::Command, out: &Output) -> Result<(), CliError> {
        match self {
            Command::Load(args) => load::run(&args, out),
            Command::Unload(args) => unload::run(&args, out),
            Command::Apply(args) => apply::run(&args, out),
            Command::Status(args) => status::run(&args, out),
            Command::Save(args) => save::run(&args, out),
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
            Command::Link(command) => link::run(&command, out),
            Command::Attachments(args) => attachments::run(&args, out),
            Command::Iter(args) => iter::run(&args, out),
            Command::Completions(args) => completions::run(&args, &mut grammar()),
            Command::Man(args) => man::run(&args, grammar()),
        }
    }
}
