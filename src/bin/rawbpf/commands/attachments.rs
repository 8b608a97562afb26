//! `rawbpf attachments`: everything that is attached on this machine, however it was made.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::links::inventory::{By, Holder, Namespace};
use rawbpf::links::{Attachment, Inventory, inventory};
use serde::Serialize;

use crate::options::scope::{ScopeArgs, scope};
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct AttachmentsArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Print a tree: by kind of hook and place, programs in the order in which they run
    #[arg(long)]
    pub(crate) tree: bool,
}

#[derive(Debug, Serialize)]
struct AttachmentList {
    attachments: Vec<Row>,
    namespaces: Vec<NamespaceRow>,
    problems: Vec<String>,
    #[serde(skip)]
    tree: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    place: String,
    detail: String,
    /// `link`, `netlink`, `filter`, `route`, `prog_attach`, `map` or `perf_event`.
    by: &'static str,
    link_id: Option<u32>,
    link_type: Option<String>,
    prog_id: Option<u32>,
    program: Option<String>,
    prog_type: Option<String>,
    netns: Option<u64>,
    position: Option<u32>,
    hook: serde_json::Value,
    held_by: Vec<HolderRow>,
    program_held_by: Vec<HolderRow>,
    pinned: Vec<PathBuf>,
    program_pinned: Vec<PathBuf>,
    #[serde(skip)]
    words: String,
    #[serde(skip)]
    namespace: String,
}

#[derive(Debug, Serialize)]
struct HolderRow {
    pid: u32,
    name: String,
}

#[derive(Debug, Serialize)]
struct NamespaceRow {
    inode: u64,
    names: Vec<String>,
    process: Option<u32>,
    here: bool,
}

pub(crate) fn run(args: &AttachmentsArgs, out: &Output) -> Result<(), CliError> {
    let scope = scope(&args.scope)?;
    let found = inventory(&scope);
    let report = AttachmentList {
        attachments: found.attachments.iter().map(|a| row(a, &found)).collect(),
        namespaces: found.namespaces.iter().map(namespace).collect(),
        problems: found.problems.iter().map(ToString::to_string).collect(),
        tree: args.tree,
    };
    out.report("attachments", &report)?;
    if report.problems.is_empty() { Ok(()) } else { Err(CliError::Incomplete { problems: report.problems }) }
}

fn namespace(n: &Namespace) -> NamespaceRow {
    NamespaceRow { inode: n.inode, names: n.names.clone(), process: n.process, here: n.is_here }
}

fn row(a: &Attachment, all: &Inventory) -> Row {
    let holders = |list: &[Holder]| -> Vec<HolderRow> {
        list.iter().map(|h| HolderRow { pid: h.pid, name: h.name.clone() }).collect()
    };
    let (by, link_type) = match &a.by {
        By::Link { link_type, .. } => ("link", Some(link_type.to_string())),
        By::Netlink => ("netlink", None),
        By::Filter(_) => ("filter", None),
        By::Route => ("route", None),
        By::ProgAttach => ("prog_attach", None),
        By::Map => ("map", None),
        By::PerfEvent { .. } => ("perf_event", None),
    };
    let namespace = a.netns.map(|inode| {
        let known = all.namespaces.iter().find(|n| n.inode == inode);
        known.map_or_else(|| inode.to_string(), Namespace::label)
    });
    Row {
        kind: a.kind(),
        place: a.place.clone(),
        detail: a.detail.clone(),
        by,
        link_id: a.by.link_id(),
        link_type,
        prog_id: (a.prog_id != 0).then_some(a.prog_id),
        program: a.program.clone(),
        prog_type: a.prog_type.map(|t| t.to_string()),
        netns: a.netns,
        position: a.position,
        hook: crate::ui::hook::json(a),
        held_by: holders(&a.holders),
        program_held_by: holders(&a.program_holders),
        pinned: a.pins.clone(),
        program_pinned: a.program_pins.clone(),
        words: a.by.words(),
        namespace: namespace.unwrap_or_else(|| "-".into()),
    }
}

impl Row {
    fn program_text(&self) -> String {
        match (&self.program, self.prog_id) {
            (Some(name), Some(id)) => format!("{name} (id {id})"),
            (Some(name), None) => name.clone(),
            (None, Some(id)) => format!("id {id}"),
            (None, None) => "-".into(),
        }
    }

    fn kept(&self) -> String {
        let holders = self.held_by.iter().map(|h| format!("{} ({})", h.name, h.pid));
        let pins = self.pinned.iter().map(|p| p.display().to_string());
        let all: Vec<String> = pins.chain(holders).collect();
        match (all.is_empty(), self.by) {
            (false, _) => all.join(", "),
            (true, "link" | "perf_event") => "-".into(),
            (true, _) => "the hook".into(),
        }
    }
}

impl Report for AttachmentList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.attachments.is_empty() {
            writeln!(out, "nothing is attached")?;
        } else if self.tree {
            self.tree(out)?;
        } else {
            let mut table =
                Table::new(&["KIND", "PLACE", "NETNS", "PROGRAM", "ATTACHED BY", "DETAIL", "KEPT BY"]);
            for a in &self.attachments {
                let or_dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.into() };
                table.row(vec![
                    a.kind.into(),
                    or_dash(&a.place),
                    a.namespace.clone(),
                    a.program_text(),
                    a.words.clone(),
                    or_dash(&a.detail),
                    a.kept(),
                ]);
            }
            table.write(out)?;
        }
        Ok(())
    }
}

impl AttachmentList {
    /// By kind of hook, then by place, with the programs of one place in the order in which they run.
    fn tree(&self, out: &mut dyn Write) -> io::Result<()> {
        let (mut kind, mut place) = ("", None);
        for a in &self.attachments {
            if a.kind != kind {
                let of_kind = self.attachments.iter().filter(|b| b.kind == a.kind).count();
                writeln!(out, "{} ({})", a.kind, count(of_kind, "program"))?;
                (kind, place) = (a.kind, None);
            }
            if place != Some((&a.place, &a.namespace)) {
                let namespace = match a.namespace.as_str() {
                    "-" | "here" => String::new(),
                    other => format!(" in network namespace {other}"),
                };
                writeln!(out, "  {}{namespace}", a.place)?;
                place = Some((&a.place, &a.namespace));
            }
            let detail = if a.detail.is_empty() { String::new() } else { format!(", {}", a.detail) };
            writeln!(out, "    {}: {}{detail}, kept by {}", a.program_text(), a.words, a.kept())?;
        }
        Ok(())
    }
}
