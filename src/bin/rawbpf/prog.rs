//! `rawbpf prog`: the programs that the kernel has.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use rawbpf::Program;
use rawbpf::progs;
use serde::Serialize;

use crate::bpffs;
use crate::error::CliError;
use crate::output::{Output, Report, Table};
use crate::store::{PROGS, Store};

#[derive(Debug, Serialize)]
struct ProgRow {
    id: u32,
    name: String,
    #[serde(rename = "type")]
    prog_type: String,
    tag: String,
    gpl_compatible: bool,
    xlated_size: u32,
    jited_size: u32,
    map_ids: Vec<u32>,
    btf_id: u32,
    uid: u32,
    pinned: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ProgList {
    programs: Vec<ProgRow>,
}

pub(crate) fn list(out: &Output) -> Result<(), CliError> {
    let mut pins: HashMap<u32, Vec<String>> = HashMap::new();
    for entry in Store::new(Path::new(bpffs::DEFAULT)).entries() {
        for (_, path) in entry.pins(PROGS) {
            if let Ok(info) = Program::open_pin(&path).and_then(|p| p.info()) {
                pins.entry(info.id).or_default().push(path.display().to_string());
            }
        }
    }
    let all = progs::list().map_err(CliError::sys("list the programs"))?;
    let row = |info: progs::ProgInfo| ProgRow {
        id: info.id,
        tag: info.tag_hex(),
        prog_type: info.prog_type.to_string(),
        gpl_compatible: info.gpl_compatible,
        xlated_size: info.xlated_size,
        jited_size: info.jited_size,
        btf_id: info.btf_id,
        uid: info.uid,
        pinned: pins.remove(&info.id).unwrap_or_default(),
        name: info.name,
        map_ids: info.map_ids,
    };
    out.report("prog list", &ProgList { programs: all.into_iter().map(row).collect() })
}

impl Report for ProgList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.programs.is_empty() {
            return writeln!(out, "no programs");
        }
        let mut table = Table::new(&["ID", "NAME", "TYPE", "TAG", "XLATED", "JITED", "MAPS", "PINNED"]);
        for p in &self.programs {
            let maps: Vec<String> = p.map_ids.iter().map(u32::to_string).collect();
            let or_dash = |list: &[String]| if list.is_empty() { "-".to_string() } else { list.join(",") };
            table.row(vec![
                p.id.to_string(),
                p.name.clone(),
                p.prog_type.clone(),
                p.tag.clone(),
                format!("{}B", p.xlated_size),
                if p.jited_size == 0 { "-".into() } else { format!("{}B", p.jited_size) },
                or_dash(&maps),
                or_dash(&p.pinned),
            ]);
        }
        table.write(out)
    }
}
