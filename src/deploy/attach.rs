//! One program to one hook, and back.

use super::error::{DeployError, Result};
use super::made::Made;
use super::mend;
use super::remove::end;
use super::request::WantedHook;
use super::state::Actual;
use super::store::{LoadEntry, PinPart};
use super::target;
use crate::kernel::Kernel;
use crate::links::inventory::{Look, survey};
use crate::links::{AttachedMode, Lifetime, Link, Scope, Target, Xdp, XdpMode, XdpNetlink};
use crate::progs::Program;

/// Attaches a program; what its hook may keep without a link is written down in `entry` first.
pub(super) fn attach<'m>(
    entry: Option<&LoadEntry>,
    kernel: &Kernel,
    maps: impl IntoIterator<Item = &'m crate::Map>,
    program: &Program,
    wanted: &WantedHook,
    is_taken: impl Fn(&str) -> bool,
) -> Result<Made> {
    let record = entry.filter(|_| target::may_be_without_link(&wanted.target));
    let there = |pin: &str| is_taken(pin) || record.is_some_and(|e| e.path(PinPart::Linkless, pin).exists());
    let pin = mend::unique(&wanted.pin().replace('.', "_"), there);
    if let Some(entry) = record {
        entry.note_linkless(&pin, program)?;
    }
    let target = target::ready(&wanted.target, maps)?;
    let link = crate::links::attach_on(kernel, program, &target)?;
    if let Some(entry) = record.filter(|_| link.lifetime() != Lifetime::Hook) {
        entry.forget_linkless(&pin)?;
    }
    // What it was bound to when it was loaded, only its section says.
    let place = match target {
        Target::Trace(_) | Target::Iter(_) => program.section().to_string(),
        _ => wanted.place(),
    };
    if entry.is_some() && !link.can_outlive_process() {
        return Err(DeployError::NotInPlace {
            what: format!("`{}` cannot stay attached to {place} when this process ends", program.name()),
            why: "this kernel has no links for perf events (they came with Linux 5.15)".into(),
        });
    }
    Ok(Made {
        link: Some(link),
        program: program.name().into(),
        place,
        pin,
        key: wanted.key.clone(),
        kept: false,
    })
}

pub(super) fn keep_before(new: &LoadEntry, pin: &str, before: &Program) -> Result<()> {
    let path = new.pin(PinPart::Before, pin)?;
    before.pin(&path).map_err(DeployError::sys(format!("keep the program that is attached ({pin})")))
}

/// What was taken away, and how to put it back.
#[derive(Debug)]
pub(super) struct Taken {
    program: Program,
    target: Target,
}

/// Detaches an XDP program that cannot stay as it is.
pub(super) fn take_away(entry: &LoadEntry, actual: &Actual, wanted: &WantedHook) -> Result<Taken> {
    let doing = || format!("detach {}", actual.place);
    let program =
        Program::open_id(actual.prog_id).map_err(DeployError::sys("open the program that is attached"))?;
    let interface = target::interface(&wanted.target).unwrap_or_default().to_string();
    let mode = match actual.mode {
        Some(AttachedMode::Native) => XdpMode::Native,
        Some(AttachedMode::Generic) => XdpMode::Generic,
        Some(AttachedMode::Offloaded) => XdpMode::Offloaded,
        None => XdpMode::Auto,
    };
    let target = match actual.link {
        Some(_) => Target::Xdp(Xdp { interface, mode }),
        None => Target::XdpNetlink(XdpNetlink::new(interface, mode)),
    };
    match (actual.link, &actual.key) {
        (Some(_), _) => {
            let path = entry.path(PinPart::Links, &actual.pin);
            let link = Link::open_pin(&path).map_err(DeployError::open("link", &path))?;
            end(link).map_err(DeployError::sys(doing()))?;
        }
        (None, Some(key)) => {
            let all = survey(&Look { scope: Scope::Here, cgroups: false, maps: false, holders: false });
            for found in mend::at(&all, actual.prog_id, key, &[]) {
                all.open(&found).and_then(Link::detach).map_err(DeployError::sys(doing()))?;
            }
        }
        (None, None) => {}
    }
    Ok(Taken { program, target })
}

impl Taken {
    /// Puts it back: as well as it can be.
    pub(super) fn put_back(self, entry: &LoadEntry, pin: &str) {
        let Ok(link) = crate::links::attach(&self.program, &self.target) else { return };
        if link.lifetime() == Lifetime::Hook {
            link.leak();
        } else {
            let path = entry.path(PinPart::Links, pin);
            let _ = std::fs::remove_file(&path);
            let _ = link.pin(&path);
        }
    }
}

/// What to do if a step fails.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) swapped: Vec<(Link, Program)>,
    pub(super) again: Vec<Taken>,
}

impl Undo {
    /// Gives hooks their old programs back.
    pub(super) fn run(&mut self) {
        for (link, before) in &self.swapped {
            let _ = link.update(before, None);
        }
        for taken in self.again.drain(..) {
            if let Ok(link) = crate::links::attach(&taken.program, &taken.target) {
                link.leak();
            }
        }
        self.keep();
    }

    /// Lets go of what was changed, without ending what its hook keeps.
    pub(super) fn keep(&mut self) {
        for (link, _) in self.swapped.drain(..) {
            if link.lifetime() == Lifetime::Hook {
                link.leak();
            }
        }
        self.again.clear();
    }
}
