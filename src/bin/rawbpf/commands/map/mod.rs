//! `rawbpf map`: what is in the tables, and how to change it.

mod create;
mod dump;
mod edit;
mod list;
mod object;
mod queue;
mod transfer;
mod watch;

use clap::Subcommand;

use crate::ui::error::CliError;
use crate::ui::output::Output;
use create::CreateArgs;
use dump::DumpArgs;
use edit::{DelArgs, GetArgs, PinArgs, SetArgs};
use list::MapOnly;
use queue::{PeekArgs, PushArgs};
use transfer::{ExportArgs, ImportArgs};
use watch::WatchArgs;

/// How keys and values are written, for the help text.
const VALUES: &str = "\
MAP is a NAME, `id N`, or the path of a pin.

Keys and values are read by the map's own types:
  5  -3  0xff  true  V_DROP  'x'  10.0.0.1  fe80::1  52:54:00:12:34:56  10.0.0.0/8
  \"text\"  [1, 2, 3]  [1, ..]  {pkts: 5, last: {at: 7}}
`hex` takes the bytes as they are: hex 0a 00 00 01, or hex 0a000001. Without types a number is one of the key's or
value's size in the machine's byte order.
A value of a per-CPU map is a list with one value for each CPU, or one value for all.
What belongs to the kernel is named: a map or a program by NAME, `id N` or its pin, a cgroup by its directory, an
interface by its name, and behind that `program NAME` if one is to see the packets that go there.";

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// List all maps
    List,
    /// Show all details of one map
    Show(MapOnly),
    /// Print all elements of a map
    Dump(DumpArgs),
    /// Print one element
    #[command(after_long_help = VALUES)]
    Get(GetArgs),
    /// Write one element
    #[command(after_long_help = VALUES)]
    Set(SetArgs),
    /// Delete elements
    #[command(after_long_help = VALUES)]
    Del(DelArgs),
    /// Put a value into a queue, a stack, a bloom filter or a user ring buffer
    #[command(after_long_help = VALUES)]
    Push(PushArgs),
    /// Take the next value out of a queue or a stack
    Pop(MapOnly),
    /// Show the next value of a queue or a stack; ask a bloom filter about a value
    Peek(PeekArgs),
    /// Make a map and pin it
    Create(CreateArgs),
    /// Pin a map
    Pin(PinArgs),
    /// Forbid writes from user space, permanently
    Freeze(MapOnly),
    /// Show elements as they change, with rates; for a ring buffer, how full it is
    Watch(WatchArgs),
    /// Write all elements as JSON lines
    Export(ExportArgs),
    /// Read elements as JSON lines
    Import(ImportArgs),
}

impl MapCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            MapCommand::List => "map list",
            MapCommand::Show(_) => "map show",
            MapCommand::Dump(_) => "map dump",
            MapCommand::Get(_) => "map get",
            MapCommand::Set(_) => "map set",
            MapCommand::Del(_) => "map del",
            MapCommand::Push(_) => "map push",
            MapCommand::Pop(_) => "map pop",
            MapCommand::Peek(_) => "map peek",
            MapCommand::Create(_) => "map create",
            MapCommand::Pin(_) => "map pin",
            MapCommand::Freeze(_) => "map freeze",
            MapCommand::Watch(_) => "map watch",
            MapCommand::Export(_) => "map export",
            MapCommand::Import(_) => "map import",
        }
    }
}

/// Carries a verb of `rawbpf map` out.
pub(crate) fn run(command: MapCommand, out: &Output) -> Result<(), CliError> {
    match command {
        MapCommand::List => list::list(out),
        MapCommand::Show(args) => list::show(&args.map, out),
        MapCommand::Dump(args) => dump::run(&args, out),
        MapCommand::Get(args) => edit::get(&args, out),
        MapCommand::Set(args) => edit::set(&args, out),
        MapCommand::Del(args) => edit::del(&args, out),
        MapCommand::Push(args) => queue::push(&args, out),
        MapCommand::Pop(args) => queue::pop(&args, out),
        MapCommand::Peek(args) => queue::peek(&args, out),
        MapCommand::Freeze(args) => edit::freeze(&args, out),
        MapCommand::Pin(args) => edit::pin(&args, out),
        MapCommand::Create(args) => create::run(&args, out),
        MapCommand::Export(args) => transfer::export(&args, out),
        MapCommand::Import(args) => transfer::import(&args, out),
        MapCommand::Watch(args) => watch::run(&args, out),
    }
}
