//! Attachments without link objects, from one load to the next: how `load --replace` changes what a hook keeps by
//! itself. What such an attachment is, and how `unload` finds it, stands in `store`.

use rawbpf::links::{Lifetime, Scope, inventory};
use rawbpf::{Link, Loaded, Program, Target};

use crate::keep::store::{DIRECT, Entry};
use crate::targets::name::names;
use crate::ui::error::CliError;

/// A program that a hook keeps, and the one that takes its place.
pub(crate) struct Swap {
    /// Its record in the store.
    pub(crate) pin: String,
    /// The hook, for people.
    pub(crate) hook: String,
    /// Name of the new program.
    pub(crate) program: String,
    before: Program,
}

/// Decides which programs of `old` that hooks keep get a new one.
pub(crate) fn plan(
    old: &Entry,
    loaded: &Loaded,
    targets: &[(String, Target)],
) -> Result<Vec<Swap>, CliError> {
    let mut out: Vec<Swap> = Vec::new();
    let mut ended: Vec<(String, String)> = Vec::new();
    for (pin, path) in old.pins(DIRECT) {
        let doing = format!("open the program {}", path.display());
        let before = Program::open_pin(&path).map_err(CliError::sys(doing))?;
        let wanted = targets.iter().map(|(n, t)| (n, names(n, t))).find(|(_, (_, p))| *p == pin);
        let (program, hook) = match wanted {
            Some((program, (hook, _))) => (program.clone(), hook),
            None if targets.is_empty() => (before.name().to_string(), pin.clone()),
            None => {
                ended.push((before.name().into(), pin));
                continue;
            }
        };
        if loaded.program(&program).is_none() {
            return Err(CliError::Option(format!(
                "--replace: `{}` is attached ({pin}), and the new object has no program of this name",
                before.name()
            )));
        }
        out.push(Swap { pin, hook, program, before });
    }
    // A hook that keeps a program by itself is found by the program's id: it is changed everywhere or nowhere.
    if let Some((name, pin)) = ended.iter().find(|(name, _)| out.iter().any(|s| s.before.name() == name)) {
        return Err(CliError::Option(format!(
            "--replace: `{name}` is attached in several places without link objects; name all of them, {pin} too, or none"
        )));
    }
    Ok(out)
}

/// Does it. What was changed is put on the list of `swapped`, with the program to go back to.
pub(crate) fn run(
    plan: &[Swap],
    new: &Entry,
    loaded: &Loaded,
    swapped: &mut Vec<(Link, Program)>,
) -> Result<(), CliError> {
    if plan.is_empty() {
        return Ok(());
    }
    let all = inventory(&Scope::Everywhere);
    for swap in plan {
        let Some(after) = loaded.program(&swap.program) else { continue };
        new.record(&swap.pin, after)?;
        let id = |p: &Program| p.info().map(|i| i.id).map_err(CliError::sys("ask about a program"));
        let before = id(&swap.before)?;
        for attachment in all.attachments.iter().filter(|a| a.prog_id == before && a.by.link_id().is_none()) {
            let doing = format!("replace the program of {} {}", attachment.kind(), attachment.place);
            let link = all.open(attachment).map_err(CliError::sys(doing.clone()))?;
            let changed = link.update(after, Some(&swap.before));
            let again =
                Program::open_id(before).map_err(CliError::sys("open the program that was attached"))?;
            swapped.push((link, again));
            changed.map_err(CliError::sys(doing))?;
        }
    }
    Ok(())
}

/// Lets go of what was changed, without ending what its hook keeps.
pub(crate) fn let_go(swapped: Vec<(Link, Program)>) {
    for (link, _) in swapped {
        if link.lifetime() == Lifetime::Hook {
            link.leak();
        }
    }
}
