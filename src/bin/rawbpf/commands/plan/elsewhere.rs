//! `rawbpf plan --kernel FILE --release A.B`: the plan for a kernel that is not here, and what that kernel lacks.
//!
//! Of that kernel its types are known and its release. The release says which program types, hooks, map types,
//! helpers and instructions it has; the types say which fields, hooks by name and kernel functions. Every program
//! is planned alone, so that one without its hook does not hide what the others lack. What only that kernel's types
//! or its loaded programs could tell is reported as not checked.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use rawbpf::elf::ProgDef;
use rawbpf::kernel::KernelError;
use rawbpf::loader::{PlanError, Poison, TargetError};
use rawbpf::uapi::Release;
use rawbpf::{Kernel, Object, Options};
use serde::Serialize;

use super::report::{PlanReport, describe, report};
use crate::commands::inspect::RequirementRow;
use crate::options::LoadOptions;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, Serialize)]
struct Elsewhere {
    release: String,
    /// What the release does not have.
    lacks: Vec<RequirementRow>,
    /// What its types do not have, by program.
    missing: Vec<Missing>,
    /// Programs that more must be known for: program and why.
    unchecked: Vec<(String, String)>,
    #[serde(flatten)]
    plan: Option<PlanReport>,
}

/// Something that a program asks the kernel's types for, in vain.
#[derive(Debug, Serialize)]
struct Missing {
    program: String,
    /// `field` for CO-RE, `function` for kfuncs, `map`, or `hook` and the like, without which the program cannot be
    /// loaded at all.
    kind: &'static str,
    what: String,
    /// The program cannot be loaded; else it can, if the verifier never gets there.
    fatal: bool,
}

pub(super) fn run(
    object: &Path,
    types: Option<&Path>,
    release: Option<Release>,
    how: &LoadOptions,
    out: &Output,
) -> Result<(), CliError> {
    // Without a release the kernel counts as new: only its types can lack something.
    let assumed = release.unwrap_or(Release(255, 0, 0));
    let object = how.overrides.object(object)?;
    let kernel = how.overrides.other_kernel(types, assumed)?;
    let lacks = object.requirements().into_iter().filter(|r| r.since.is_some_and(|since| since > assumed));
    let lacks: Vec<RequirementRow> = lacks.map(Into::into).collect();
    let only = &how.programs;
    if let Some(wanted) = only.iter().find(|name| object.program(name).is_none()) {
        let wanted = format!("`{wanted}` in the object");
        return Err(CliError::NoSuch { what: "program", wanted, near: String::new() });
    }
    let (mut missing, mut unchecked, mut loadable) = (Vec::new(), Vec::new(), Vec::new());
    let wanted =
        |p: &ProgDef| if only.is_empty() { p.autoload } else { only.iter().any(|name| name == p.name()) };
    for program in object.programs.iter().filter(|p| wanted(p)) {
        match one(&object, &kernel, program.name(), &mut missing) {
            Verdict::Loadable => loadable.push(program.name().to_string()),
            Verdict::Refused => {}
            Verdict::Unknown(why) => unchecked.push((program.name().to_string(), why)),
        }
    }
    let options = Options { only: loadable, ..Options::default() };
    // An empty list would stand for all programs.
    let none = options.only.is_empty() && !only.is_empty();
    let plan = object.plan(&kernel, &options).ok().filter(|_| !none).map(|plan| report(&plan, &[]));
    let complete = lacks.is_empty() && !missing.iter().any(|m| m.fatal);
    let release = release.map_or_else(|| "of these types".into(), |r| r.to_string());
    out.report("plan", &Elsewhere { release, lacks, missing, unchecked, plan })?;
    if complete { Ok(()) } else { Err(CliError::Reported(4)) }
}

/// Whether a program can be loaded there.
enum Verdict {
    Loadable,
    Refused,
    /// More must be known, and what.
    Unknown(String),
}

/// Why an error is no matter of what that kernel has, if so.
fn unknown(error: &PlanError, kernel: &Kernel) -> Option<String> {
    if let PlanError::Target(TargetError::NoProgram { .. }) = error {
        return Some("it replaces a function of a program that is loaded there".into());
    }
    kernel
        .btf()
        .err()
        .filter(|_| needs_types(error))
        .map(|_| "it needs that kernel's types: --kernel FILE".into())
}

/// Whether it failed for want of the kernel's types.
fn needs_types(error: &(dyn Error + 'static)) -> bool {
    let is = |e: &(dyn Error + 'static)| e.is::<KernelError>() || e.is::<Box<KernelError>>();
    is(error) || error.source().is_some_and(needs_types)
}

/// Plans one program; notes what it misses, and tells whether it can be loaded.
fn one(object: &Object, kernel: &Kernel, program: &str, missing: &mut Vec<Missing>) -> Verdict {
    let options = Options { only: vec![program.into()], ..Options::default() };
    let mut note = |kind, what: String, fatal| {
        missing.push(Missing { program: program.into(), kind, what, fatal });
    };
    match object.plan(kernel, &options) {
        Ok(plan) => {
            for (_, poison) in plan.programs.iter().flat_map(|p| &p.poisons) {
                let kind = match poison {
                    Poison::Core(_) => "field",
                    Poison::Map(_) => "map",
                    Poison::Extern(_) => "function",
                };
                note(kind, describe(poison), false);
            }
            Verdict::Loadable
        }
        Err(e) => {
            if let Some(why) = unknown(&e, kernel) {
                return Verdict::Unknown(why);
            }
            let mut what = e.to_string();
            let mut at = e.source();
            while let Some(cause) = at {
                what.push_str(&format!(": {cause}"));
                at = cause.source();
            }
            note("hook", what, true);
            Verdict::Refused
        }
    }
}

impl Report for Elsewhere {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(plan) = &self.plan {
            plan.text(out)?;
            writeln!(out)?;
        }
        for (program, why) in &self.unchecked {
            writeln!(out, "not checked: {program}: {why}")?;
        }
        if self.lacks.is_empty() && self.missing.is_empty() {
            if !self.unchecked.is_empty() {
                return writeln!(out, "Linux {} has all else that the object asks for", self.release);
            }
            return writeln!(out, "Linux {} has all that the object asks for", self.release);
        }
        writeln!(out, "Linux {} lacks", self.release)?;
        let mut table = Table::new(&[]);
        for r in &self.lacks {
            table.row([vec![String::new(), "since".into()], r.cells()].concat());
        }
        table.write(out)?;
        for m in &self.missing {
            let then = if m.fatal { "cannot be loaded" } else { "refused if the verifier gets there" };
            writeln!(out, "  {}: {} ({then})", m.program, m.what)?;
        }
        Ok(())
    }
}
