//! What a load has to say: what runs now, where, and what does not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rawbpf::deploy::{DeployError, DeployStep, Deployed, Fate, Made, PinPart, Store, table_programs, tables};
use rawbpf::uapi::MapType;
use rawbpf::{Loaded, Map, Program, Target};
use serde::Serialize;

use crate::options::LoadOptions;
use crate::targets::net;
use crate::ui::advice::words;
use crate::ui::error::{CliError, causes};
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
    /// What was done besides, in words.
    pub(crate) steps: Vec<String>,
    /// A command that shows what it does.
    #[serde(skip)]
    see: Option<String>,
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
    /// Over a replacement: `kept`, `new`, or why it is not the old one.
    fate: Option<String>,
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

/// What was done with an object that was read from `object`; `dir` is where it is pinned.
pub(crate) fn report(
    name: &str,
    object: &Path,
    dir: Option<&Path>,
    how: &LoadOptions,
    done: &Deployed,
) -> Result<LoadReport, CliError> {
    let links = done.made.iter().map(link_row).collect::<Result<Vec<_>, _>>()?;
    let mut out = LoadReport {
        name: name.into(),
        object: object.into(),
        pinned: dir.map(Path::to_path_buf),
        replaced: done.replaced,
        programs: Vec::new(),
        maps: Vec::new(),
        links,
        skipped: skipped(done),
        not_attached: Vec::new(),
        steps: Vec::new(),
        see: None,
    };
    let Some(loaded) = &done.loaded else {
        out.steps = done.decision.steps.iter().filter(|s| s.acts()).map(ToString::to_string).collect();
        return Ok(out);
    };
    for program in loaded.programs() {
        let info = program.info().map_err(CliError::sys("ask about a program"))?;
        let prog_type = info.prog_type.to_string();
        out.programs.push(ProgramRow { name: program.name().into(), prog_type, id: info.id });
    }
    let fate = |map: &str| {
        let of = done.decision.wish.maps.iter().find(|(name, _)| name == map);
        of.map(|(_, fate)| fate.to_string()).filter(|_| done.replaced)
    };
    out.maps = loaded.maps().map(|m| MapRow::new(m, fate(m.name()))).collect();
    let gone = done.decision.wish.maps.iter().filter(|(_, fate)| *fate == Fate::Gone);
    out.steps.extend(gone.map(|(name, fate)| format!("map {name}: {fate}")));
    out.steps.extend(done.migrated.iter().map(|m| match m.left {
        0 => format!("map {}: {} copied", m.map, count(m.copied, "element")),
        left => {
            format!("map {}: {} copied, {left} not: a number did not fit", m.map, count(m.copied, "element"))
        }
    }));
    out.not_attached = not_attached(done, loaded, how, &out.links);
    out.see = dir.and_then(|_| see(name, loaded));
    Ok(out)
}

fn skipped(done: &Deployed) -> Vec<SkippedRow> {
    let all = done.decision.plan.iter().flat_map(|plan| &plan.skipped);
    all.map(|s| SkippedRow { program: s.program.clone(), why: s.why.clone() }).collect()
}

fn link_row(made: &Made) -> Result<LinkRow, CliError> {
    let (program, hook) = (made.program.clone(), made.place.clone());
    let Some(link) = &made.link else {
        return Ok(LinkRow { program, hook, id: None, note: None, skipped: Vec::new() });
    };
    let info = link.fd().map(|_| link.info()).transpose().map_err(CliError::sys("ask about a link"))?;
    let note = link.note().map(String::from);
    let row = |s: &rawbpf::links::SkippedFunction| SkippedRow { program: s.name.clone(), why: s.why.clone() };
    let skipped = link.skipped().iter().map(row).collect();
    Ok(LinkRow { program, hook, id: info.map(|i| i.id), note, skipped })
}

/// The programs and tables that are loaded and run nowhere, and why.
fn not_attached(done: &Deployed, loaded: &Loaded, how: &LoadOptions, links: &[LinkRow]) -> Vec<SkippedRow> {
    let steps = &done.decision.steps;
    let waits = |name: &str| {
        steps.iter().find_map(|step| match step {
            DeployStep::Wait { wanted, why } if wanted.program == name => Some(format!("waits: {why}")),
            _ => None,
        })
    };
    let is_attached = |name: &str| links.iter().any(|l| l.program == name);
    let failed = |name: &str| done.failed.iter().find(|(n, _)| n == name);
    let why_not = |p: &Program| match (failed(p.name()), waits(p.name())) {
        (Some((name, e)), _) => (name.clone(), why_failed(name, e)),
        (None, Some(why)) => (p.name().to_string(), why),
        (None, None) => why_not(p, how),
    };
    let in_tables =
        done.decision.plan.as_ref().map(|plan| table_programs(plan, is_attached)).unwrap_or_default();
    let idle =
        loaded.programs().filter(|p| !is_attached(p.name()) && !in_tables.contains(&p.name())).map(why_not);
    let tables = tables(loaded).map(Map::name).filter(|name| !is_attached(name)).map(|name| {
        let why = failed(name).map_or_else(|| "--no-attach".into(), |(_, e)| why_failed(name, e));
        (name.to_string(), why)
    });
    // What runs at one place and waits for another is said, too.
    let waiting = steps.iter().filter_map(|step| match step {
        DeployStep::Wait { wanted, why } if is_attached(&wanted.program) => {
            Some((wanted.program.clone(), format!("waits for {}: {why}", wanted.place())))
        }
        _ => None,
    });
    idle.chain(tables).chain(waiting).map(|(program, why)| SkippedRow { program, why }).collect()
}

/// The command that shows what the first map holds that can be shown.
fn see(name: &str, loaded: &Loaded) -> Option<String> {
    let is_ring = |m: &&Map| {
        matches!(m.info().map_type, MapType::Ringbuf | MapType::PerfEventArray | MapType::UserRingbuf)
    };
    let can_dump = |m: &&Map| {
        !is_ring(m)
            && !matches!(m.info().map_type, MapType::Arena | MapType::BloomFilter | MapType::StructOps)
    };
    let is_data = |m: &&Map| {
        m.name().starts_with('.')
            || m.name().contains(".rodata")
            || m.name().contains(".bss")
            || m.name().contains(".data")
    };
    let found = loaded.maps().find(|m| !is_data(m) && can_dump(m));
    let found = found.or_else(|| {
        loaded.maps().find(|m| matches!(m.info().map_type, MapType::Ringbuf | MapType::PerfEventArray))
    });
    let map = found.or_else(|| loaded.maps().find(can_dump))?;
    let others = Store::of_machine().entries().unwrap_or_default();
    let pin = map.name().replace('.', "_");
    let twice = others.iter().any(|e| e.name != name && e.path(PinPart::Maps, &pin).exists());
    let word = if twice { format!("{name}/{}", map.name()) } else { map.name().to_string() };
    let verb = if is_ring(&map) { "events" } else { "map dump" };
    Some(format!("rawbpf {verb} {word}"))
}

impl MapRow {
    fn new(m: &Map, fate: Option<String>) -> MapRow {
        MapRow {
            name: m.name().into(),
            map_type: m.info().map_type.to_string(),
            id: m.info().id,
            key_size: m.info().key_size,
            value_size: m.info().value_size,
            max_entries: m.info().max_entries,
            fate,
        }
    }
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
            let fate = m.fate.as_ref().map_or(String::new(), |fate| format!(", {fate}"));
            table.row(vec!["  map".into(), m.name.clone(), m.map_type.clone(), format!("id {}{fate}", m.id)]);
        }
        for l in &self.links {
            let id = l.id.map_or("no link object".into(), |id| format!("id {id}"));
            table.row(vec!["  link".into(), l.program.clone(), l.hook.clone(), id]);
        }
        table.write(out)?;
        for step in &self.steps {
            writeln!(out, "  {step}")?;
        }
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
        if let Some(see) = &self.see {
            writeln!(out, "see it: {see}")?;
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
fn why_failed(program: &str, e: &DeployError) -> String {
    let text = causes(e).iter().fold(e.to_string(), |text, cause| format!("{text}: {cause}"));
    let known = format!("cannot attach `{program}` to ");
    let text = text.strip_prefix(&known).unwrap_or(&text);
    let hint = match e {
        DeployError::Lib(e) => e.advice().map(|advice| words(&advice)),
        _ => None,
    };
    hint.map_or_else(|| text.to_string(), |hint| format!("{text}; {hint}"))
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
