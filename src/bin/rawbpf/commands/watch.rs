//! `rawbpf apply --watch`: stays, and keeps the machine as the file says.
//!
//! ```text
//!   the kernel's messages ─┐
//!   once a second: pins ───┼──► apply again ──► one line for what was done, or what cannot be
//!   SIGHUP: the file ──────┘
//! ```
//!
//! What is attached stays attached when this ends, unless --detach is given: a new version of this command takes over
//! without a moment in which a hook is empty.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use clap::Args as ClapArgs;
use nix::sys::signal::Signal;
use rawbpf::deploy::{self, LoadEntry, Pulse, Request, Store, Watch, Woken, pulse};

use super::apply::{self, ApplyArgs};
use crate::file::applied::{self, Part};
use crate::keep::bpffs;
use crate::ui::error::{CliError, whole};
use crate::ui::notify::notify;
use crate::ui::output::Output;
use crate::ui::stop::Stop;

/// Whether to stay.
#[derive(Debug, ClapArgs)]
pub(crate) struct WatchArgs {
    /// Stay, and make it so again whenever something changes; SIGHUP reads the file again
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,
    /// With --watch: unload everything at the end, instead of leaving it attached
    #[arg(long, requires = "watch")]
    pub(crate) detach: bool,
}

/// How long nothing may be said by the kernel before pins are asked.
const SECOND: Duration = Duration::from_secs(1);
/// How long to wait for what comes along with a message: an interface comes with several.
const MOMENT: Duration = Duration::from_millis(30);

pub(crate) fn run(args: &ApplyArgs, out: &Output) -> Result<(), CliError> {
    let signals = Stop::new()?;
    let store = bpffs::ensure(!args.no_mount, out)?;
    let mut keeper = Keeper { args, out, store, parts: read(args)?, said: HashMap::new() };
    loop {
        // It listens before it looks: what happens in between is not missed.
        let (watch, before) = (keeper.listen()?, keeper.pulse()?);
        keeper.apply()?;
        notify("READY=1");
        match keeper.wait(&watch, &before, &signals)? {
            Some(Signal::SIGHUP) => {
                notify("RELOADING=1");
                match read(args) {
                    Ok(parts) => keeper.parts = parts,
                    Err(e) => {
                        out.note(&format!("the file is not taken, what it said before stays: {}", whole(&e)))
                    }
                }
            }
            Some(_) => break,
            None => {}
        }
    }
    notify("STOPPING=1");
    if args.watch.detach { keeper.detach() } else { Ok(()) }
}

/// The file's objects; an interface that is not there is waited for.
fn read(args: &ApplyArgs) -> Result<Vec<Part>, CliError> {
    let mut parts = applied::read(&args.file)?;
    for wanted in parts.iter_mut().filter_map(|p| p.named.as_mut().ok()) {
        wanted.request.wait = true;
    }
    Ok(parts)
}

struct Keeper<'a> {
    args: &'a ApplyArgs,
    out: &'a Output,
    store: Store,
    parts: Vec<Part>,
    /// What was said last of each object.
    said: HashMap<String, String>,
}

impl Keeper<'_> {
    /// Makes it so, and says what is new.
    fn apply(&mut self) -> Result<(), CliError> {
        let report = {
            let _lock = self.store.lock()?;
            apply::all(&self.store, &self.parts, self.args)?.0
        };
        let mut news = Vec::new();
        for row in report.objects {
            let mut text = Vec::new();
            let _ = row.text(&mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            // What is as it should be is said once; what cannot be is said when it becomes another thing.
            let before = self.said.insert(row.name.clone(), text.clone());
            if row.changed || before.is_none() || before.as_ref() != Some(&text) && !row.is_quiet() {
                news.push((row, text));
            }
        }
        for (row, text) in news {
            let json = || serde_json::to_value(&row).unwrap_or_default();
            self.out.line(json, || text.trim_end().to_string())?;
        }
        for name in report.pruned {
            let text = format!("{name}: unloaded, it is not in the file");
            self.out.line(|| serde_json::json!({ "pruned": name }), || text)?;
        }
        std::io::stdout().flush().map_err(CliError::io("write to standard output"))
    }

    /// Listens for all that concerns the objects.
    fn listen(&self) -> Result<Watch, CliError> {
        let wanted: Vec<(LoadEntry, &Request)> = self.wanted().collect();
        Ok(Watch::new(wanted.iter().map(|(entry, request)| (Some(entry), *request)))?)
    }

    /// Waits for a signal, or until something may be otherwise (`None`).
    fn wait(&self, watch: &Watch, before: &Pulse, signals: &Stop) -> Result<Option<Signal>, CliError> {
        loop {
            match watch.wait(SECOND, signals.fd())? {
                Woken::Caller => match signals.take() {
                    Some(signal) => return Ok(Some(signal)),
                    None => continue,
                },
                Woken::Change => {
                    while watch.wait(MOMENT, signals.fd())? == Woken::Change {}
                    return Ok(None);
                }
                Woken::Time if self.pulse()? == *before => {}
                Woken::Time => return Ok(None),
            }
        }
    }

    fn wanted(&self) -> impl Iterator<Item = (LoadEntry, &Request)> {
        let wanted = self.parts.iter().filter_map(|p| p.named.as_ref().ok());
        wanted.filter_map(|w| Some((self.store.entry(&w.request.name).ok()?, &w.request)))
    }

    fn pulse(&self) -> Result<Pulse, CliError> {
        let entries: Vec<LoadEntry> = self.wanted().map(|(entry, _)| entry).collect();
        Ok(pulse(&entries)?)
    }

    fn detach(&self) -> Result<(), CliError> {
        let _lock = self.store.lock()?;
        for (entry, _) in self.wanted() {
            if entry.exists()? {
                deploy::remove(&self.store, &entry)?;
                self.out.note(&format!("unloaded {}", entry.name));
            }
        }
        Ok(())
    }
}
