//! `rawbpf gc`: what nothing needs any more.
//!
//! Two sorts are kept apart. *Dead* is what can never do anything again: a pinned link whose interface, cgroup or
//! network namespace is gone, a probe in tracefs whose process was killed, and what an interrupted `load` left. *Idle* is what does nothing now and might be
//! wanted: a pinned program that is attached nowhere, a pinned map that no program uses. Only what is dead is
//! removed, and with `--dry-run` nothing is.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::deploy::{self, LoadEntry, Store, dead};
use rawbpf::links::inventory::Pins;
use rawbpf::links::{self, LeftProbe, Scope, inventory as take_inventory};
use rawbpf::{maps, progs};
use serde::Serialize;

use crate::ui::error::{CliError, whole};
use crate::ui::output::{Output, Report};
use crate::ui::style::count;
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Garbage {
    dry_run: bool,
    dead: Vec<Row>,
    idle: Vec<Row>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    id: Option<u32>,
    name: String,
    path: Option<PathBuf>,
    why: String,
    removed: bool,
}

pub(crate) fn run(args: &GcArgs, out: &Output) -> Result<(), CliError> {
    let mut garbage =
        Garbage { dry_run: args.dry_run, dead: Vec::new(), idle: Vec::new(), problems: Vec::new() };
    let mut problems = Vec::new();
    let pins = links::inventory::pins(&mut problems);
    let store = Store::of_machine();
    let _lock = store.exists().then(|| store.lock()).transpose()?;
    let leftovers = store.unfinished()?;
    garbage.links(&pins)?;
    garbage.dead.extend(leftovers.iter().map(|entry| Row {
        kind: "entry",
        id: None,
        name: entry.name.clone(),
        path: Some(entry.dir.clone()),
        why: "an interrupted `load --replace` left it".into(),
        removed: false,
    }));
    let probes = links::left_probes();
    garbage.dead.extend(probes.iter().map(|probe| Row {
        kind: "probe",
        id: None,
        name: probe.name.clone(),
        path: None,
        why: format!("process {} was killed and left it in tracefs, at {}", probe.pid, probe.place),
        removed: false,
    }));
    garbage.programs(&pins)?;
    garbage.maps(&pins)?;
    if !args.dry_run {
        garbage.remove(&leftovers);
        garbage.remove_probes(&probes);
    }
    garbage.problems.extend(problems.iter().map(|p| p.to_string()));
    let mut said = HashSet::new();
    garbage.problems.retain(|problem| said.insert(problem.clone()));
    let failed = !garbage.problems.is_empty();
    out.report("gc", &garbage)?;
    if failed { Err(CliError::Reported(1)) } else { Ok(()) }
}

impl Garbage {
    fn links(&mut self, pins: &Pins) -> Result<(), CliError> {
        for link in links::list().map_err(CliError::sys("list the links"))? {
            let Some(why) = dead(&link.hook) else { continue };
            let row = |path: Option<PathBuf>| Row {
                kind: "link",
                id: Some(link.id),
                name: link.link_type.to_string(),
                path,
                why: why.into(),
                removed: false,
            };
            match pins.links.get(&link.id) {
                Some(paths) => self.dead.extend(paths.iter().map(|p| row(Some(p.clone())))),
                // A process holds it: it goes with the process.
                None => self.idle.push(row(None)),
            }
        }
        Ok(())
    }

    /// Pinned programs that no hook and no process has.
    fn programs(&mut self, pins: &Pins) -> Result<(), CliError> {
        let inventory = take_inventory(&Scope::Everywhere);
        self.problems.extend(inventory.problems.iter().map(|p| p.to_string()));
        let attached: HashSet<u32> = inventory.attachments.iter().map(|a| a.prog_id).collect();
        let mut unseen = Vec::new();
        let holders = links::inventory::processes(&mut unseen).programs;
        for program in progs::list().map_err(CliError::sys("list the programs"))? {
            let (id, held) = (program.id, holders.contains_key(&program.id));
            if attached.contains(&id) || held {
                continue;
            }
            let paths = pins.programs.get(&id);
            let why = match paths {
                // What could not be looked at may be what has it; it is among the problems.
                _ if !self.problems.is_empty() || !unseen.is_empty() => {
                    "nothing was found that has it, and not everything could be looked at"
                }
                Some(_) => "it is attached nowhere; its pin keeps it",
                None => {
                    "it is attached nowhere that can be seen, and no process has it: a map or a socket keeps it"
                }
            };
            self.idle.push(Row {
                kind: "program",
                id: Some(id),
                name: program.name,
                path: paths.and_then(|p| p.first().cloned()),
                why: why.into(),
                removed: false,
            });
        }
        Ok(())
    }

    /// Pinned maps that no program uses.
    fn maps(&mut self, pins: &Pins) -> Result<(), CliError> {
        let programs = progs::list().map_err(CliError::sys("list the programs"))?;
        let used: HashSet<u32> = programs.into_iter().flat_map(|p| p.map_ids).collect();
        let mut unseen = Vec::new();
        let held = links::inventory::processes(&mut unseen).maps;
        for map in maps::list().map_err(CliError::sys("list the maps"))? {
            let id = map.info().id;
            let Some(paths) = pins.maps.get(&id) else { continue };
            if used.contains(&id) || held.keys().any(|h| *h == id) {
                continue;
            }
            self.idle.push(Row {
                kind: "map",
                id: Some(id),
                name: map.name().into(),
                path: paths.first().cloned(),
                why: "no program uses it; its pin keeps it".into(),
                removed: false,
            });
        }
        Ok(())
    }

    fn remove(&mut self, leftovers: &[LoadEntry]) {
        for row in &mut self.dead {
            let Some(path) = &row.path else { continue };
            let done = match leftovers.iter().find(|e| e.dir == *path) {
                Some(entry) => mend(entry).map_err(|e| whole(&e)),
                None => std::fs::remove_file(path).map_err(|e| e.to_string()),
            };
            match done {
                Ok(()) => row.removed = true,
                Err(why) => self.problems.push(format!("cannot remove {}: {why}", path.display())),
            }
        }
    }
}

/// Undoes the replacement that left it, or goes on with it: a hook that has its program already is not let go of.
fn mend(left: &LoadEntry) -> Result<(), CliError> {
    let name = left.name.split('~').next().unwrap_or_default();
    let entry = Store::of_machine().entry(name)?;
    Ok(deploy::mend(&entry)?)
}

impl Garbage {
    fn remove_probes(&mut self, probes: &[LeftProbe]) {
        for probe in probes {
            match probe.remove() {
                Ok(()) => {
                    let row = self.dead.iter_mut().find(|row| row.kind == "probe" && row.name == probe.name);
                    row.into_iter().for_each(|row| row.removed = true);
                }
                Err(e) => self.problems.push(format!("cannot remove probe rawbpf/{}: {e}", probe.name)),
            }
        }
    }
}

impl Report for Garbage {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let list = |out: &mut dyn Write, rows: &[Row]| {
            let mut table = Table::new(&[]);
            for r in rows {
                let id = r.id.map_or_else(|| "-".into(), |id| format!("id {id}"));
                let path = r.path.as_ref().map_or_else(|| "-".into(), |p| p.display().to_string());
                table.row(vec![format!("  {}", r.kind), id, r.name.clone(), path, r.why.clone()]);
            }
            table.write(out)
        };
        let (word, removed) = match self.dry_run {
            true => ("would be removed", self.dead.len()),
            false => ("removed", self.dead.iter().filter(|r| r.removed).count()),
        };
        writeln!(out, "dead: {}, {removed} {word}", count(self.dead.len(), "thing"))?;
        list(out, &self.dead)?;
        writeln!(out, "idle: {}, left alone", count(self.idle.len(), "thing"))?;
        list(out, &self.idle)?;
        for problem in &self.problems {
            writeln!(out, "{problem}")?;
        }
        Ok(())
    }
}
