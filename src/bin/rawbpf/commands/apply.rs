//! `rawbpf apply`: the machine is made as a file says.
//!
//! ```text
//!   file ──► wanted ─┐
//!                    ├─ diff ─► steps    --dry-run prints them     nothing to do: 0, something: 6
//!   pins, kernel ────┘             └──► made, object by object     one that fails leaves the others
//! ```

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::deploy::{self, Decision, DeployState, DeployStep, How, LoadEntry, Store};
use serde::Serialize;

use crate::file::applied::{self, Part};
use crate::keep::bpffs;
use crate::keep::signals::hold_signals;
use crate::targets::request::Wanted;
use crate::ui::error::{CliError, whole};
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct ApplyArgs {
    /// The file: [[object]] with path, name, and load, as `rawbpf export` has it
    pub(crate) file: PathBuf,
    /// Only print what would be done: exit status 0 if that is nothing, 6 otherwise
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Unload what is loaded and not in the file
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not mount a bpffs at /sys/fs/bpf if there is none
    #[arg(long)]
    pub(crate) no_mount: bool,
    #[command(flatten)]
    pub(crate) watch: super::watch::WatchArgs,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Applied {
    dry_run: bool,
    pub(crate) objects: Vec<Row>,
    pub(crate) pruned: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Something was done, or would be.
    pub(crate) changed: bool,
    steps: Vec<String>,
    /// Places that are not there.
    waiting: Vec<String>,
    /// Programs that could not be attached where their sections say.
    not_attached: Vec<String>,
    pub(crate) error: Option<String>,
}

pub(crate) fn run(args: &ApplyArgs, out: &Output) -> Result<(), CliError> {
    if args.watch.watch {
        return super::watch::run(args, out);
    }
    let (report, first) = once(args, out)?;
    let changes = report.objects.iter().any(|o| o.changed) || !report.pruned.is_empty();
    out.report("apply", &report)?;
    match first {
        // The rows have said it all; the status is that of the first.
        Some(e) => Err(CliError::Reported(e.exit_status())),
        None if args.dry_run && changes => Err(CliError::Reported(6)),
        None => Ok(()),
    }
}

/// Reads the file and makes it so, once: what was done, and the first error.
pub(crate) fn once(args: &ApplyArgs, out: &Output) -> Result<(Applied, Option<CliError>), CliError> {
    let parts = applied::read(&args.file)?;
    let store = if args.dry_run { Store::of_machine() } else { bpffs::ensure(!args.no_mount, out)? };
    let _lock = (!args.dry_run || store.exists()).then(|| store.lock()).transpose()?;
    let _signals = hold_signals();
    let result = all(&store, &parts, args);
    store.tidy();
    result
}

/// Every object of the file.
pub(crate) fn all(
    store: &Store,
    parts: &[Part],
    args: &ApplyArgs,
) -> Result<(Applied, Option<CliError>), CliError> {
    let mut report = Applied { dry_run: args.dry_run, ..Applied::default() };
    let mut first = None;
    let mut states = states(store, parts, args.dry_run);
    for part in parts {
        let state = states.iter().position(|(name, _)| *name == part.name).map(|at| states.swap_remove(at).1);
        let row = match &part.named {
            Ok(wanted) => one(store, wanted, state, args.dry_run),
            Err(e) => Err(CliError::Option(whole(e))),
        };
        let row = row.unwrap_or_else(|e| {
            let text = e.hint().map_or_else(|| whole(&e), |hint| format!("{}; {hint}", whole(&e)));
            first.get_or_insert(e);
            Row { error: Some(text), ..Row::new(&part.name) }
        });
        report.objects.push(row);
    }
    if args.prune {
        for entry in store.entries()? {
            if entry.is_shared() || parts.iter().any(|p| p.name == entry.name) {
                continue;
            }
            if !args.dry_run {
                deploy::remove(store, &entry)?;
            }
            report.pruned.push(entry.name);
        }
    }
    Ok((report, first))
}

/// The states of all that is deployed of these, read at once; none if one of them cannot be, to be told object by object.
fn states(store: &Store, parts: &[Part], dry_run: bool) -> Vec<(String, DeployState)> {
    let wanted = parts.iter().filter_map(|p| p.named.as_ref().ok());
    let entries: Vec<LoadEntry> = wanted
        .clone()
        .filter_map(|w| store.entry(&w.request.name).ok())
        .filter(|e| dry_run || deploy::mend(e).is_ok())
        .filter(|e| e.exists().unwrap_or(false))
        .collect();
    let netns: Vec<_> = wanted.filter_map(|w| w.request.netns.clone()).collect();
    let found = deploy::states(&entries, &netns).unwrap_or_default();
    entries.into_iter().map(|e| e.name).zip(found).collect()
}

/// One object.
fn one(store: &Store, wanted: &Wanted, state: Option<DeployState>, dry_run: bool) -> Result<Row, CliError> {
    let (request, loading) = (&wanted.request, &wanted.loading);
    let entry = store.entry(&request.name)?;
    let decide = || {
        let state = match state {
            Some(state) => state,
            None if entry.exists()? => deploy::state(&entry, request.netns.as_slice())?,
            None => DeployState::default(),
        };
        deploy::decide_from(Some(&entry), request, loading, How::Apply, state)
    };
    let decision = deploy::within(request.netns.as_ref(), decide)?;
    if dry_run || !decision.acts() {
        return Ok(Row::of(&request.name, &decision));
    }
    let done = deploy::deploy(store, request, loading, How::Apply)?;
    let mut row = Row::of(&request.name, &done.decision);
    row.steps.extend(
        done.migrated
            .iter()
            .map(|m| format!("map {}: {} elements copied, {} left out", m.map, m.copied, m.left)),
    );
    row.not_attached =
        done.failed.iter().map(|(name, e)| format!("{name}: {}", crate::ui::error::text(e))).collect();
    done.leave();
    Ok(row)
}

impl Row {
    fn new(name: &str) -> Row {
        let (steps, waiting, not_attached) = (Vec::new(), Vec::new(), Vec::new());
        Row { name: name.into(), changed: false, steps, waiting, not_attached, error: None }
    }

    fn of(name: &str, decision: &Decision) -> Row {
        let steps = &decision.steps;
        let waits = |s: &&DeployStep| matches!(s, DeployStep::Wait { .. });
        Row {
            changed: decision.acts(),
            steps: steps.iter().filter(|s| decision.acts() && !waits(s)).map(ToString::to_string).collect(),
            waiting: steps.iter().filter(waits).map(ToString::to_string).collect(),
            ..Row::new(name)
        }
    }

    /// True if there is nothing to be said of it.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.changed && self.error.is_none() && self.waiting.is_empty()
    }
}

impl Report for Applied {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for object in &self.objects {
            object.text(out)?;
        }
        let verb = if self.dry_run { "would be unloaded" } else { "unloaded" };
        self.pruned.iter().try_for_each(|name| writeln!(out, "{name}: {verb}, it is not in the file"))?;
        if self.objects.is_empty() && self.pruned.is_empty() {
            writeln!(out, "nothing to do: the file has no objects")?;
        }
        Ok(())
    }
}

impl Row {
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let name = &self.name;
        match &self.error {
            Some(e) => return writeln!(out, "{name}: failed: {e}"),
            None if !self.changed && self.waiting.is_empty() => writeln!(out, "{name}: nothing to do")?,
            None => {}
        }
        self.steps.iter().chain(&self.waiting).try_for_each(|step| writeln!(out, "{name}: {step}"))?;
        self.not_attached.iter().try_for_each(|what| writeln!(out, "{name}: not attached: {what}"))
    }
}
