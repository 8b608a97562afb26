//! The grammar of `rawbpf map`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

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
    /// Show all about one map
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
    /// Forbid writes from user space, for ever
    Freeze(MapOnly),
    /// Show elements as they change, with rates; of a ring buffer how full it is
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

#[derive(Debug, ClapArgs)]
pub(crate) struct MapOnly {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// Of per-CPU maps, print only the sum over all CPUs where values are numbers
    #[arg(long)]
    pub(crate) sum: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct GetArgs {
    /// The map and the key; not `hex` alone, but `hex 01 02`
    #[arg(required = true, num_args = 2.., value_names = ["MAP", "KEY"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Hold the value's lock while it is read
    #[arg(long)]
    pub(crate) lock: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SetArgs {
    /// The map, the key and the value
    #[arg(required = true, num_args = 3.., value_names = ["MAP", "KEY", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Only if the key is not there
    #[arg(long, conflicts_with = "existing")]
    pub(crate) new: bool,
    /// Only if the key is there
    #[arg(long)]
    pub(crate) existing: bool,
    /// Hold the value's lock while it is written
    #[arg(long)]
    pub(crate) lock: bool,
    /// Write this CPU's value only (Linux 7.0)
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<u32>,
    /// Change the members that are named, and keep the others as they are
    #[arg(long)]
    pub(crate) merge: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DelArgs {
    /// The map and one or several keys
    #[arg(required_unless_present = "all", num_args = 1.., value_names = ["MAP", "KEY"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Delete all elements
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PushArgs {
    /// The map and the value
    #[arg(required = true, num_args = 2.., value_names = ["MAP", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Drop the oldest value if it is full
    #[arg(long)]
    pub(crate) over: bool,
    /// User ring buffers: the type of the record, as in `struct order` or `order`; found by itself if the object's types
    /// say
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "over")]
    pub(crate) ty: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PeekArgs {
    /// The map, and for a bloom filter the value
    #[arg(required = true, num_args = 1.., value_names = ["MAP", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinArgs {
    /// The map, and the path in a bpffs
    #[arg(required = true, num_args = 2..=3, value_names = ["MAP", "PATH"])]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateArgs {
    /// Where to pin it, in a bpffs
    pub(crate) path: PathBuf,
    /// Type of the map: hash, array, lpm_trie, ringbuf ...
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) map_type: String,
    /// Bytes of a key, where the type does not say
    #[arg(long, value_name = "BYTES")]
    pub(crate) key: Option<u32>,
    /// Bytes of a value, where the type does not say
    #[arg(long, value_name = "BYTES")]
    pub(crate) value: Option<u32>,
    /// The limit: elements, bytes (ring buffers) or pages (arenas)
    #[arg(long, value_name = "N")]
    pub(crate) entries: Option<u32>,
    /// Flags by their names without BPF_F_: NO_PREALLOC,RDONLY_PROG ...
    #[arg(long, value_name = "FLAGS", value_delimiter = ',')]
    pub(crate) flags: Vec<String>,
    /// Name of the map; the last part of the path if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// map_extra: hash functions of a bloom filter, address of an arena
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) extra: u64,
    /// Take the memory from this NUMA node
    #[arg(long, value_name = "NODE")]
    pub(crate) numa_node: Option<u32>,
    /// For maps of maps: a map that the inner ones are like
    #[arg(long, num_args = 1..=2, value_name = "MAP")]
    pub(crate) inner: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WatchArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) interval: f64,
    /// Stop after so many looks
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// File with the lines; standard input if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Only keys that are not there
    #[arg(long)]
    pub(crate) new: bool,
}
