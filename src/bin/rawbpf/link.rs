//! `rawbpf link`: what is attached where.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use rawbpf::Link;
use rawbpf::links::{self, Hook, Interface, LinkInfo};
use rawbpf::progs::ProgInfo;
use rawbpf::sys::{self, ObjectKind};
use serde::Serialize;

use crate::bpffs;
use crate::error::CliError;
use crate::output::{Output, Report, Table};
use crate::store::{LINKS, Store};

#[derive(Debug, Serialize)]
struct LinkRow {
    id: u32,
    #[serde(rename = "type")]
    link_type: String,
    prog_id: u32,
    program: Option<String>,
    hook: String,
    pinned: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LinkList {
    links: Vec<LinkRow>,
}

pub(crate) fn list(out: &Output) -> Result<(), CliError> {
    let mut pins: HashMap<u32, Vec<String>> = HashMap::new();
    for entry in Store::new(Path::new(bpffs::DEFAULT)).entries() {
        for (_, path) in entry.pins(LINKS) {
            if let Ok(info) = Link::open_pin(&path).and_then(|l| l.info()) {
                pins.entry(info.id).or_default().push(path.display().to_string());
            }
        }
    }
    let all = links::list().map_err(CliError::sys("list the links"))?;
    let interfaces = links::interfaces().unwrap_or_default();
    let row = |info: LinkInfo| LinkRow {
        id: info.id,
        link_type: info.link_type.to_string(),
        prog_id: info.prog_id,
        program: sys::fd_by_id(ObjectKind::Prog, info.prog_id).and_then(ProgInfo::of).ok().map(|p| p.name),
        hook: describe(&info, &interfaces),
        pinned: pins.remove(&info.id).unwrap_or_default(),
    };
    out.report("link list", &LinkList { links: all.into_iter().map(row).collect() })
}

/// Where a link is attached, in a few words.
fn describe(info: &LinkInfo, interfaces: &[Interface]) -> String {
    let hook = &info.hook;
    let interface = |index: u32| match interfaces.iter().find(|i| i.index == index) {
        Some(i) => i.name.clone(),
        None if index == 0 => "an interface that is gone".into(),
        None => format!("interface {index} of another network namespace"),
    };
    match hook {
        // The kernel says a number and not of which namespace: it is ours if our interface runs the program.
        Hook::Xdp { ifindex } => match interfaces.iter().find(|i| i.index == *ifindex) {
            Some(i) if i.xdp.iter().all(|(_, id)| *id != info.prog_id) => {
                format!("XDP on interface {ifindex} of another network namespace")
            }
            _ => format!("XDP on {}", interface(*ifindex)),
        },
        Hook::Tcx { ifindex, attach_type } | Hook::Netkit { ifindex, attach_type } => {
            format!("{attach_type} on {}", interface(*ifindex))
        }
        Hook::Cgroup { cgroup_id, attach_type } => format!("{attach_type} of cgroup {cgroup_id}"),
        Hook::Netns { inode, attach_type } => format!("{attach_type} of network namespace {inode}"),
        Hook::Tracing { attach_type, target_obj_id, target_btf_id, .. } => {
            format!("{attach_type} of type {target_btf_id} in object {target_obj_id}")
        }
        Hook::RawTracepoint { name, .. } => format!("raw tracepoint {name}"),
        Hook::Iter { name, .. } => format!("iterator {name}"),
        Hook::Netfilter { pf, hook, priority, .. } => {
            format!("netfilter family {pf} hook {hook} priority {priority}")
        }
        Hook::StructOps { map_id } => format!("struct_ops map {map_id}"),
        _ => "-".into(),
    }
}

impl Report for LinkList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.links.is_empty() {
            return writeln!(out, "no links");
        }
        let mut table = Table::new(&["ID", "TYPE", "HOOK", "PROGRAM", "PINNED"]);
        for l in &self.links {
            let program = match &l.program {
                Some(name) => format!("{name} (id {})", l.prog_id),
                None => format!("id {}", l.prog_id),
            };
            let pinned = if l.pinned.is_empty() { "-".into() } else { l.pinned.join(",") };
            table.row(vec![l.id.to_string(), l.link_type.clone(), l.hook.clone(), program, pinned]);
        }
        table.write(out)
    }
}
