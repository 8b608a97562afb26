//! `rawbpf unload`: takes back what `load` did.

use std::io::{self, Write};
use std::path::Path;

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::keep::store::{Removed, Store};
use crate::keep::{bpffs, replace};
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
    #[serde(flatten)]
    removed: Removed,
}

pub(crate) fn run(args: &UnloadArgs, out: &Output) -> Result<(), CliError> {
    let store = Store::new(Path::new(bpffs::DEFAULT));
    // `unload prog.o` means what `load prog.o` loaded.
    let name = args.name.strip_suffix(".o").unwrap_or(&args.name);
    let entry = store.entry(name)?;
    let _lock = store.exists().then(|| store.lock()).transpose()?;
    replace::mend(&entry)?;
    if !entry.exists() {
        let names = store.names();
        let known = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(CliError::NotLoaded { name: name.into(), known });
    }
    let removed = entry.remove()?;
    out.report("unload", &UnloadReport { name: name.into(), removed })
}

impl Report for UnloadReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let r = &self.removed;
        writeln!(
            out,
            "unloaded {}: {} detached, {} and {} removed",
            self.name,
            count(r.links.len() + r.direct.len(), "link"),
            count(r.programs.len(), "program"),
            count(r.maps.len(), "map")
        )
    }
}
