//! `rawbpf save`: the file that would make what is loaded now.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::deploy::{LoadRecord, Store};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct SaveArgs {
    /// The names to save; all if none is given
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Saved {
    objects: Vec<Object>,
    /// Names of which it is not known how they were loaded.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    name: String,
    /// Its lines of the file.
    text: String,
}

pub(crate) fn run(args: &SaveArgs, out: &Output) -> Result<(), CliError> {
    let store = Store::of_machine();
    let entries = match args.names.as_slice() {
        [] => store.entries()?.into_iter().filter(|e| !e.is_shared()).collect(),
        names => names.iter().map(|name| store.existing(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut saved = Saved { objects: Vec::new(), unknown: Vec::new() };
    for entry in entries {
        match LoadRecord::read(&entry)? {
            Some(record) => saved.objects.push(Object { name: entry.name, text: record.text }),
            None => saved.unknown.push(entry.name),
        }
    }
    out.report("save", &saved)?;
    if saved.unknown.is_empty() { Ok(()) } else { Err(CliError::Reported(1)) }
}

impl Report for Saved {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for object in &self.objects {
            writeln!(out, "[[object]]\n{}", object.text)?;
        }
        self.unknown
            .iter()
            .try_for_each(|name| writeln!(out, "# {name}: how it was loaded is not written down"))
    }
}
