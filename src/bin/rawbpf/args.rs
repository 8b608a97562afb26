//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::events_args::{EventsArgs, StackArgs, TraceArgs};
use crate::map::args::MapCommand;

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
    /// Print the verifier's whole log as well, if it refuses a program
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
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
    Disasm(ObjectArgs),
    /// Show, read, write and make maps
    #[command(subcommand)]
    Map(MapCommand),
    /// Print what programs send through a ring buffer or a perf event array
    Events(EventsArgs),
    /// Print what programs print with bpf_printk, and which program it was
    Trace(TraceArgs),
    /// Print stack traces with names
    Stack(StackArgs),
    /// Show loaded programs
    #[command(subcommand)]
    Prog(ProgCommand),
    /// Show attachments
    #[command(subcommand)]
    Link(LinkCommand),
    /// Print what an iterator prints: that of an object, or that behind a pinned link
    Iter(IterArgs),
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
            Command::Trace(_) => "trace",
            Command::Stack(_) => "stack",
            Command::Prog(ProgCommand::List) => "prog list",
            Command::Link(LinkCommand::List) => "link list",
            Command::Iter(_) => "iter",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProgCommand {
    /// List all loaded programs
    #[command(visible_alias = "show")]
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// List all links
    #[command(visible_alias = "show")]
    List,
}

/// An object file.
#[derive(Debug, ClapArgs)]
pub(crate) struct ObjectArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
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
    /// Attach PROGRAM to a hook, written as its section name would be: `kprobe/tcp_connect`,
    /// `uprobe/libc.so.6:malloc`, `perf_event/cpu-clock,freq=99` (may be given several times)
    #[arg(long, value_name = "PROGRAM=HOOK")]
    pub(crate) attach: Vec<String>,
    /// Do not attach programs to what their section names say
    #[arg(long)]
    pub(crate) no_attach: bool,
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
    /// Fail if the verifier looks at more instructions: N, or more than the baseline by +N or +N%
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
