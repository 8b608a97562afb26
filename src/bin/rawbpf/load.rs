//! `rawbpf load`: the main job.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rawbpf::links::{Hook, Lifetime, LinkInfo};
use rawbpf::{Kernel, Link, Loaded, Map, Object, Options, Plan, Program, Target, Xdp, XdpMode};
use serde::Serialize;

use crate::args::{HowArgs, LoadArgs, XdpModeArg};
use crate::attach;
use crate::bpffs;
use crate::error::CliError;
use crate::output::{Output, Report, Table};
use crate::store::{Entry, LINKS, MAPS, PROGS, Store};
use crate::struct_ops;

/// What `load` did.
#[derive(Debug, Serialize)]
struct LoadReport {
    name: String,
    object: PathBuf,
    pinned: Option<PathBuf>,
    replaced: bool,
    programs: Vec<ProgramRow>,
    maps: Vec<MapRow>,
    links: Vec<LinkRow>,
    skipped: Vec<SkippedRow>,
    not_attached: Vec<SkippedRow>,
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
struct LinkRow {
    /// The program, or the map of a struct_ops table.
    program: String,
    hook: String,
    /// None for an attachment that has no link object.
    id: Option<u32>,
    note: Option<String>,
    /// Functions that an attachment to many left out.
    skipped: Vec<SkippedRow>,
}

#[derive(Debug, Serialize)]
struct SkippedRow {
    program: String,
    why: String,
}

/// A link, and what to call it.
struct Attached {
    link: Link,
    program: String,
    hook: String,
    pin: String,
}

/// What was behind a link before it was given something else.
enum Before {
    Program(Program),
    Table(Map),
}

pub(crate) fn run(args: LoadArgs, out: &Output) -> Result<(), CliError> {
    let (object, plan) = prepare(&args.object, &args.how)?;
    let mut targets = targets(&object, &args.how)?;
    targets.extend(attach::targets(&plan, &args.how)?);
    let name = args.name.clone().unwrap_or_else(|| object.name.clone());
    if args.foreground {
        return foreground(&args, &name, &plan, &targets, out);
    }
    let bpffs = Path::new(bpffs::DEFAULT);
    let store = Store::new(bpffs);
    let old = store.entry(&name)?;
    bpffs::ensure(bpffs, !args.no_mount, out)?;
    let report = if args.replace && old.exists() {
        replace(&args, &store, &old, &plan, &targets)?
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
    let target = |interface: &String| Target::Xdp(Xdp { interface: interface.clone(), mode });
    Ok(interfaces.into_iter().map(|i| (program.clone(), target(i))).collect())
}

fn attach(loaded: &Loaded, targets: &[(String, Target)]) -> Result<Vec<Attached>, CliError> {
    let kernel = Kernel::host();
    let mut out: Vec<Attached> = Vec::new();
    for (name, target) in targets {
        let Some(program) = loaded.program(name) else { continue };
        let mut one = attach_one(&kernel, program, target)?;
        one.pin = attach::unique(one.pin, |pin| out.iter().any(|a| a.pin == pin));
        out.push(one);
    }
    Ok(out)
}

/// Registers the struct_ops tables.
fn register(loaded: &Loaded, how: &HowArgs, taken: &[Attached]) -> Result<Vec<Attached>, CliError> {
    let mut out: Vec<Attached> = Vec::new();
    let is_done = |map: &str| taken.iter().any(|a| a.hook == struct_ops::HOOK && a.program == map);
    for (map, link) in struct_ops::register(loaded, how, is_done)? {
        let pin = attach::unique(map.clone(), |pin| taken.iter().chain(&out).any(|a| a.pin == pin));
        out.push(Attached { link, program: map, hook: struct_ops::HOOK.into(), pin });
    }
    Ok(out)
}

fn attach_one(kernel: &Kernel, program: &Program, target: &Target) -> Result<Attached, CliError> {
    let link = rawbpf::links::attach_on(kernel, program, target)?;
    let (hook, pin) = names(target);
    let pin = if pin.is_empty() { program.name().into() } else { pin };
    // What it was bound to when it was loaded, only its section says.
    let hook =
        if matches!(target, Target::Trace(_) | Target::Iter(_)) { program.section().into() } else { hook };
    Ok(Attached { link, program: program.name().into(), hook, pin })
}

/// What to call a target: for people, and as a pin.
fn names(target: &Target) -> (String, String) {
    match target {
        Target::Xdp(xdp) => (format!("XDP on {}", xdp.interface), format!("xdp_{}", xdp.interface)),
        // By the program's name: what is traced may have any.
        other => (other.to_string(), String::new()),
    }
}

fn fresh(
    args: &LoadArgs,
    entry: &Entry,
    plan: &Plan,
    targets: &[(String, Target)],
) -> Result<LoadReport, CliError> {
    let loaded = plan.run()?;
    let mut attached = attach(&loaded, targets)?;
    attached.extend(register(&loaded, &args.how, &attached)?);
    let _signals = hold_signals();
    pin(entry, &loaded, &attached)?;
    let report = report(args, &entry.name, Some(&entry.dir), plan, &loaded, &attached)?;
    keep(attached);
    Ok(report)
}

/// Leaves registered what has no link to pin. The rest is held by its pins.
fn keep(attached: Vec<Attached>) {
    attached.into_iter().filter(|a| a.link.lifetime() == Lifetime::Hook).for_each(|a| a.link.leak());
}

/// Pins everything. Links come last: once one is pinned, the program stays attached.
fn pin(entry: &Entry, loaded: &Loaded, attached: &[Attached]) -> Result<(), CliError> {
    for program in loaded.programs() {
        let path = entry.pin(PROGS, program.name())?;
        program.pin(&path).map_err(CliError::sys(format!("pin program `{}`", program.name())))?;
    }
    for map in loaded.maps() {
        let path = entry.pin(MAPS, map.name())?;
        map.pin(&path).map_err(CliError::sys(format!("pin map `{}`", map.name())))?;
    }
    for a in attached.iter().filter(|a| a.link.lifetime() != Lifetime::Hook) {
        attach::check_pinnable(&a.link, &a.program, &a.hook)?;
        let path = entry.pin(LINKS, &a.pin)?;
        a.link.pin(&path).map_err(CliError::sys(format!("pin the link of {}", a.hook)))?;
    }
    Ok(())
}

/// Puts a new object in place of one that is loaded. Hooks that both have never stand empty: the link stays
/// and gets the new program. If anything fails, the links get their old programs back.
fn replace(
    args: &LoadArgs,
    store: &Store,
    old: &Entry,
    plan: &Plan,
    targets: &[(String, Target)],
) -> Result<LoadReport, CliError> {
    struct_ops::refuse_replacing(&old.pins(MAPS))?;
    let loaded = plan.run()?;
    let new = store.successor(old)?;
    let mut swapped: Vec<(Link, Before)> = Vec::new();
    let result = swap(old, &new, &loaded, targets, &args.how, &mut swapped);
    match result {
        Ok(attached) => {
            let _signals = hold_signals();
            settle(old, &new)?;
            let mut report = report(args, &old.name, Some(&old.dir), plan, &loaded, &attached)?;
            report.replaced = true;
            keep(attached);
            Ok(report)
        }
        Err(e) => {
            for (link, before) in &swapped {
                match before {
                    Before::Program(program) => drop(link.update(program, None)),
                    Before::Table(map) => struct_ops::put_back(link, map),
                }
            }
            let _ = new.remove();
            Err(e)
        }
    }
}

fn swap(
    old: &Entry,
    new: &Entry,
    loaded: &Loaded,
    targets: &[(String, Target)],
    how: &HowArgs,
    swapped: &mut Vec<(Link, Before)>,
) -> Result<Vec<Attached>, CliError> {
    let links = old.pins(LINKS);
    let mut attached = Vec::new();
    // Without targets the hooks stay as they are, each with the new program of its old one's name.
    for (pin, path) in &links {
        let doing = format!("open the link {}", path.display());
        let link = Link::open_pin(path).map_err(CliError::sys(doing.clone()))?;
        let info = link.info().map_err(CliError::sys(doing))?;
        let again = Link::open_pin(path).map_err(CliError::sys("open a link again"))?;
        if let Some(before) = struct_ops::map_of(&info)? {
            struct_ops::replace(&link, pin, loaded)?;
            swapped.push((again, Before::Table(before)));
            let hook = struct_ops::HOOK.into();
            attached.push(Attached { link, program: pin.clone(), hook, pin: pin.clone() });
            continue;
        }
        let before =
            Program::open_id(info.prog_id).map_err(CliError::sys("open the program that is attached"))?;
        let wanted = targets.iter().find(|(_, t)| &names(t).1.replace('.', "_") == pin);
        let after = match wanted {
            Some((name, _)) => loaded.program(name),
            // A link that takes no other program is made anew, beside the old one.
            _ if !attach::can_update(info.link_type) => continue,
            None if targets.iter().all(|(_, t)| attach::is_tracing(t)) => loaded.program(before.name()),
            None => continue,
        };
        let Some(after) = after else {
            return Err(CliError::Option(format!(
                "--replace: `{}` is attached ({pin}), and the new object has no program of this name",
                before.name()
            )));
        };
        let hook = wanted.map_or_else(|| pin.replacen("xdp_", "XDP on ", 1), |(_, t)| names(t).0);
        link.update(after, Some(&before)).map_err(CliError::sys(format!("replace the program of {hook}")))?;
        attached.push(Attached { link, program: after.name().into(), hook, pin: pin.clone() });
        swapped.push((again, Before::Program(before)));
    }
    let kept = |t: &Target| attached.iter().any(|a| a.pin == names(t).1.replace('.', "_"));
    let fresh: Vec<(String, Target)> = targets.iter().filter(|(_, t)| !kept(t)).cloned().collect();
    let mut added = self::attach(loaded, &fresh)?;
    let tables = register(loaded, how, &attached)?;
    added.extend(tables);
    pin(new, loaded, &added)?;
    attached.extend(added);
    Ok(attached)
}

/// Moves the links that were kept, removes the rest of the old, and gives the new its name.
fn settle(old: &Entry, new: &Entry) -> Result<(), CliError> {
    let kept = |pin: &str| !new.dir.join(LINKS).join(pin).exists();
    let program_ids: Vec<u32> = new
        .pins(PROGS)
        .iter()
        .filter_map(|(_, path)| Program::open_pin(path).ok()?.info().ok())
        .map(|info| info.id)
        .collect();
    let maps = new.pins(MAPS);
    let map_ids: Vec<u32> =
        maps.iter().filter_map(|(_, path)| Map::open_pin(path).ok()).map(|m| m.info().id).collect();
    let is_new = |link: &LinkInfo| match link.hook {
        Hook::StructOps { map_id } => map_ids.contains(&map_id),
        _ => program_ids.contains(&link.prog_id),
    };
    for (pin, path) in old.pins(LINKS) {
        let link = Link::open_pin(&path).and_then(|l| l.info());
        if link.is_ok_and(|l| is_new(&l)) && kept(&pin) {
            let to = new.pin(LINKS, &pin)?;
            std::fs::rename(&path, &to).map_err(CliError::io(format!("move the pin {}", path.display())))?;
        }
    }
    old.remove()?;
    std::fs::rename(&new.dir, &old.dir).map_err(CliError::io(format!("rename {}", new.dir.display())))
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
    let mut attached = attach(&loaded, targets)?;
    attached.extend(register(&loaded, &args.how, &attached)?);
    out.report("load", &report(args, name, None, plan, &loaded, &attached)?)?;
    out.note("in the foreground; Ctrl-C detaches");
    let _ = signals.set.wait();
    drop(attached);
    out.note("detached");
    Ok(())
}

/// Signals that would end the process wait while this lives.
struct Held {
    set: SigSet,
}

fn hold_signals() -> Held {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
    Held { set }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&self.set), None);
    }
}

fn report(
    args: &LoadArgs,
    name: &str,
    dir: Option<&Path>,
    plan: &Plan,
    loaded: &Loaded,
    attached: &[Attached],
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
    for a in attached {
        let info =
            a.link.fd().map(|_| a.link.info()).transpose().map_err(CliError::sys("ask about a link"))?;
        let note = a.link.note().map(String::from);
        let row = |s: &rawbpf::links::Skipped| SkippedRow { program: s.name.clone(), why: s.why.clone() };
        let skipped = a.link.skipped().iter().map(row).collect();
        let id = info.map(|i| i.id);
        links.push(LinkRow { program: a.program.clone(), hook: a.hook.clone(), id, note, skipped });
    }
    let in_tables = struct_ops::programs(plan, |map| {
        links.iter().any(|l: &LinkRow| l.hook == struct_ops::HOOK && l.program == map)
    });
    let is_attached =
        |name: &str| in_tables.contains(&name) || links.iter().any(|l: &LinkRow| l.program == name);
    let not_attached =
        loaded.programs().filter(|p| !is_attached(p.name())).map(|p| attach::why_not(p, &args.how));
    let not_attached = not_attached.map(|(program, why)| SkippedRow { program, why }).collect();
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
