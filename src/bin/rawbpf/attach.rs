//! Attaching by section name: what `load` does by itself, and `--attach PROGRAM=HOOK`.
//!
//! A hook is written as the section name that would say it. So `--attach p=kprobe/tcp_connect` does to a
//! program in `SEC("kprobe")` what `SEC("kprobe/tcp_connect")` would have done.

use std::io::{self, Write};

use rawbpf::elf::section;
use rawbpf::links::HookError;
use rawbpf::loader::Onto;
use rawbpf::uapi::LinkType;
use rawbpf::{Link, Object, Plan, Program, Target};

use crate::args::HowArgs;
use crate::error::CliError;
use crate::net;
use crate::output::Output;

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
pub(crate) fn targets(plan: &Plan, how: &HowArgs) -> Result<Vec<(String, Target)>, CliError> {
    let mut out = Vec::new();
    for arg in &how.attach {
        let (program, hook) = parse(arg)?;
        let mut target = match Target::of_section(hook) {
            Ok(Some(target)) => target,
            Ok(None) => {
                let why = Target::missing(hook);
                return Err(CliError::Option(format!("--attach: `{hook}` is no hook of its own: {why}")));
            }
            Err(HookError { why, .. }) => {
                return Err(CliError::Option(format!("--attach: `{hook}` is no hook: {why}")));
            }
        };
        if how.cookie.is_some_and(|cookie| !target.set_cookie(cookie)) {
            return Err(CliError::Option(format!("--cookie: `{hook}` takes none")));
        }
        if how.pid.is_some_and(|pid| !target.set_pid(pid)) {
            return Err(CliError::Option(format!("--pid: `{hook}` is of all processes")));
        }
        out.push((program.to_string(), target));
    }
    let mut limited = !out.is_empty();
    let by_hand = |name: &str| how.attach.iter().any(|a| a.split('=').next() == Some(name));
    for program in plan.programs.iter().filter(|p| !how.no_attach && !by_hand(&p.name)) {
        let target = Target::of_section(&program.hook).map_err(rawbpf::links::AttachError::from)?;
        if let Some(mut target) = target {
            limited |= how.pid.is_some_and(|pid| target.set_pid(pid));
            out.push((program.name.clone(), target));
        }
    }
    if how.pid.is_some() && !limited {
        let why =
            "--pid: no hook of this object can be of one process: only uprobes, USDT and perf events can";
        return Err(CliError::Option(why.into()));
    }
    Ok(out)
}

/// Says which hooks see all processes, whatever `--pid` says.
pub(crate) fn note_unlimited(targets: &[(String, Target)], how: &HowArgs, out: &Output) {
    let Some(pid) = how.pid else { return };
    let of_all = |(program, target): &(String, Target)| {
        (!target.clone().set_pid(pid)).then(|| format!("`{program}` ({target})"))
    };
    let list: Vec<String> = targets.iter().filter_map(of_all).collect();
    if !list.is_empty() {
        out.note(&format!("note: --pid does not limit {}", list.join(", ")));
    }
}

/// `--onto PROGRAM=TARGET[:FUNCTION]`
pub(crate) fn onto(args: &[String]) -> Result<Vec<Onto>, CliError> {
    let wrong =
        |arg: &str| CliError::Option(format!("--onto: `{arg}` is not of the form PROGRAM=TARGET[:FUNCTION]"));
    let one = |arg: &String| {
        let (program, target) = arg.split_once('=').ok_or_else(|| wrong(arg))?;
        let (target, function) = match target.split_once(':') {
            Some((target, function)) => (target, Some(function.to_string())),
            None => (target, None),
        };
        Ok(Onto { program: program.into(), target: program_id(target)?, function })
    };
    args.iter().map(one).collect()
}

/// A loaded program by its id, the path of its pin, or its name.
pub(crate) fn program_id(wanted: &str) -> Result<u32, CliError> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    if wanted.starts_with('/') {
        let program = Program::open_pin(wanted).and_then(|p| p.info());
        return Ok(program.map_err(CliError::sys(format!("open the program {wanted}")))?.id);
    }
    let all = rawbpf::progs::list().map_err(CliError::sys("list the programs"))?;
    let found: Vec<u32> = all.iter().filter(|p| p.name == wanted).map(|p| p.id).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::NoSuch { what: "program", wanted: format!("`{wanted}`"), near: String::new() }),
        many => {
            let list = many.iter().map(|id| format!("  id {id}")).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "program", name: wanted.into(), count: many.len(), list })
        }
    }
}

/// Why a program that was loaded is not attached.
pub(crate) fn why_not(program: &Program, how: &HowArgs) -> (String, String) {
    let why = match program.section() {
        section if Target::of_section(section).is_ok_and(|t| t.is_some()) && how.no_attach => {
            "--no-attach".into()
        }
        section => {
            let why = Target::missing(section);
            let flag = net::flag(&program.prog_type().to_string()).filter(|_| why.ends_with("named"));
            flag.map_or(why.clone(), |flag| format!("{why}: {flag}"))
        }
    };
    (program.name().into(), why)
}

/// Why one could not be attached where its section says, without saying once more which one it is.
pub(crate) fn why_failed(program: &str, e: &CliError) -> String {
    let text = crate::output::whole(e);
    let known = format!("cannot attach `{program}` to ");
    let text = text.strip_prefix(&known).unwrap_or(&text);
    e.hint().map_or_else(|| text.to_string(), |hint| format!("{text}; {hint}"))
}

/// True for a target that only the program's section names: what fails there is reported, and the rest goes on.
pub(crate) fn is_by_section(program: &str, target: &Target, how: &HowArgs) -> bool {
    is_tracing(target) && !how.attach.iter().any(|a| a.split('=').next() == Some(program))
}

/// The first of `pin`, `pin-2`, `pin-3` ... that is not taken.
pub(crate) fn unique(pin: String, is_taken: impl Fn(&str) -> bool) -> String {
    let others = (2u32..).map(|n| format!("{pin}-{n}"));
    let names = std::iter::once(pin.clone()).chain(others);
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

/// Refuses what cannot be kept by a pin.
pub(crate) fn check_pinnable(link: &Link, program: &str, hook: &str) -> Result<(), CliError> {
    if link.can_outlive_process() {
        return Ok(());
    }
    Err(CliError::Option(format!(
        "`{program}` cannot stay attached to {hook} when rawbpf ends: this kernel has no links for perf events \
         (they came with Linux 5.15); stay with it by --foreground, or leave it unattached by --no-attach"
    )))
}

/// Whether another program can be put behind a link of this type.
pub(crate) fn can_update(link_type: LinkType) -> bool {
    !matches!(
        link_type,
        LinkType::RawTracepoint
            | LinkType::Tracing
            | LinkType::PerfEvent
            | LinkType::KprobeMulti
            | LinkType::UprobeMulti
            | LinkType::TracingMulti
            | LinkType::Iter
            | LinkType::Netfilter
    )
}

/// True for the hooks that section names can say.
pub(crate) fn is_tracing(target: &Target) -> bool {
    !matches!(target, Target::Xdp(_)) && net::pin_name("", target).is_none()
}

/// What an attachment to many functions left out: the first few, and how many.
pub(crate) fn write_skipped<'a>(
    out: &mut dyn Write,
    hook: &str,
    skipped: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> io::Result<()> {
    const SHOWN: usize = 5;
    let count = skipped.len();
    writeln!(out, "left out of {hook}: {}", crate::output::count(count, "function"))?;
    for (name, why) in skipped.take(SHOWN) {
        writeln!(out, "  {name}: {why}")?;
    }
    if count > SHOWN { writeln!(out, "  and {} more", count - SHOWN) } else { Ok(()) }
}
