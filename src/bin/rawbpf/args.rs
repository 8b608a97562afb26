//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use rawbpf::links::NetNs;

use crate::btf::args::BtfCommand;
use crate::cgroup::CgroupCommand;
use crate::events_args::{EventsArgs, StackArgs, TraceArgs};
use crate::feature::FeatureArgs;
use crate::gc::GcArgs;
use crate::generate::GenCommand;
use crate::map::args::MapCommand;
use crate::net_args::NetArgs;
use crate::probes::ProbesArgs;
use crate::prog::args::ProgCommand;
use crate::shell::{CompletionsArgs, ManArgs};
use crate::struct_ops::StructOpsCommand;
use crate::token::TokenCommand;

/// Loads, attaches, shows and manages eBPF programs and maps, with nothing between it and bpf(2).
#[derive(Debug, Parser)]
#[command(
    name = "rawbpf",
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 rejected or failed, 2 usage, 3 not permitted, 4 this kernel lacks it, 5 not found."
)]
pub(crate) struct Args {
    /// Print one JSON document instead of text, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print every bpf(2) call to standard error as it happens
    #[arg(long, global = true)]
    pub(crate) explain: bool,
    /// Print the JSON Schema of what --json prints, for every command
    #[arg(long, exclusive = true)]
    pub(crate) json_schema: bool,
    /// Print the verifier's whole log as well, if it refuses a program
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load an object, attach its programs, and keep both by pins
    Load(LoadArgs),
    /// Detach and remove what `load` made
    Unload(UnloadArgs),
    /// Show what an object file holds; needs no privileges
    Inspect(ObjectArgs),
    /// Show every bpf(2) call that `load` would make; needs no privileges
    Plan(PlanArgs),
    /// Load each program on its own, and say what the verifier makes of it; leaves nothing behind
    Verify(VerifyArgs),
    /// Say what this machine allows for eBPF, and what an object needs; needs no privileges
    Doctor(crate::doctor::DoctorArgs),
    /// Make an object file of assembly text
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
    Export(crate::export::args::ExportArgs),
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
    /// Make Rust code, or the least BTF, of object files
    #[command(subcommand)]
    Gen(GenCommand),
    /// Show the programs of cgroups
    #[command(subcommand)]
    Cgroup(CgroupCommand),
    /// Show sets of kernel callbacks that programs implement
    #[command(subcommand, name = "struct_ops")]
    StructOps(StructOpsCommand),
    /// Show what is delegated by tokens, and try one
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show what nothing needs any more, and remove what is dead
    Gc(GcArgs),
    /// Show what can be traced here, in names for SEC()
    Probes(ProbesArgs),
    /// List the names that a program's section may have, and what each means
    Sections(crate::sections::SectionsArgs),
    /// Show what this kernel can do, and why not
    Feature(FeatureArgs),
    /// Show and manage links: attachments that are objects of their own
    #[command(subcommand)]
    Link(LinkCommand),
    /// Show everything that is attached on this machine, however it was made
    Attachments(AttachmentsArgs),
    /// Print what an iterator prints: that of an object, or that behind a pinned link
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
            Command::Link(LinkCommand::List(_)) => "link list",
            Command::Link(LinkCommand::Show(_)) => "link show",
            Command::Link(LinkCommand::Detach(_)) => "link detach",
            Command::Link(LinkCommand::Update(_)) => "link update",
            Command::Link(LinkCommand::Pin(_)) => "link pin",
            Command::Attachments(_) => "attachments",
            Command::Iter(_) => "iter",
            Command::Completions(_) => "completions",
            Command::Man(_) => "man",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// List all links
    List(ScopeArgs),
    /// Show one link with all that the kernel tells of it; without a selector, list all
    Show(LinkShowArgs),
    /// Detach a program by force, though others may hold the link
    Detach(LinkArgs),
    /// Put another program behind a link, in one step
    Update(LinkUpdateArgs),
    /// Give a link a name in a bpffs: it then stays when whoever holds it ends
    Pin(LinkPinArgs),
}

/// A link.
#[derive(Debug, ClapArgs)]
pub(crate) struct LinkArgs {
    /// Which link: `id N`, the path of its pin, or the name of a pin that `load` made
    #[arg(required = true, num_args = 1..=2, value_name = "LINK")]
    pub(crate) link: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkShowArgs {
    /// Which link: `id N`, the path of its pin, or the name of a pin that `load` made
    #[arg(num_args = 0..=2, value_name = "LINK")]
    pub(crate) link: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkUpdateArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// The new program: its id, or the path of its pin
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) to: String,
    /// Only if this program is behind it now: its id, or the path of its pin
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkPinArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// The path, in a bpffs
    #[arg(long, value_name = "PATH")]
    pub(crate) at: PathBuf,
}

/// Which network namespaces to look at.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ScopeArgs {
    /// The interfaces of this network namespace instead of those of the current one: a name of `ip netns`, a process, a
    /// file (may be given several times)
    #[arg(long, value_name = "NAME|PID|PATH|self", conflicts_with = "all_netns")]
    pub(crate) netns: Vec<NetNs>,
    /// The interfaces of all network namespaces
    #[arg(long)]
    pub(crate) all_netns: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AttachmentsArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// As a tree: by kind of hook and place, programs in the order in which they run
    #[arg(long)]
    pub(crate) tree: bool,
}

/// An object file.
#[derive(Debug, ClapArgs)]
pub(crate) struct ObjectArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DisasmArgs {
    /// The BPF object file
    pub(crate) object: PathBuf,
    /// The whole object as text that `rawbpf asm` makes the same object of
    #[arg(long)]
    pub(crate) text: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AsmArgs {
    /// The assembly text
    pub(crate) source: PathBuf,
    /// Where to write the object; beside the source, with extension .o, if not given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LoadArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Name to load it under; the file name up to its first dot if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Replace what is loaded under this name, without a moment in which the hook is empty
    #[arg(long, conflicts_with = "foreground")]
    pub(crate) replace: bool,
    /// Pin nothing: stay in the foreground, and detach on Ctrl-C or SIGTERM
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Do not mount a bpffs at /sys/fs/bpf if there is none
    #[arg(long)]
    pub(crate) no_mount: bool,
}

/// What both `load` and `plan` take.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct HowArgs {
    /// Attach XDP programs to these interfaces (separated by commas, or given several times)
    #[arg(long, value_name = "IF", value_delimiter = ',')]
    pub(crate) xdp: Vec<String>,
    /// Where XDP programs run: in the driver (native), in the network stack (generic), or wherever they can
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub(crate) xdp_mode: XdpModeArg,
    #[command(flatten)]
    pub(crate) net: NetArgs,
    /// Attach PROGRAM to a hook, written as its section name would be: `kprobe/tcp_connect`,
    /// `uprobe/libc.so.6:malloc`, `perf_event/cpu-clock,freq=99` (may be given several times)
    #[arg(long, value_name = "PROGRAM=HOOK")]
    pub(crate) attach: Vec<String>,
    /// Do not attach programs to what their section names say
    #[arg(long)]
    pub(crate) no_attach: bool,
    /// Fail, and leave nothing behind, if a program cannot be attached where its section says; without this, it is
    /// reported, and the others are attached
    #[arg(long, conflicts_with = "no_attach")]
    pub(crate) strict: bool,
    /// Only this process: for uprobes, USDT probes and perf events
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// What programs get by bpf_get_attach_cookie, for --attach
    #[arg(long, value_name = "N", requires = "attach")]
    pub(crate) cookie: Option<u64>,
    /// Bind PROGRAM (freplace, fentry, fexit) to a function of a loaded program: its id, name, or pin; the
    /// function is the one that the section names if none is given
    #[arg(long, value_name = "PROGRAM=TARGET[:FUNCTION]")]
    pub(crate) onto: Vec<String>,
    /// Load only this program (may be given several times)
    #[arg(long = "program", value_name = "NAME")]
    pub(crate) programs: Vec<String>,
    #[command(flatten)]
    pub(crate) tune: crate::tune::TuneArgs,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum XdpModeArg {
    #[default]
    Auto,
    Native,
    Generic,
    Offloaded,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
    /// Plan for another kernel, by its types: raw BTF or an ELF file with a .BTF section
    #[arg(long, value_name = "FILE", conflicts_with_all = ["btf", "xdp", "attach", "onto", "pid"])]
    pub(crate) kernel: Option<PathBuf>,
    /// The release of that kernel; without --kernel only the release is known of it
    #[arg(long, value_name = "A.B", value_parser = release, conflicts_with_all = ["xdp", "attach", "onto", "pid"])]
    pub(crate) release: Option<rawbpf::uapi::Release>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

fn release(text: &str) -> Result<rawbpf::uapi::Release, String> {
    rawbpf::uapi::Release::parse(text).ok_or_else(|| format!("`{text}` is no release such as 5.15"))
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// The BPF object files
    #[arg(required = true, value_name = "OBJECT")]
    pub(crate) objects: Vec<PathBuf>,
    /// Verify only this program (may be given several times)
    #[arg(long = "program", value_name = "NAME")]
    pub(crate) programs: Vec<String>,
    /// Compare with this report, made by `verify --json` before
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Fail if the verifier looks at more instructions: N, or more than the baseline by +N or +N% [default with a
    /// baseline: +10%]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) max_insns: Option<crate::verify::Limit>,
    /// Fail if the verifier keeps more states: N, or more than the baseline by +N or +N%
    #[arg(long, value_name = "LIMIT")]
    pub(crate) max_states: Option<crate::verify::Limit>,
    #[command(flatten)]
    pub(crate) tune: crate::tune::TuneArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnloadArgs {
    /// The name that it was loaded under
    pub(crate) name: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct IterArgs {
    /// An object file with an iterator, or the path of a pinned iterator link
    pub(crate) source: PathBuf,
    /// Which program of the object; its only iterator if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Walk over the elements of this map: NAME, ID, or the path of its pin
    #[arg(long, value_name = "MAP")]
    pub(crate) map: Option<String>,
    /// Walk over the threads of this process
    #[arg(long, value_name = "PID", conflicts_with = "map")]
    pub(crate) pid: Option<u32>,
    /// Walk over this thread
    #[arg(long, value_name = "TID", conflicts_with_all = ["map", "pid"])]
    pub(crate) tid: Option<u32>,
    /// Start at this cgroup
    #[arg(long, value_name = "DIR", conflicts_with_all = ["map", "pid", "tid"])]
    pub(crate) cgroup: Option<PathBuf>,
    /// How to go on from there
    #[arg(long, value_name = "ORDER", default_value = "parents-first", requires = "cgroup")]
    pub(crate) order: OrderArg,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum OrderArg {
    Itself,
    #[default]
    ParentsFirst,
    ChildrenFirst,
    Ancestors,
    Children,
}
