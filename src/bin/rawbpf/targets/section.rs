//! Attaching by section name: what `load` does by itself, and `--attach PROGRAM=HOOK`.
//!
//! A hook is written as the section name that would say it. So `--attach p=kprobe/tcp_connect` does to a
//! program in `SEC("kprobe")` what `SEC("kprobe/tcp_connect")` would have done.

use rawbpf::deploy::{ProgramFacts, is_traced};
use rawbpf::elf::section;
use rawbpf::links::HookError;
use rawbpf::loader::ProgTarget;
use rawbpf::{Object, Target};

use crate::options::LoadOptions;
use crate::select;
use crate::ui::error::CliError;
use crate::ui::output::Output;

/// `PROGRAM=HOOK`
fn parse(arg: &str) -> Result<(&str, &str), CliError> {
    let parts = arg.split_once('=').filter(|(program, hook)| !program.is_empty() && !hook.is_empty());
    parts.ok_or_else(|| CliError::Option(format!("--attach: `{arg}` is not of the form PROGRAM=HOOK")))
}

/// Gives programs the sections that their hooks want, where that decides how they are loaded: another type,
/// or a function that they are bound to.
pub(crate) fn retype(object: &mut Object, attach: &[String]) -> Result<(), CliError> {
    for arg in attach {
        let (program, hook) = parse(arg)?;
        let known = object.programs.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
        let Some(def) = object.program_mut(program) else {
            return Err(CliError::Option(format!(
                "--attach: the object has no program `{program}`; it has: {known}"
            )));
        };
        let Some(row) = section::find(hook) else { continue };
        let fits = def.prog_type == Some(row.prog_type) && def.attach_type == row.attach_type;
        if !fits || row.needs_btf_target() {
            def.set_section(hook);
        }
        def.autoload = true;
    }
    Ok(())
}

/// What is to be attached where: by hand, then by the section names of the others.
pub(crate) fn targets(
    programs: &[ProgramFacts],
    how: &LoadOptions,
) -> Result<Vec<(String, Target)>, CliError> {
    let mut out = Vec::new();
    for arg in &how.attach {
        let (program, hook) = parse(arg)?;
        let mut target = match Target::of_section(hook) {
            Ok(Some(target)) => target,
            Ok(None) => {
                let why = Target::missing(hook);
                return Err(CliError::Option(format!("--attach: `{hook}` is not a hook by itself: {why}")));
            }
            Err(HookError { why, .. }) => {
                return Err(CliError::Option(format!("--attach: `{hook}` is not a hook: {why}")));
            }
        };
        if how.cookie.is_some_and(|cookie| !target.set_cookie(cookie)) {
            return Err(CliError::Option(format!("--cookie: `{hook}` takes none")));
        }
        if how.pid.is_some_and(|pid| !target.set_pid(pid)) {
            return Err(CliError::Option(format!("--pid does not apply to `{hook}`")));
        }
        out.push((program.to_string(), target));
    }
    let mut limited = !out.is_empty();
    let by_hand = |name: &str| how.attach.iter().any(|a| a.split('=').next() == Some(name));
    for program in programs.iter().filter(|p| !how.no_attach && !by_hand(&p.name)) {
        let target = Target::of_section(&program.section).map_err(rawbpf::links::AttachError::from)?;
        if let Some(mut target) = target {
            limited |= how.pid.is_some_and(|pid| target.set_pid(pid));
            out.push((program.name.clone(), target));
        }
    }
    if how.pid.is_some() && !limited {
        let why = "--pid: no hook of this object can be limited to one process: only uprobes, USDT and perf events can";
        return Err(CliError::Option(why.into()));
    }
    Ok(out)
}

/// Says which hooks see all processes, whatever `--pid` says.
pub(crate) fn note_unlimited<'a>(
    targets: impl Iterator<Item = (&'a String, &'a Target)>,
    how: &LoadOptions,
    out: &Output,
) {
    let Some(pid) = how.pid else { return };
    let of_all = |(program, target): (&String, &Target)| {
        (!target.clone().set_pid(pid)).then(|| format!("`{program}` ({target})"))
    };
    let list: Vec<String> = targets.filter_map(of_all).collect();
    if !list.is_empty() {
        out.note(&format!("note: --pid does not limit {}", list.join(", ")));
    }
}

/// `--onto PROGRAM=TARGET[:FUNCTION]`
pub(crate) fn onto(args: &[String]) -> Result<Vec<ProgTarget>, CliError> {
    let wrong =
        |arg: &str| CliError::Option(format!("--onto: `{arg}` is not of the form PROGRAM=TARGET[:FUNCTION]"));
    let one = |arg: &String| {
        let (program, target) = arg.split_once('=').ok_or_else(|| wrong(arg))?;
        // `id:N` has a colon of its own.
        let (prefix, rest) = match target.strip_prefix("id:") {
            Some(rest) => ("id:", rest),
            None => ("", target),
        };
        let (target, function) = match rest.split_once(':') {
            Some((target, function)) => (target, Some(function.to_string())),
            None => (rest, None),
        };
        let target = select::program_id(&format!("{prefix}{target}"))?;
        Ok(ProgTarget { program: program.into(), target, function })
    };
    args.iter().map(one).collect()
}

/// True for a target that only the program's section names: what fails there is reported, and the rest goes on.
pub(crate) fn is_by_section(program: &str, target: &Target, how: &LoadOptions) -> bool {
    is_traced(target) && !how.attach.iter().any(|a| a.split('=').next() == Some(program))
}
