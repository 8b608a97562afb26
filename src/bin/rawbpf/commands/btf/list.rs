//! `rawbpf btf list`: the BTF objects of the kernel, and who uses them.

use std::collections::HashMap;
use std::io::{self, Write};

use rawbpf::links::inventory;
use rawbpf::sys::{self, BtfFd, ObjectKind};
use rawbpf::{maps, progs};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, Serialize)]
struct Owner {
    pid: u32,
    name: String,
}

#[derive(Debug, Serialize)]
struct BtfRow {
    id: u32,
    name: String,
    kernel: bool,
    size: u32,
    prog_ids: Vec<u32>,
    map_ids: Vec<u32>,
    owners: Vec<Owner>,
}

#[derive(Debug, Serialize)]
struct BtfList {
    types: Vec<BtfRow>,
}

pub(super) fn run(out: &Output) -> Result<(), CliError> {
    let fail = || CliError::sys("list the BTF objects");
    let mut programs: HashMap<u32, Vec<u32>> = HashMap::new();
    for program in progs::list().map_err(CliError::sys("list the programs"))? {
        programs.entry(program.btf_id).or_default().push(program.id);
    }
    let mut maps: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut map_id = 0;
    while let Some(next) = sys::next_id(ObjectKind::Map, map_id).map_err(CliError::sys("list the maps"))? {
        map_id = next;
        if let Ok(info) = sys::fd_by_id(ObjectKind::Map, map_id).and_then(maps::MapInfo::of) {
            maps.entry(info.btf_id).or_default().push(info.id);
        }
    }
    let mut problems = Vec::new();
    let mut holders = inventory::processes(&mut problems).types;
    for problem in &problems {
        out.note(&format!("note: {problem}"));
    }
    let (mut types, mut id) = (Vec::new(), 0);
    while let Some(next) = sys::next_id(ObjectKind::Btf, id).map_err(fail())? {
        id = next;
        // It may be gone by now.
        let Ok(info) = BtfFd::by_id(id).and_then(|fd| sys::btf_info(&fd)) else { continue };
        let owners = holders.remove(&id).unwrap_or_default();
        types.push(BtfRow {
            id,
            name: info.name,
            kernel: info.kernel,
            size: info.size,
            prog_ids: programs.remove(&id).unwrap_or_default(),
            map_ids: maps.remove(&id).unwrap_or_default(),
            owners: owners.into_iter().map(|h| Owner { pid: h.pid, name: h.name }).collect(),
        });
    }
    out.report("btf list", &BtfList { types })
}

impl Report for BtfList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.types.is_empty() {
            return writeln!(out, "no BTF objects");
        }
        let mut table = Table::new(&["ID", "NAME", "SIZE", "PROGRAMS", "MAPS", "OWNERS"]);
        let ids = |list: &[u32]| match list {
            [] => "-".to_string(),
            list => list.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        };
        for t in &self.types {
            let owners: Vec<String> = t.owners.iter().map(|o| format!("{} ({})", o.name, o.pid)).collect();
            table.row(vec![
                t.id.to_string(),
                if t.name.is_empty() { "-".into() } else { t.name.clone() },
                format!("{}B", t.size),
                ids(&t.prog_ids),
                ids(&t.map_ids),
                if owners.is_empty() { "-".into() } else { owners.join(",") },
            ]);
        }
        table.write(out)
    }
}
