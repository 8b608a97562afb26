//! What a load has to say: what runs now, where, and what does not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rawbpf::{Loaded, Map, Program, Target};
use serde::Serialize;

use crate::keep::attach::Attachments;
use crate::keep::struct_ops;
use crate::keep::wanted::Wanted;
use crate::options::LoadOptions;
use crate::targets::net;
use crate::ui::error::{CliError, whole};
use crate::ui::output::Report;
use crate::ui::style::count;
use crate::ui::table::Table;

/// What `load` did.
#[derive(Debug, Serialize)]
pub(crate) struct LoadReport {
    name: String,
    object: PathBuf,
    pinned: Option<PathBuf>,
    pub(crate) replaced: bool,
    programs: Vec<ProgramRow>,
    maps: Vec<MapRow>,
    pub(crate) links: Vec<LinkRow>,
    skipped: Vec<SkippedRow>,
    pub(crate) not_attached: Vec<SkippedRow>,
}

#[derive(Debug, Serialize)]
struct ProgramRow {
    name: String,
    prog_type: String,
    id: u32,
}

#[derive(Debug, Serialize)]
struct MapRow {
    name: String,
    map_type: String,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct LinkRow {
    /// The program, or the map of a struct_ops table.
    pub(crate) program: String,
    pub(crate) hook: String,
    /// None for an attachment that has no link object.
    pub(crate) id: Option<u32>,
    pub(crate) note: Option<String>,
    /// Functions that an attachment to many left out.
    pub(crate) skipped: Vec<SkippedRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SkippedRow {
    pub(crate) program: String,
    why: String,
}

impl LinkRow {
    /// An attachment that its hook keeps.
    pub(crate) fn without_link(program: String, hook: String) -> LinkRow {
        LinkRow { program, hook, id: None, note: None, skipped: Vec::new() }
    }
}

pub(crate) fn report(
    wanted: &Wanted,
    name: &str,
    dir: Option<&Path>,
    loaded: &Loaded,
    attached: &Attachments,
) -> Result<LoadReport, CliError> {
    let mut programs = Vec::new();
    for program in loaded.programs() {
        let info = program.info().map_err(CliError::sys("ask about a program"))?;
        programs.push(ProgramRow {
            name: program.name().into(),
            prog_type: info.prog_type.to_string(),
            id: info.id,
        });
    }
    let mut links = Vec::new();
    for a in &attached.done {
        let info =
            a.link.fd().map(|_| a.link.info()).transpose().map_err(CliError::sys("ask about a link"))?;
        let note = a.link.note().map(String::from);
        let row = |s: &rawbpf::links::Skipped| SkippedRow { program: s.name.clone(), why: s.why.clone() };
        let skipped = a.link.skipped().iter().map(row).collect();
        let id = info.map(|i| i.id);
        links.push(LinkRow { program: a.program.clone(), hook: a.hook.clone(), id, note, skipped });
    }
    let is_attached = |name: &str| links.iter().any(|l: &LinkRow| l.program == name);
    let failed = |name: &str| attached.failed.iter().find(|(n, _)| n == name);
    let why_not = |p: &Program| match failed(p.name()) {
        Some((name, e)) => (name.clone(), why_failed(name, e)),
        None => why_not(p, wanted.how),
    };
    let in_tables = struct_ops::programs(wanted.plan, is_attached);
    let idle =
        loaded.programs().filter(|p| !is_attached(p.name()) && !in_tables.contains(&p.name())).map(why_not);
    let tables = struct_ops::maps(loaded).map(Map::name).filter(|name| !is_attached(name));
    let tables = tables.map(|name| {
        let why = failed(name).map_or_else(|| "--no-attach".into(), |(_, e)| why_failed(name, e));
        (name.to_string(), why)
    });
    let not_attached = idle.chain(tables).map(|(program, why)| SkippedRow { program, why }).collect();
    let map_row = |m: &rawbpf::Map| MapRow {
        name: m.name().into(),
        map_type: m.info().map_type.to_string(),
        id: m.info().id,
        key_size: m.info().key_size,
        value_size: m.info().value_size,
        max_entries: m.info().max_entries,
    };
    Ok(LoadReport {
        name: name.into(),
        object: wanted.object.to_path_buf(),
        pinned: dir.map(Path::to_path_buf),
        replaced: false,
        programs,
        maps: loaded.maps().map(map_row).collect(),
        links,
        skipped: wanted
            .plan
            .skipped
            .iter()
            .map(|s| SkippedRow { program: s.program.clone(), why: s.why.clone() })
            .collect(),
        not_attached,
    })
}

impl Report for LoadReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.replaced { "replaced" } else { "loaded" };
        writeln!(out, "{verb} {} from {}", self.name, self.object.display())?;
        let mut table = Table::new(&[]);
        for p in &self.programs {
            table.row(vec!["  program".into(), p.name.clone(), p.prog_type.clone(), format!("id {}", p.id)]);
        }
        for m in &self.maps {
            table.row(vec!["  map".into(), m.name.clone(), m.map_type.clone(), format!("id {}", m.id)]);
        }
        for l in &self.links {
            let id = l.id.map_or("no link object".into(), |id| format!("id {id}"));
            table.row(vec!["  link".into(), l.program.clone(), l.hook.clone(), id]);
        }
        table.write(out)?;
        for note in self.links.iter().filter_map(|l| l.note.as_ref()) {
            writeln!(out, "note: {note}")?;
        }
        for s in &self.skipped {
            writeln!(out, "not loaded: {}: {}", s.program, s.why)?;
        }
        for l in self.links.iter().filter(|l| !l.skipped.is_empty()) {
            write_skipped(out, &l.hook, l.skipped.iter().map(|s| (s.program.as_str(), s.why.as_str())))?;
        }
        for s in &self.not_attached {
            writeln!(out, "not attached: {}: {}", s.program, s.why)?;
        }
        let Some(dir) = &self.pinned else { return Ok(()) };
        writeln!(out, "pinned in {}", dir.display())?;
        if let Some(map) = self.maps.first() {
            writeln!(out, "see it: rawbpf map dump {}", map.name)?;
        }
        writeln!(out, "undo it: rawbpf unload {}", self.name)
    }
}

/// Why a program that was loaded is not attached.
pub(crate) fn why_not(program: &Program, how: &LoadOptions) -> (String, String) {
    let why = match program.section() {
        section if Target::of_section(section).is_ok_and(|t| t.is_some()) && how.no_attach => {
            "--no-attach".into()
        }
        section => {
            let why = Target::missing(section);
            let flag = net::flag(&program.prog_type().to_string()).filter(|_| why.ends_with("named"));
            flag.map_or(why.clone(), |flag| format!("{why}: {flag}"))
        }
    };
    (program.name().into(), why)
}

/// Why one could not be attached where its section says, without saying once more which one it is.
pub(crate) fn why_failed(program: &str, e: &CliError) -> String {
    let text = whole(e);
    let known = format!("cannot attach `{program}` to ");
    let text = text.strip_prefix(&known).unwrap_or(&text);
    e.hint().map_or_else(|| text.to_string(), |hint| format!("{text}; {hint}"))
}

/// What an attachment to many functions left out: the first few, and how many.
pub(crate) fn write_skipped<'a>(
    out: &mut dyn Write,
    hook: &str,
    skipped: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> io::Result<()> {
    const SHOWN: usize = 5;
    let total = skipped.len();
    writeln!(out, "left out of {hook}: {}", count(total, "function"))?;
    for (name, why) in skipped.take(SHOWN) {
        writeln!(out, "  {name}: {why}")?;
    }
    if total > SHOWN { writeln!(out, "  and {} more", total - SHOWN) } else { Ok(()) }
}
