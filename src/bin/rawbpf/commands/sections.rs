//! `rawbpf sections`: the names that a program's section may have, and what each means.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::elf::section::{AutoAttach, SecDef, TABLE};
use rawbpf::uapi::{AttachType, ProgType};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct SectionsArgs {
    /// Only names that contain this text
    #[arg(value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    /// With `[/...]` where something may follow.
    name: String,
    prog_type: String,
    attach_type: Option<String>,
    sleepable: bool,
    /// The first kernel that has both types.
    since: Option<String>,
    attached: &'static str,
}

#[derive(Debug, Serialize)]
struct Sections {
    sections: Vec<Row>,
}

pub(crate) fn run(args: &SectionsArgs, out: &Output) -> Result<(), CliError> {
    let wanted = |def: &&SecDef| args.text.as_ref().is_none_or(|text| def.pattern.contains(text.as_str()));
    let sections: Vec<Row> = TABLE.iter().filter(wanted).map(Row::new).collect();
    out.report("sections", &Sections { sections })
}

impl Row {
    fn new(def: &SecDef) -> Row {
        let attach_type = (def.attach_type != AttachType::default()).then_some(def.attach_type);
        let since = def.prog_type.since().max(attach_type.and_then(AttachType::since));
        Row {
            name: def.pattern.strip_suffix('+').map_or(def.pattern.into(), |name| format!("{name}[/...]")),
            prog_type: def.prog_type.to_string(),
            attach_type: attach_type.map(|t| t.to_string()),
            sleepable: def.is_sleepable(),
            since: since.map(|r| r.to_string()),
            attached: attached(def),
        }
    }
}

/// How `rawbpf load` attaches it.
fn attached(def: &SecDef) -> &'static str {
    if def.auto != AutoAttach::Manual {
        return "by itself";
    }
    match def.prog_type {
        ProgType::Xdp if def.pattern.contains("map") => "with an entry of a devmap or cpumap",
        ProgType::Xdp => "--xdp",
        ProgType::SchedCls if def.pattern.starts_with("netkit") => "--netkit",
        ProgType::SchedCls => "--tc",
        ProgType::Netfilter => "--netfilter",
        ProgType::SkSkb | ProgType::SkMsg => "--sockmap",
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit => "--route",
        ProgType::LircMode2 => "--lirc",
        ProgType::FlowDissector | ProgType::SkLookup => "--netns",
        ProgType::PerfEvent => "--attach PROGRAM=perf_event/EVENT",
        ProgType::StructOps => "by itself, with the map that it belongs to",
        ProgType::Syscall => "not at all; `prog run` runs it",
        ProgType::SocketFilter | ProgType::SkReuseport => "to a socket, by the process that has it",
        ProgType::SchedAct | ProgType::LwtSeg6local => "by tc(8) or ip(8), from a pin",
        _ => "--cgroup",
    }
}

impl Report for Sections {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.sections.is_empty() {
            return writeln!(out, "no section of this name");
        }
        let mut table = Table::new(&["SEC", "PROGRAM TYPE", "ATTACH TYPE", "SINCE", "ATTACHED BY LOAD"]);
        for row in &self.sections {
            table.row(vec![
                row.name.clone(),
                row.prog_type.clone(),
                row.attach_type.clone().unwrap_or_default(),
                row.since.clone().unwrap_or_default(),
                row.attached.into(),
            ]);
        }
        table.write(out)
    }
}
