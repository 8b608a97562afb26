//! `rawbpf asm`: an object file from assembly text.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::Object;
use rawbpf::insn::text;
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;

#[derive(Debug, ClapArgs)]
pub(crate) struct AsmArgs {
    /// The assembly text
    pub(crate) source: PathBuf,
    /// Where to write the object [default: beside the source, with extension .o]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Assembled {
    output: PathBuf,
    bytes: usize,
    programs: Vec<String>,
    maps: Vec<String>,
}

pub(crate) fn run(args: &AsmArgs, out: &Output) -> Result<(), CliError> {
    let name = args.source.display().to_string();
    let source = std::fs::read_to_string(&args.source).map_err(CliError::io(format!("read {name}")))?;
    let program = text::assemble(&name, &source)?;
    let stem = args.source.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let object = Object::from_text(stem.split('.').next().unwrap_or("object"), &program)?;
    let bytes = object.to_elf()?;
    let output = args.output.clone().unwrap_or_else(|| args.source.with_extension("o"));
    std::fs::write(&output, &bytes).map_err(CliError::io(format!("write {}", output.display())))?;
    let programs = object.programs.iter().map(|p| p.name().to_string()).collect();
    let maps = object.maps.iter().map(|m| m.name.clone()).collect();
    out.report("asm", &Assembled { output, bytes: bytes.len(), programs, maps })
}

impl Report for Assembled {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let programs = count(self.programs.len(), "program");
        let maps = count(self.maps.len(), "map");
        writeln!(out, "wrote {}: {programs}, {maps}, {} bytes", self.output.display(), self.bytes)
    }
}
