//! `rawbpf struct_ops`: sets of the kernel's callbacks that programs implement.

use std::io::{self, Write};

use clap::{Args as ClapArgs, Subcommand};
use rawbpf::btf::{Btf, Kind, TypeId, decode};
use rawbpf::maps::{self, StructOpsState};
use rawbpf::progs::ProgInfo;
use rawbpf::sys;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Map};
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json, json};

use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;
use crate::values::json::{json_of, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum StructOpsCommand {
    /// List the sets of callbacks, and whether the kernel uses them
    #[command(visible_alias = "show")]
    List,
    /// Show each callback and value of a set
    Dump(DumpArgs),
}

impl StructOpsCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            StructOpsCommand::List => "struct_ops list",
            StructOpsCommand::Dump(_) => "struct_ops dump",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    map: Vec<String>,
}

/// Carries a verb of `rawbpf struct_ops` out.
pub(crate) fn run(command: &StructOpsCommand, out: &Output) -> Result<(), CliError> {
    let kernel = Kernel::host();
    match command {
        StructOpsCommand::List => {
            let all = maps::list().map_err(CliError::sys("list the maps"))?;
            let ours = all.into_iter().filter(|m| m.info().map_type == MapType::StructOps);
            out.report("struct_ops list", &List { sets: ours.map(|m| row(&kernel, &m)).collect() })
        }
        StructOpsCommand::Dump(args) => {
            let map = map_select::find(&args.map)?;
            if map.info().map_type != MapType::StructOps {
                let kind = map.info().map_type;
                return Err(CliError::Option(format!(
                    "map `{}` is of type {kind}, not struct_ops",
                    map.name()
                )));
            }
            let members = members(&kernel, &map).unwrap_or_default();
            out.report("struct_ops dump", &Dump { set: row(&kernel, &map), members })
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    id: u32,
    name: String,
    /// The kernel's struct.
    of: Option<String>,
    state: String,
    link_ids: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct List {
    sets: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Dump {
    #[serde(flatten)]
    set: Row,
    members: JsonMap<String, Json>,
}

fn row(kernel: &Kernel, map: &Map) -> Row {
    let state = match maps::StructOps::try_from(map).and_then(|ops| ops.state()) {
        Ok(StructOpsState::Init) => "not filled in".into(),
        Ok(StructOpsState::InUse) => "in use".into(),
        Ok(StructOpsState::ToBeFree) => "being freed".into(),
        Ok(StructOpsState::Ready) => "ready".into(),
        Ok(StructOpsState::Other(n)) => format!("state {n}"),
        Err(e) => e.to_string(),
    };
    let links = rawbpf::links::list().unwrap_or_default();
    let of_it = |l: &&rawbpf::links::LinkInfo| matches!(l.hook, rawbpf::links::Hook::StructOps { map_id } if map_id == map.info().id);
    Row {
        id: map.info().id,
        name: map.name().into(),
        of: data_type(kernel, map).map(|(_, name, _, _)| name),
        state,
        link_ids: links.iter().filter(of_it).map(|l| l.id).collect(),
    }
}

/// The kernel's types, the name of the struct, its type, and where in the value it is: `bpf_struct_ops_NAME` has a
/// head and the member `data`.
fn data_type(kernel: &Kernel, map: &Map) -> Option<(std::sync::Arc<Btf>, String, TypeId, usize)> {
    let raw = sys::map_info(map).ok()?;
    let btf = match raw.btf_vmlinux_id {
        0 => kernel.btf().ok()?.clone(),
        // A module's.
        id => kernel
            .modules()
            .iter()
            .find(|m| m.btf_id == id)
            .map_or_else(|| kernel.btf().ok(), |m| Some(&m.btf))?
            .clone(),
    };
    let (ty, offset) = {
        let whole = btf.resolve(TypeId(raw.btf_vmlinux_value_type_id)).ok()?;
        let data = whole.members()?.iter().find(|m| m.name == "data")?;
        (data.ty, data.bit_offset as usize / 8)
    };
    let name = btf.resolve(ty).ok()?.name.to_string();
    Some((btf, name, ty, offset))
}

/// Each member: a callback as the program that implements it, anything else as its value.
fn members(kernel: &Kernel, map: &Map) -> Option<JsonMap<String, Json>> {
    let (btf, _, ty, offset) = data_type(kernel, map)?;
    let value = maps::StructOps::try_from(map).ok()?.value().ok()??;
    let mut out = JsonMap::new();
    for m in btf.resolve(ty).ok()?.members()?.iter().filter(|m| !m.is_bitfield() && !m.name.is_empty()) {
        let start = offset.checked_add(m.bit_offset as usize / 8)?;
        let bytes = value.get(start..start.checked_add(btf.size_of(m.ty).ok()? as usize)?)?;
        let shown = match callback(&btf, m.ty) {
            true => match bytes.first_chunk::<8>().map(|b| u64::from_ne_bytes(*b)) {
                None | Some(0) => continue,
                Some(id) => program(id as u32),
            },
            false => json_of(&decode(&btf, m.ty, bytes).ok()?),
        };
        out.insert(m.name.to_string(), shown);
    }
    Some(out)
}

/// A pointer to a function.
fn callback(btf: &Btf, ty: TypeId) -> bool {
    let Ok(Kind::Ptr(to)) = btf.resolve(ty).map(|t| t.kind) else { return false };
    btf.resolve(to).is_ok_and(|t| matches!(t.kind, Kind::FuncProto(_)))
}

fn program(id: u32) -> Json {
    let info = ProgInfo::by_id(id).ok();
    json!({"prog_id": id, "name": info.map(|i| i.name)})
}

impl Report for List {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.sets.is_empty() {
            return writeln!(out, "no struct_ops maps");
        }
        let mut table = Table::new(&["ID", "NAME", "STRUCT", "STATE", "LINKS"]);
        for r in &self.sets {
            let links: Vec<String> = r.link_ids.iter().map(u32::to_string).collect();
            table.row(vec![
                r.id.to_string(),
                r.name.clone(),
                r.of.clone().unwrap_or_else(|| "-".into()),
                r.state.clone(),
                if links.is_empty() { "-".into() } else { links.join(",") },
            ]);
        }
        table.write(out)
    }
}

impl Report for Dump {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let of = self.set.of.as_deref().unwrap_or("struct");
        writeln!(out, "{} (id {}): struct {of}, {}", self.set.name, self.set.id, self.set.state)?;
        let mut table = Table::new(&[]);
        for (name, value) in &self.members {
            let value = match (value.get("prog_id"), value.get("name").and_then(Json::as_str)) {
                (Some(id), Some(name)) => format!("{name} (id {id})"),
                (Some(id), None) => format!("program id {id}"),
                _ => plain(value),
            };
            table.row(vec![format!("  .{name}"), value]);
        }
        table.write(out)
    }
}
