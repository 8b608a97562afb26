//! `rawbpf prog pin`: a name in a bpffs for a program, which then outlives whoever loaded it.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::deploy::Selector;
use serde::Serialize;

use crate::select::program;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct PinArgs {
    /// The program, and the path in a bpffs
    #[arg(required = true, num_args = 2..=3, value_names = ["PROG", "PATH"])]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Pinned {
    id: u32,
    name: String,
    path: String,
}

impl Report for Pinned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "pinned `{}` (id {}) at {}", self.name, self.id, self.path)
    }
}

pub(crate) fn run(args: &PinArgs, out: &Output) -> Result<(), CliError> {
    let (selector, rest) = Selector::split(&args.words);
    let [path] = rest else {
        return Err(CliError::Option("give the program, then the path for its pin".into()));
    };
    let found = program(selector)?;
    found.program.pin(path).map_err(CliError::sys(format!("pin the program at {path}")))?;
    out.report("prog pin", &Pinned { id: found.info.id, name: found.info.name, path: path.clone() })
}
