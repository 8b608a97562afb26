//! `rawbpf unload`: takes back what `load` did.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::deploy;
use rawbpf::deploy::Store;
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;

#[derive(Debug, ClapArgs)]
pub(crate) struct UnloadArgs {
    /// The name that it was loaded under
    pub(crate) name: String,
}

#[derive(Debug, Serialize)]
struct UnloadReport {
    name: String,
    links: Vec<String>,
    /// Attachments without links.
    direct: Vec<String>,
    programs: Vec<String>,
    maps: Vec<String>,
}

pub(crate) fn run(args: &UnloadArgs, out: &Output) -> Result<(), CliError> {
    let store = Store::of_machine();
    // `unload prog.o` means what `load prog.o` loaded.
    let name = args.name.strip_suffix(".o").unwrap_or(&args.name);
    let entry = store.entry(name)?;
    let _lock = store.exists().then(|| store.lock()).transpose()?;
    deploy::mend(&entry)?;
    let removed = store.existing(name).and_then(|entry| deploy::remove(&store, &entry));
    let removed = removed.inspect_err(|_| store.tidy())?;
    let report = UnloadReport {
        name: name.into(),
        links: removed.links,
        direct: removed.linkless,
        programs: removed.programs,
        maps: removed.maps,
    };
    out.report("unload", &report)
}

impl Report for UnloadReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "unloaded {}: {} detached, {} and {} removed",
            self.name,
            count(self.links.len() + self.direct.len(), "link"),
            count(self.programs.len(), "program"),
            count(self.maps.len(), "map")
        )
    }
}
