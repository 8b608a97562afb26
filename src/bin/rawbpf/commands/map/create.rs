//! `rawbpf map create`: a map without a program, kept by a pin.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::maps::Builder;
use rawbpf::sys::map::flags;
use rawbpf::uapi::MapType;
use serde::Serialize;

use crate::commands::map::list::MapRow;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

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
    /// Name of the map [default: the last part of the path]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// map_extra: hash functions of a bloom filter, address of an arena
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) extra: u64,
    /// Allocate memory on this NUMA node
    #[arg(long, value_name = "NODE")]
    pub(crate) numa_node: Option<u32>,
    /// For maps of maps: a map that the inner ones are like
    #[arg(long, num_args = 1..=2, value_name = "MAP")]
    pub(crate) inner: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Created {
    map: MapRow,
    pinned: PathBuf,
}

impl Report for Created {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "created map `{}` (id {}), pinned at {}",
            self.map.name,
            self.map.id,
            self.pinned.display()
        )
    }
}

pub(crate) fn run(args: &CreateArgs, out: &Output) -> Result<(), CliError> {
    let map_type = map_type(&args.map_type)?;
    let last = args.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = args.name.clone().unwrap_or(last);
    let inner = if args.inner.is_empty() { None } else { Some(map_select::find(&args.inner)?) };
    let mut builder = Builder::new(map_type, name).extra(args.extra).flags(flag_bits(&args.flags)?);
    if let Some(bytes) = args.key {
        builder = builder.key_size(bytes);
    }
    if let Some(bytes) = args.value {
        builder = builder.value_size(bytes);
    }
    if let Some(n) = args.entries {
        builder = builder.max_entries(n);
    }
    if let Some(node) = args.numa_node {
        builder = builder.numa_node(node);
    }
    if let Some(inner) = &inner {
        builder = builder.inner(inner);
    }
    let map = builder.create()?;
    map.pin(&args.path).map_err(CliError::sys(format!("pin the map at {}", args.path.display())))?;
    let row = MapRow { pinned: vec![args.path.display().to_string()], ..MapRow::new(&map) };
    out.report("map create", &Created { map: row, pinned: args.path.clone() })
}

fn map_type(name: &str) -> Result<MapType, CliError> {
    MapType::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = MapType::ALL.iter().filter_map(|t| t.name()).collect();
        CliError::Option(format!("`{name}` is not a map type; there are: {}", names.join(", ")))
    })
}

/// Flags by their names, or as a number.
fn flag_bits(names: &[String]) -> Result<u32, CliError> {
    names.iter().try_fold(0, |bits, name| {
        let upper = name.to_ascii_uppercase();
        let wanted = upper.strip_prefix("BPF_F_").unwrap_or(&upper);
        let named = flags::NAMES.iter().find(|(_, n)| *n == wanted).map(|(bit, _)| *bit);
        let hex = name.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match named.or(hex).or_else(|| name.parse().ok()) {
            Some(more) => Ok(bits | more),
            None => {
                let all: Vec<&str> = flags::NAMES.iter().map(|(_, n)| *n).collect();
                Err(CliError::Option(format!("`{name}` is no flag of a map; there are: {}", all.join(", "))))
            }
        }
    })
}
