//! A program that the verifier refused: the screen for people, the same as data, and the log in a file.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rawbpf::Error;
use rawbpf::loader::{LoadError, VerifierLog};
use rawbpf::verifier::{CodePlace, Diagnosis, Screen};
use serde::Serialize;

/// What `--json` says of it.
#[derive(Debug, Serialize)]
pub(crate) struct Rejection {
    program: String,
    section: String,
    /// The rule's name, or none for an unknown message.
    rule: Option<&'static str>,
    explanation: Option<&'static str>,
    title: String,
    place: Option<PlaceRow>,
    instruction: Option<InsnRow>,
    state: String,
    history: Vec<EventRow>,
    notes: Vec<String>,
    help: Vec<String>,
    /// The kernel's own words.
    kernel: Vec<String>,
    insns_processed: Option<u64>,
    /// The file with the whole log.
    log_file: Option<PathBuf>,
    #[serde(skip)]
    diagnosis: Diagnosis,
}

#[derive(Debug, Serialize)]
struct PlaceRow {
    file: String,
    line: u32,
    column: u32,
    function: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct InsnRow {
    number: u32,
    text: String,
}

#[derive(Debug, Serialize)]
struct EventRow {
    kind: &'static str,
    instruction: u32,
    place: Option<PlaceRow>,
    text: String,
}

fn place(p: &CodePlace) -> PlaceRow {
    PlaceRow {
        file: p.file.clone(),
        line: p.line,
        column: p.column,
        function: p.function.clone(),
        text: p.text.clone(),
    }
}

impl Rejection {
    /// If the failure is a refused program, and the verifier said why. Writes the log to its file.
    pub(crate) fn of(e: &Error) -> Option<Rejection> {
        let Error::Load(LoadError::Program { diagnosis: Some(d), log, .. }) = e else { return None };
        let event = |h: &rawbpf::verifier::Happened| EventRow {
            kind: h.kind.name(),
            instruction: h.insn,
            place: h.place.as_ref().map(place),
            text: h.text.clone(),
        };
        Some(Rejection {
            program: d.program.clone(),
            section: d.section.clone(),
            rule: d.rule.map(|r| r.id),
            explanation: d.rule.map(|r| r.rule),
            title: d.title.clone(),
            place: d.place.as_ref().map(place),
            instruction: d.insn.clone().map(|(number, text)| InsnRow { number, text }),
            state: d.state.clone(),
            history: d.history.iter().map(event).collect(),
            notes: d.notes.clone(),
            help: d.help.clone(),
            kernel: d.message.clone(),
            insns_processed: d.processed,
            log_file: save(log).ok(),
            diagnosis: (**d).clone(),
        })
    }

    /// For people.
    pub(crate) fn screen(&self, color: bool) -> String {
        Screen::new(&self.diagnosis).color(color).log(self.log_file.as_deref()).to_string()
    }
}

/// Writes a log to a file of its program's name, in a directory that is this user's alone.
fn save(log: &VerifierLog) -> io::Result<PathBuf> {
    let user = nix::unistd::geteuid().as_raw();
    let dir = std::env::temp_dir().join(format!("rawbpf-{user}"));
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(&dir)?;
    if !meta.is_dir() || meta.uid() != user || meta.mode() & 0o022 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let name: String = log.program.chars().filter(|c| c.is_alphanumeric() || "_.".contains(*c)).collect();
    let path = dir.join(Path::new(&format!("{name}.log")));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(log.text.as_bytes())?;
    Ok(path)
}
