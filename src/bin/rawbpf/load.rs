//! `rawbpf load`: the main job.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rawbpf::links::Lifetime;
use rawbpf::{Kernel, Link, Loaded, Map, Object, Options, Plan, Program, Target, Xdp, XdpMode};
use serde::Serialize;

use crate::args::{HowArgs, LoadArgs, XdpModeArg};
use crate::attach;
use crate::bpffs;
use crate::error::CliError;
use crate::net;
use crate::output::{Output, Report, Table};
use crate::replace;
use crate::store::{Entry, LINKS, PROGS, Store};
use crate::tables;

/// What `load` did.
#[derive(Debug, Serialize)]
pub(crate) struct LoadReport {
    name: String,
    object: PathBuf,
    pinned: Option<PathBuf>,
    pub(crate) replaced: bool,
    programs: Vec<ProgramRow>,
    maps: Vec<MapRow>,
    pub(crate) links: Vec<LinkRow>,
    skipped: Vec<SkippedRow>,
    pub(crate) not_attached: Vec<SkippedRow>,
}

#[derive(Debug, Serialize)]
struct ProgramRow {
    name: String,
    prog_type: String,
    id: u32,
}

#[derive(Debug, Serialize)]
struct MapRow {
    name: String,
    map_type: String,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct LinkRow {
    /// The program, or the map of a struct_ops table.
    pub(crate) program: String,
    pub(crate) hook: String,
    /// None for an attachment that has no link object.
    pub(crate) id: Option<u32>,
    pub(crate) note: Option<String>,
    /// Functions that an attachment to many left out.
    pub(crate) skipped: Vec<SkippedRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SkippedRow {
    pub(crate) program: String,
    why: String,
}

impl LinkRow {
    /// An attachment that its hook keeps.
    pub(crate) fn without_link(program: String, hook: String) -> LinkRow {
        LinkRow { program, hook, id: None, note: None, skipped: Vec::new() }
    }
}

/// A link, and what to call it.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) link: Link,
    pub(crate) program: String,
    pub(crate) hook: String,
    pub(crate) pin: String,
}

pub(crate) fn run(args: LoadArgs, out: &Output) -> Result<(), CliError> {
    let (object, plan) = prepare(&args.object, &args.how)?;
    net::enter(args.how.net.netns.as_ref())?;
    let mut targets = targets(&object, &args.how)?;
    targets.extend(attach::targets(&plan, &args.how)?);
    attach::note_unlimited(&targets, &args.how, out);
    let name = args.name.clone().unwrap_or_else(|| object.name.clone());
    if args.foreground {
        return foreground(&args, &name, &plan, &targets, out);
    }
    let bpffs = Path::new(bpffs::DEFAULT);
    let store = Store::new(bpffs);
    let old = store.entry(&name)?;
    bpffs::ensure(bpffs, !args.no_mount, out)?;
    let _lock = store.lock()?;
    replace::mend(&old)?;
    let report = if args.replace && old.exists() {
        replace::run(&args, &old, &plan, &targets)?
    } else {
        let entry = store.take(&name)?;
        fresh(&args, &entry, &plan, &targets).inspect_err(|_| {
            // Nothing stays behind; what was attached is detached when its link is dropped.
            let _ = entry.remove();
        })?
    };
    out.report("load", &report)
}

/// Reads the object and decides how to load it.
pub(crate) fn prepare(path: &Path, how: &HowArgs) -> Result<(Object, Plan), CliError> {
    let mut object = how.tune.object(path)?;
    attach::retype(&mut object, &how.attach)?;
    let kernel = how.tune.kernel()?;
    let onto = attach::onto(&how.onto)?;
    let options = Options { only: how.programs.clone(), onto, ..how.tune.options() };
    let plan = object.plan(&kernel, &options)?;
    Ok((object, plan))
}

/// What is to be attached where: program and target.
pub(crate) fn targets(object: &Object, how: &HowArgs) -> Result<Vec<(String, Target)>, CliError> {
    let mut out = xdp_targets(object, how)?;
    out.extend(net::targets(object, how)?);
    Ok(out)
}

fn xdp_targets(object: &Object, how: &HowArgs) -> Result<Vec<(String, Target)>, CliError> {
    if how.xdp.is_empty() {
        return Ok(Vec::new());
    }
    let is_xdp = |t: Option<rawbpf::uapi::ProgType>| t == Some(rawbpf::uapi::ProgType::Xdp);
    let wanted = |name: &str| how.programs.is_empty() || how.programs.iter().any(|p| p == name);
    let programs: Vec<&str> = object
        .programs
        .iter()
        .filter(|p| is_xdp(p.prog_type) && p.attach_type == rawbpf::uapi::AttachType::Xdp && wanted(p.name()))
        .map(|p| p.name())
        .collect();
    let all = object
        .programs
        .iter()
        .map(|p| format!("{} ({})", p.name(), p.section))
        .collect::<Vec<_>>()
        .join(", ");
    let program = match programs.as_slice() {
        [one] => (*one).to_string(),
        [] => return Err(CliError::Option(format!("--xdp: the object has no XDP program; it has: {all}"))),
        many => {
            let many = many.join(", ");
            return Err(CliError::Option(format!(
                "--xdp: the object has several XDP programs ({many}); choose one with --program"
            )));
        }
    };
    let mode = match how.xdp_mode {
        XdpModeArg::Auto => XdpMode::Auto,
        XdpModeArg::Native => XdpMode::Native,
        XdpModeArg::Generic => XdpMode::Generic,
        XdpModeArg::Offloaded => XdpMode::Offloaded,
    };
    let mut interfaces: Vec<&String> = Vec::new();
    for interface in &how.xdp {
        if !interfaces.contains(&interface) {
            interfaces.push(interface);
        }
    }
    let target =
        |interface: &String| net::without_link(Target::Xdp(Xdp { interface: interface.clone(), mode }), how);
    interfaces.into_iter().map(|i| Ok((program.clone(), target(i)?))).collect()
}

/// What was attached, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    pub(crate) done: Vec<Attached>,
    /// By name of the program: only those that were to be attached where their sections say.
    pub(crate) failed: Vec<(String, CliError)>,
}

impl Attachments {
    /// An error if there is nothing but failures, or any at all if all has to succeed.
    pub(crate) fn or_error(mut self, strict: bool) -> Result<Attachments, CliError> {
        if self.failed.is_empty() || !strict && !self.done.is_empty() {
            return Ok(self);
        }
        Err(self.failed.swap_remove(0).1)
    }
}

/// Attaches all that is wanted. What a hook may keep without a link is written down in `entry` before it is done:
/// whatever happens then, `unload` finds it.
pub(crate) fn attach(
    entry: Option<&Entry>,
    loaded: &Loaded,
    targets: &[(String, Target)],
    how: &HowArgs,
) -> Result<Attachments, CliError> {
    let kernel = Kernel::host();
    let mut out = Attachments::default();
    for (name, target) in targets {
        let Some(program) = loaded.program(name) else { continue };
        let is_taken = |pin: &str| out.done.iter().any(|a| a.pin == pin);
        match attach_one(entry, &kernel, loaded, program, target) {
            Ok(mut one) => {
                one.pin = attach::unique(one.pin, is_taken);
                out.done.push(one);
            }
            Err(e) if attach::is_by_section(name, target, how) => out.failed.push((name.clone(), e)),
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

fn attach_one(
    entry: Option<&Entry>,
    kernel: &Kernel,
    loaded: &Loaded,
    program: &Program,
    target: &Target,
) -> Result<Attached, CliError> {
    let (hook, pin) = names(program.name(), target);
    let record = entry.filter(|_| net::may_be_without_link(target));
    if let Some(entry) = record {
        entry.record(&pin, program)?;
    }
    let link = rawbpf::links::attach_on(kernel, program, &net::with_maps(target, loaded)?)?;
    if let Some(entry) = record.filter(|_| link.lifetime() != Lifetime::Hook) {
        entry.forget(&pin)?;
    }
    if entry.is_some() {
        attach::check_pinnable(&link, program.name(), &hook)?;
    }
    // What it was bound to when it was loaded, only its section says.
    let hook =
        if matches!(target, Target::Trace(_) | Target::Iter(_)) { program.section().into() } else { hook };
    Ok(Attached { link, program: program.name().into(), hook, pin })
}

/// What to call a target of a program: for people, and as a pin.
pub(crate) fn names(program: &str, target: &Target) -> (String, String) {
    match target {
        Target::Xdp(xdp) => (format!("XDP on {}", xdp.interface), format!("xdp_{}", xdp.interface)),
        other => (other.to_string(), net::pin_name(program, other).unwrap_or_else(|| program.into())),
    }
}

fn fresh(
    args: &LoadArgs,
    entry: &Entry,
    plan: &Plan,
    targets: &[(String, Target)],
) -> Result<LoadReport, CliError> {
    let loaded = plan.run()?;
    let mut attached = attach(Some(entry), &loaded, targets, &args.how)?;
    tables::attach_all(Some(entry), &loaded, &args.how, &[], &mut attached);
    let attached = attached.or_error(args.how.strict)?;
    let _signals = hold_signals();
    pin(entry, &loaded, &attached.done)?;
    let report = report(args, &entry.name, Some(&entry.dir), plan, &loaded, &attached)?;
    leave(attached.done);
    Ok(report)
}

/// Leaves programs to the hooks that keep them.
pub(crate) fn leave(attached: Vec<Attached>) {
    attached.into_iter().filter(|a| a.link.lifetime() == Lifetime::Hook).for_each(|a| a.link.leak());
}

/// Pins everything. Links come last: once one is pinned, the program stays attached.
pub(crate) fn pin(entry: &Entry, loaded: &Loaded, attached: &[Attached]) -> Result<(), CliError> {
    for program in loaded.programs() {
        let path = entry.pin(PROGS, program.name())?;
        program.pin(&path).map_err(CliError::sys(format!("pin program `{}`", program.name())))?;
    }
    loaded.maps().try_for_each(|map| tables::pin(entry, map))?;
    for a in attached.iter().filter(|a| a.link.lifetime() != Lifetime::Hook) {
        let path = entry.pin(LINKS, &a.pin)?;
        a.link.pin(&path).map_err(CliError::sys(format!("pin the link of {}", a.hook)))?;
    }
    Ok(())
}

/// Loads and attaches, and undoes both when a signal comes.
fn foreground(
    args: &LoadArgs,
    name: &str,
    plan: &Plan,
    targets: &[(String, Target)],
    out: &Output,
) -> Result<(), CliError> {
    let signals = hold_signals();
    let loaded = plan.run()?;
    let mut attached = attach(None, &loaded, targets, &args.how)?;
    tables::attach_all(None, &loaded, &args.how, &[], &mut attached);
    let attached = attached.or_error(args.how.strict)?;
    out.report("load", &report(args, name, None, plan, &loaded, &attached)?)?;
    out.note("in the foreground; Ctrl-C detaches");
    let _ = signals.set.wait();
    drop(attached);
    out.note("detached");
    Ok(())
}

/// Signals that would end the process wait while this lives.
pub(crate) struct Held {
    set: SigSet,
}

pub(crate) fn hold_signals() -> Held {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
    Held { set }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&self.set), None);
    }
}

pub(crate) fn report(
    args: &LoadArgs,
    name: &str,
    dir: Option<&Path>,
    plan: &Plan,
    loaded: &Loaded,
    attached: &Attachments,
) -> Result<LoadReport, CliError> {
    let mut programs = Vec::new();
    for program in loaded.programs() {
        let info = program.info().map_err(CliError::sys("ask about a program"))?;
        programs.push(ProgramRow {
            name: program.name().into(),
            prog_type: info.prog_type.to_string(),
            id: info.id,
        });
    }
    let mut links = Vec::new();
    for a in &attached.done {
        let info =
            a.link.fd().map(|_| a.link.info()).transpose().map_err(CliError::sys("ask about a link"))?;
        let note = a.link.note().map(String::from);
        let row = |s: &rawbpf::links::Skipped| SkippedRow { program: s.name.clone(), why: s.why.clone() };
        let skipped = a.link.skipped().iter().map(row).collect();
        let id = info.map(|i| i.id);
        links.push(LinkRow { program: a.program.clone(), hook: a.hook.clone(), id, note, skipped });
    }
    let is_attached = |name: &str| links.iter().any(|l: &LinkRow| l.program == name);
    let failed = |name: &str| attached.failed.iter().find(|(n, _)| n == name);
    let why_not = |p: &Program| match failed(p.name()) {
        Some((name, e)) => (name.clone(), attach::why_failed(name, e)),
        None => attach::why_not(p, &args.how),
    };
    let in_tables = tables::programs(plan, is_attached);
    let idle =
        loaded.programs().filter(|p| !is_attached(p.name()) && !in_tables.contains(&p.name())).map(why_not);
    let tables = tables::maps(loaded).map(Map::name).filter(|name| !is_attached(name));
    let tables = tables.map(|name| {
        let why = failed(name).map_or_else(|| "--no-attach".into(), |(_, e)| attach::why_failed(name, e));
        (name.to_string(), why)
    });
    let not_attached = idle.chain(tables).map(|(program, why)| SkippedRow { program, why }).collect();
    let map_row = |m: &rawbpf::Map| MapRow {
        name: m.name().into(),
        map_type: m.info().map_type.to_string(),
        id: m.info().id,
        key_size: m.info().key_size,
        value_size: m.info().value_size,
        max_entries: m.info().max_entries,
    };
    Ok(LoadReport {
        name: name.into(),
        object: args.object.clone(),
        pinned: dir.map(Path::to_path_buf),
        replaced: false,
        programs,
        maps: loaded.maps().map(map_row).collect(),
        links,
        skipped: plan
            .skipped
            .iter()
            .map(|s| SkippedRow { program: s.program.clone(), why: s.why.clone() })
            .collect(),
        not_attached,
    })
}

impl Report for LoadReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.replaced { "replaced" } else { "loaded" };
        writeln!(out, "{verb} {} from {}", self.name, self.object.display())?;
        let mut table = Table::new(&[]);
        for p in &self.programs {
            table.row(vec!["  program".into(), p.name.clone(), p.prog_type.clone(), format!("id {}", p.id)]);
        }
        for m in &self.maps {
            table.row(vec!["  map".into(), m.name.clone(), m.map_type.clone(), format!("id {}", m.id)]);
        }
        for l in &self.links {
            let id = l.id.map_or("no link object".into(), |id| format!("id {id}"));
            table.row(vec!["  link".into(), l.program.clone(), l.hook.clone(), id]);
        }
        table.write(out)?;
        for note in self.links.iter().filter_map(|l| l.note.as_ref()) {
            writeln!(out, "note: {note}")?;
        }
        for s in &self.skipped {
            writeln!(out, "not loaded: {}: {}", s.program, s.why)?;
        }
        for l in self.links.iter().filter(|l| !l.skipped.is_empty()) {
            attach::write_skipped(
                out,
                &l.hook,
                l.skipped.iter().map(|s| (s.program.as_str(), s.why.as_str())),
            )?;
        }
        for s in &self.not_attached {
            writeln!(out, "not attached: {}: {}", s.program, s.why)?;
        }
        let Some(dir) = &self.pinned else { return Ok(()) };
        writeln!(out, "pinned in {}", dir.display())?;
        if let Some(map) = self.maps.first() {
            writeln!(out, "see it: rawbpf map dump {}", map.name)?;
        }
        writeln!(out, "undo it: rawbpf unload {}", self.name)
    }
}
