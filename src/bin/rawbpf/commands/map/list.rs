//! `rawbpf map list` and `show`.

use std::io::{self, Write};
use std::path::Path;

use clap::Args as ClapArgs;
use rawbpf::deploy::{PinPart, Store};
use rawbpf::maps::Map;
use serde::Serialize;

use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct MapOnly {
    /// Which map: NAME, LOAD/NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
}

/// A map in a list.
#[derive(Debug, Serialize)]
pub(crate) struct MapRow {
    pub(crate) id: u32,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) map_type: String,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: Vec<String>,
    pub(crate) btf_id: u32,
    pub(crate) pinned: Vec<String>,
}

/// One map, with what the list has no room for.
#[derive(Debug, Serialize)]
struct MapShow {
    #[serde(flatten)]
    row: MapRow,
    extra: u64,
    key_type: Option<String>,
    value_type: Option<String>,
    memlock: Option<u64>,
    frozen: Option<bool>,
    owner_prog_type: Option<String>,
}

#[derive(Debug, Serialize)]
struct MapList {
    maps: Vec<MapRow>,
}

pub(super) fn list(out: &Output) -> Result<(), CliError> {
    let pins = pins();
    let maps = map_select::all()?;
    let row = |map: &Map| MapRow { pinned: pinned(&pins, map.info().id), ..MapRow::new(map) };
    out.report("map list", &MapList { maps: maps.iter().map(row).collect() })
}

pub(super) fn show(words: &[String], out: &Output) -> Result<(), CliError> {
    let map = map_select::find(words)?;
    let (info, fd) = (map.info(), map.fd_info());
    let name =
        |id| map.btf().and_then(|btf| btf.render_decl(id, "").ok()).filter(|_| id != Default::default());
    let report = MapShow {
        row: MapRow::with_pins(&map),
        extra: info.extra,
        key_type: name(info.key_type),
        value_type: name(info.value_type),
        memlock: fd.memlock,
        frozen: fd.frozen,
        owner_prog_type: fd.owner_prog_type.map(|t| t.to_string()),
    };
    out.report("map show", &report)
}

impl Report for MapShow {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (row, or_dash) =
            (&self.row, |list: &[String]| if list.is_empty() { "-".into() } else { list.join(",") });
        let size = |bytes: u32, ty: &Option<String>| match ty {
            Some(ty) => format!("{bytes} bytes ({ty})"),
            None => format!("{bytes} bytes"),
        };
        let mut table = Table::new(&[]);
        let mut line = |name: &str, value: String| table.row(vec![name.into(), value]);
        line("id", row.id.to_string());
        line("name", row.name.clone());
        line("type", row.map_type.clone());
        line("key", size(row.key_size, &self.key_type));
        line("value", size(row.value_size, &self.value_type));
        line("max_entries", row.max_entries.to_string());
        line("flags", or_dash(&row.flags));
        line("pinned", or_dash(&row.pinned));
        for (name, value) in [
            ("map_extra", (self.extra != 0).then(|| self.extra.to_string())),
            ("memory", self.memlock.map(|n| format!("{n} bytes"))),
            ("frozen", self.frozen.map(|f| if f { "yes" } else { "no" }.into())),
            ("for programs of type", self.owner_prog_type.clone()),
        ] {
            if let Some(value) = value {
                line(name, value);
            }
        }
        table.write(out)
    }
}

impl MapRow {
    pub(super) fn with_pins(map: &Map) -> MapRow {
        MapRow { pinned: pinned(&pins(), map.info().id), ..MapRow::new(map) }
    }

    pub(super) fn new(map: &Map) -> MapRow {
        let info = map.info();
        let flags = rawbpf::sys::map::flags::NAMES.iter().filter(|(bit, _)| info.flags & bit != 0);
        MapRow {
            id: info.id,
            name: info.name.clone(),
            map_type: info.map_type.to_string(),
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: flags.map(|(_, name)| name.to_string()).collect(),
            btf_id: info.btf_id,
            pinned: Vec::new(),
        }
    }
}

impl Report for MapList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.maps.is_empty() {
            return writeln!(out, "no maps");
        }
        let mut table = Table::new(&["ID", "NAME", "TYPE", "KEY", "VALUE", "MAX", "FLAGS", "PINNED"]);
        for m in &self.maps {
            table.row(vec![
                m.id.to_string(),
                m.name.clone(),
                m.map_type.clone(),
                m.key_size.to_string(),
                m.value_size.to_string(),
                m.max_entries.to_string(),
                if m.flags.is_empty() { "-".into() } else { m.flags.join(",") },
                if m.pinned.is_empty() { "-".into() } else { m.pinned.join(",") },
            ]);
        }
        table.write(out)
    }
}

/// The pins of maps that rawbpf made: path and id.
fn pins() -> Vec<(String, u32)> {
    let entries = Store::of_machine().entries().unwrap_or_default();
    let paths = entries.iter().flat_map(|e| e.pins(PinPart::Maps).unwrap_or_default());
    let id = |path: &Path| Map::open_pin(path).ok().map(|m| m.info().id);
    paths.filter_map(|(_, path)| Some((path.display().to_string(), id(&path)?))).collect()
}

fn pinned(pins: &[(String, u32)], id: u32) -> Vec<String> {
    pins.iter().filter(|(_, pin)| *pin == id).map(|(path, _)| path.clone()).collect()
}
