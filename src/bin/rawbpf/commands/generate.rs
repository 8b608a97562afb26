//! `rawbpf gen`: files that are made of object files.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use rawbpf::skeleton::{self, Embed};
use rawbpf::{Kernel, Object, kernel};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;

#[derive(Debug, Subcommand)]
pub(crate) enum GenCommand {
    /// Write Rust code for an object: its programs, maps and variables as fields of a struct
    Rust(RustArgs),
    /// Write the least BTF that the objects need of a kernel
    Btf(BtfArgs),
}

impl GenCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            GenCommand::Rust(_) => "gen rust",
            GenCommand::Btf(_) => "gen btf",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RustArgs {
    /// The BPF object file
    object: PathBuf,
    /// Where to write the code; standard output if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the struct is called, in the manner of a file name; that of the object if not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Include the object by this path instead of writing its bytes into the code
    #[arg(long, value_name = "PATH")]
    include: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BtfArgs {
    /// The BPF object files
    #[arg(required = true, value_name = "OBJECT")]
    objects: Vec<PathBuf>,
    /// Where to write the BTF
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The kernel to take the types from: raw BTF or an ELF file; the running one if not given
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

/// Carries a verb of `rawbpf gen` out.
pub(crate) fn run(command: &GenCommand, out: &Output) -> Result<(), CliError> {
    match command {
        GenCommand::Rust(args) => rust(args, out),
        GenCommand::Btf(args) => btf(args, out),
    }
}

#[derive(Debug, Serialize)]
struct Code {
    name: String,
    output: Option<PathBuf>,
    code: Option<String>,
}

impl Report for Code {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match (&self.output, &self.code) {
            (Some(path), _) => writeln!(out, "wrote {}", path.display()),
            (None, code) => out.write_all(code.as_deref().unwrap_or_default().as_bytes()),
        }
    }
}

fn rust(args: &RustArgs, out: &Output) -> Result<(), CliError> {
    let path = &args.object;
    let bytes = std::fs::read(path).map_err(CliError::io(format!("read {}", path.display())))?;
    let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default().to_string();
    let name = args.name.clone().unwrap_or(stem);
    let embed = args.include.clone().map_or(Embed::Literal, Embed::Include);
    let code = skeleton::rust(&bytes, &name, &embed)?;
    let code = match &args.output {
        None => Some(code),
        Some(path) => {
            std::fs::write(path, code).map_err(CliError::io(format!("write {}", path.display())))?;
            None
        }
    };
    out.report("gen rust", &Code { name, output: args.output.clone(), code })
}

#[derive(Debug, Serialize)]
struct Minimal {
    output: PathBuf,
    objects: usize,
    relocations: usize,
    types: u32,
    bytes: usize,
    /// Of the whole kernel.
    of_types: u32,
    of_bytes: usize,
    /// Types that the objects ask for and the kernel does not have.
    missing: BTreeSet<String>,
}

impl Report for Minimal {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let relocations = count(self.relocations, "relocation");
        let objects = count(self.objects, "object");
        writeln!(out, "{relocations} of {objects} need {} of {} types", self.types, self.of_types)?;
        for name in &self.missing {
            writeln!(out, "  not in this kernel: {name}")?;
        }
        writeln!(out, "wrote {}: {} of {} bytes", self.output.display(), self.bytes, self.of_bytes)
    }
}

fn btf(args: &BtfArgs, out: &Output) -> Result<(), CliError> {
    let kernel = match &args.kernel {
        Some(path) => kernel::read_types(path, None)?,
        None => Kernel::host().btf()?.clone(),
    };
    let objects = args.objects.iter().map(Object::open).collect::<Result<Vec<_>, _>>()?;
    let made = rawbpf::loader::minimal_btf(&objects, &kernel)?;
    write(&args.output, &made.bytes)?;
    let report = Minimal {
        output: args.output.clone(),
        objects: objects.len(),
        relocations: made.relocations,
        types: made.types,
        bytes: made.bytes.len(),
        of_types: kernel.type_count().saturating_sub(1),
        of_bytes: kernel.bytes().len(),
        missing: made.missing,
    };
    out.report("gen btf", &report)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, bytes).map_err(CliError::io(format!("write {}", path.display())))
}
