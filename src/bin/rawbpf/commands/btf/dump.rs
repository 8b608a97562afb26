//! `rawbpf btf dump`: types as numbers or as C.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::btf::{Btf, BtfError, CDump, KindSet, Type, TypeId, dump_c};
use serde::Serialize;

use super::raw_json;
use super::source::{self, Types};
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FormatArg {
    /// One type a line, by numbers
    #[default]
    Raw,
    /// C; the whole kernel's is a vmlinux.h
    C,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Whose types [default: the kernel's]
    #[arg(num_args = 0..=3, value_name = "SOURCE")]
    pub(crate) source: Vec<String>,
    /// How to print them
    #[arg(long, value_name = "FORMAT", default_value = "raw")]
    pub(crate) format: FormatArg,
    /// Only this type, by its name or number; as C with all that it needs (may be given several times)
    #[arg(long = "root", value_name = "TYPE")]
    pub(crate) roots: Vec<String>,
    /// The types of the kernel that a module's file was built for; the running kernel's if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
}

pub(super) fn run(args: &DumpArgs, out: &Output) -> Result<(), CliError> {
    let mut types = source::find(&args.source, args.base.as_deref())?;
    if !args.roots.is_empty() {
        types.roots =
            args.roots.iter().map(|root| resolve(&types.btf, root)).collect::<Result<Vec<_>, _>>()?.concat();
    }
    match args.format {
        FormatArg::C => c(&types, out),
        FormatArg::Raw => raw(&types, out),
    }
}

/// A type by its number, or all types of a name.
fn resolve(btf: &Btf, root: &str) -> Result<Vec<TypeId>, CliError> {
    if let Ok(id) = root.parse() {
        let id = TypeId(id);
        btf.ty(id)?;
        return Ok(vec![id]);
    }
    let found = btf.find_all(root, KindSet::ANY)?;
    if found.is_empty() {
        let near = String::new();
        return Err(CliError::NoSuch { what: "type", wanted: format!("`{root}`"), near });
    }
    Ok(found)
}

#[derive(Debug, Serialize)]
struct CText {
    c: String,
}

impl Report for CText {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.c.as_bytes())
    }
}

fn c(types: &Types, out: &Output) -> Result<(), CliError> {
    let whole = types.roots.is_empty() && types.kernel;
    let what = CDump { roots: types.roots.clone(), header: whole, kfuncs: whole };
    out.report("btf dump", &CText { c: dump_c(&types.btf, &what)? })
}

/// The chosen types, one after the other.
fn each(types: &Types, mut show: impl FnMut(Type<'_>) -> io::Result<()>) -> Result<(), CliError> {
    let mut one = |ty: Result<Type<'_>, BtfError>| -> Result<(), CliError> {
        show(ty?).map_err(CliError::io("write to standard output"))
    };
    match types.roots.as_slice() {
        [] => types.btf.iter_own().try_for_each(&mut one),
        roots => roots.iter().try_for_each(|id| one(types.btf.ty(*id))),
    }
}

fn raw(types: &Types, out: &Output) -> Result<(), CliError> {
    let mut stdout = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let done = if out.is_json() {
        let mut head = Vec::new();
        out.begin("btf dump", &[], "types", &mut head);
        let mut first = true;
        let begun = stdout.write_all(&head).map_err(CliError::io("write to standard output"));
        begun
            .and_then(|()| {
                each(types, |ty| {
                    let comma = if std::mem::take(&mut first) { "\n    " } else { ",\n    " };
                    write!(stdout, "{comma}{}", raw_json::of(&ty))
                })
            })
            // The document is ended also where the types end in damage, so that what was read is not lost.
            .map_err(|e| CliError::Told(Box::new(e)))
            .and_then_always(|| writeln!(stdout, "\n  ]\n}}"))
    } else {
        each(types, |ty| writeln!(stdout, "{}", types.btf.raw(ty)))
    };
    quiet(done.and_then(|()| stdout.flush().map_err(CliError::io("write to standard output"))))
}

/// Something that is done after a success and after a failure alike.
trait Always {
    fn and_then_always(self, last: impl FnOnce() -> io::Result<()>) -> Self;
}

impl Always for Result<(), CliError> {
    fn and_then_always(self, last: impl FnOnce() -> io::Result<()>) -> Self {
        let ended = last().map_err(CliError::io("write to standard output"));
        self.and(ended)
    }
}

/// A reader that has gone away is no error.
fn quiet(done: Result<(), CliError>) -> Result<(), CliError> {
    fn gone(e: &CliError) -> bool {
        match e {
            CliError::Io { source, .. } => source.kind() == io::ErrorKind::BrokenPipe,
            CliError::Told(e) => gone(e),
            _ => false,
        }
    }
    match done {
        Err(e) if gone(&e) => Ok(()),
        other => other,
    }
}
