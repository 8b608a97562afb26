//! `rawbpf status`: what was wanted beside what is.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::deploy::{
    self, DeployState, LoadEntry, Programs, Request, StatusLine, Store, Wishes, compare, compare_pins,
};
use rawbpf::links::NetNs;
use serde::Serialize;

use crate::file::object::{record, recorded};
use crate::options::LoadOptions;
use crate::targets::request;
use crate::ui::error::{CliError, whole};
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    /// The names to look at; all if none is given
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    /// Everything is as wanted.
    right: bool,
    loads: Vec<Load>,
}

#[derive(Debug, Serialize)]
struct Load {
    name: String,
    right: bool,
    object: Option<String>,
    attachments: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    program: String,
    place: String,
    link: Option<u32>,
    right: bool,
    now: String,
}

pub(crate) fn run(args: &StatusArgs, out: &Output) -> Result<(), CliError> {
    let store = Store::of_machine();
    let unsettled: Vec<String> = store.unsettled()?;
    let is_asked = |name: &String| args.names.is_empty() || args.names.contains(name);
    let unsettled: Vec<String> = unsettled.into_iter().filter(is_asked).collect();
    let entries = match args.names.as_slice() {
        [] => store.entries()?.into_iter().filter(|e| !e.is_shared()).collect(),
        names => {
            // One that has lost its name for the moment is told of below.
            let named = names.iter().map(|name| (name, store.existing(name)));
            let told = named.filter(|(name, e)| e.is_ok() || !unsettled.contains(name));
            told.map(|(_, e)| e).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut loads = look(&entries)?;
    unsettled.iter().for_each(|name| note_unsettled(name, &mut loads));
    let report = Status { right: loads.iter().all(|l| l.right), loads };
    out.report("status", &report)?;
    if report.right { Ok(()) } else { Err(CliError::Reported(1)) }
}

/// Which of two programs runs at a hook is open while one takes the other's place.
fn note_unsettled(name: &str, loads: &mut Vec<Load>) {
    const NOTE: &str =
        "a replacement is under way or was cut short; the next load, apply, unload or gc settles it";
    let at = loads.iter().position(|l| l.name == name).unwrap_or_else(|| {
        let (name, attachments, notes) = (name.to_string(), Vec::new(), Vec::new());
        loads.push(Load { name, right: false, object: None, attachments, notes });
        loads.len() - 1
    });
    if let Some(load) = loads.get_mut(at) {
        load.right = false;
        load.notes.push(NOTE.into());
    }
}

fn look(entries: &[LoadEntry]) -> Result<Vec<Load>, CliError> {
    let records = entries.iter().map(|e| deploy::LoadRecord::read(e).map(|r| r.as_ref().and_then(recorded)));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let netns: Vec<NetNs> = records.iter().flatten().filter_map(|(_, how)| how.net.netns.clone()).collect();
    let states = deploy::states(entries, &netns)?;
    let all = entries.iter().zip(records).zip(states);
    all.map(|((entry, record), state)| load(entry, record, &state)).collect()
}

fn load(
    entry: &LoadEntry,
    recorded: Option<(crate::file::object::ObjectPart, LoadOptions)>,
    state: &DeployState,
) -> Result<Load, CliError> {
    let mut notes = Vec::new();
    let object = recorded.as_ref().map(|(part, _)| part.path.get_ref().clone());
    let lines = match recorded {
        None => {
            notes.push("what was wanted is not written down; this is what its pins say".into());
            compare_pins(state)
        }
        Some((part, how)) => match wanted(entry, part.path.get_ref(), &how, state, &mut notes) {
            Ok(lines) => lines,
            Err(e) => {
                notes.push(format!("what was wanted cannot be looked up: {}", whole(&e)));
                compare_pins(state)
            }
        },
    };
    let attachments: Vec<Row> = lines.iter().map(Row::of).collect();
    let right = attachments.iter().all(|a| a.right);
    let object = object.map(|path| path.display().to_string());
    Ok(Load { name: entry.name.clone(), right, object, attachments, notes })
}

/// What is wanted by the record, beside what is.
fn wanted(
    entry: &LoadEntry,
    path: &std::path::Path,
    how: &LoadOptions,
    state: &DeployState,
    notes: &mut Vec<String>,
) -> Result<Vec<StatusLine>, CliError> {
    let object = how.overrides.object(path)?;
    let wanted = request::of(object, &entry.name, how)?;
    let now = record(&entry.name, path, how)?;
    if state.record.as_ref().is_some_and(|r| r.digest != now.digest) {
        notes.push(format!("{} is another object than the one that is loaded", path.display()));
    }
    let Request { wishes, netns, tables, .. } = &wanted.request;
    let lines = deploy::within(netns.as_ref(), || {
        let found = deploy::resolve(wishes, &wanted.loading.programs(), true)?;
        let tables = if *tables { wanted.loading.tables() } else { Vec::new() };
        let wish = Wishes { wanted: found, tables, programs: Programs::Same, ..Wishes::default() };
        compare(&wish, state)
    })?;
    // A program that its section alone names, and that could not be attached when it was loaded, is none that is missed.
    let by_section = |line: &StatusLine| wishes.iter().any(|w| w.by_section && w.program == line.program);
    let tried =
        |line: &StatusLine| line.link.is_some() || line.now.is_right() || how.strict || !by_section(line);
    let (missed, idle): (Vec<StatusLine>, Vec<StatusLine>) = lines.into_iter().partition(tried);
    notes.extend(
        idle.iter().map(|l| format!("{} is not attached where its section says ({})", l.program, l.place)),
    );
    Ok(missed)
}

impl Row {
    fn of(line: &StatusLine) -> Row {
        Row {
            program: line.program.clone(),
            place: line.place.clone(),
            link: line.link,
            right: line.now.is_right(),
            now: line.now.words(),
        }
    }
}

impl Report for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.loads.is_empty() {
            return writeln!(out, "nothing is loaded");
        }
        let mut table = Table::new(&["NAME", "PROGRAM", "WANTED AT", "NOW"]);
        for load in &self.loads {
            for row in &load.attachments {
                table.row(vec![load.name.clone(), row.program.clone(), row.place.clone(), row.now.clone()]);
            }
            if load.attachments.is_empty() {
                table.row(vec![load.name.clone(), "-".into(), "-".into(), "loaded, attached nowhere".into()]);
            }
        }
        table.write(out)?;
        for load in &self.loads {
            load.notes.iter().try_for_each(|note| writeln!(out, "note: {}: {note}", load.name))?;
        }
        Ok(())
    }
}
