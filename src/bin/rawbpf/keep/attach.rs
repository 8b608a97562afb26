//! Attaching what was loaded, and pinning it so that it stays.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use rawbpf::links::{Lifetime, MapRef, Sockmap, Via};
use rawbpf::{Kernel, Link, Loaded, Program, Target};

use crate::keep::store::{Entry, LINKS, PROGS};
use crate::options::LoadOptions;
use crate::targets::name::names;
use crate::targets::section;
use crate::ui::error::CliError;

/// A link, and what to call it.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) link: Link,
    pub(crate) program: String,
    pub(crate) hook: String,
    pub(crate) pin: String,
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
    how: &LoadOptions,
) -> Result<Attachments, CliError> {
    let kernel = Kernel::host();
    let mut out = Attachments::default();
    for (name, target) in targets {
        let Some(program) = loaded.program(name) else { continue };
        let is_taken = |pin: &str| out.done.iter().any(|a| a.pin == pin);
        match attach_one(entry, &kernel, loaded, program, target) {
            Ok(mut one) => {
                one.pin = unique(one.pin, is_taken);
                out.done.push(one);
            }
            Err(e) if section::is_by_section(name, target, how) => out.failed.push((name.clone(), e)),
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
    let record = entry.filter(|_| may_be_without_link(target));
    if let Some(entry) = record {
        entry.record(&pin, program)?;
    }
    let link = rawbpf::links::attach_on(kernel, program, &with_maps(target, loaded)?)?;
    if let Some(entry) = record.filter(|_| link.lifetime() != Lifetime::Hook) {
        entry.forget(&pin)?;
    }
    if entry.is_some() {
        check_pinnable(&link, program.name(), &hook)?;
    }
    // What it was bound to when it was loaded, only its section says.
    let hook =
        if matches!(target, Target::Trace(_) | Target::Iter(_)) { program.section().into() } else { hook };
    Ok(Attached { link, program: program.name().into(), hook, pin })
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
    loaded.maps().try_for_each(|map| entry.pin_map(map))?;
    for a in attached.iter().filter(|a| a.link.lifetime() != Lifetime::Hook) {
        let path = entry.pin(LINKS, &a.pin)?;
        a.link.pin(&path).map_err(CliError::sys(format!("pin the link of {}", a.hook)))?;
    }
    Ok(())
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

/// True if the hook may keep the program without a link: then it has to be known to `unload` before it is done.
pub(crate) fn may_be_without_link(target: &Target) -> bool {
    match target {
        Target::XdpNetlink(_) | Target::Lirc(_) | Target::Route(_) => true,
        Target::Tc(tc) => tc.via != Via::Link,
        Target::Netkit(netkit) => netkit.via == Via::Direct,
        Target::Sockmap(sockmap) => sockmap.via != Via::Link,
        Target::Cgroup(cgroup) => cgroup.via != Via::Link,
        Target::Netns(hook) => hook.via != Via::Link,
        _ => false,
    }
}

/// Puts the loaded map in the place of its name.
pub(crate) fn with_maps(target: &Target, loaded: &Loaded) -> Result<Target, CliError> {
    match target {
        Target::Sockmap(Sockmap { map: MapRef::Named(name), attach_type, via }) => {
            let Some(map) = loaded.map(name) else {
                return Err(CliError::Option(format!("--sockmap: map `{name}` is not loaded")));
            };
            let fd = map.as_fd().try_clone_to_owned().map_err(CliError::io("copy a descriptor"))?;
            let map = MapRef::Open(name.clone(), Arc::new(fd));
            Ok(Target::Sockmap(Sockmap { map, attach_type: *attach_type, via: *via }))
        }
        other => Ok(other.clone()),
    }
}
