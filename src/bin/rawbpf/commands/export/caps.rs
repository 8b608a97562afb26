//! Giving up what is not needed any more.
//!
//! A server that reads maps has no business with the rights that loading took. What reading takes depends on the
//! kernel, so it is tried: with nothing first, then with one capability more.
//!
//! ```text
//!   Linux 5.19 and later            nothing: whoever has the descriptor may read
//!   before, or where                CAP_BPF (before 5.8 CAP_SYS_ADMIN), unless kernel.unprivileged_bpf_disabled
//!   nothing is delegated            is 0
//!   something is attached that      CAP_NET_ADMIN too, to detach it at the end: a tc filter without a link, say.
//!   stays when its process ends     All that is held by a descriptor goes away with it, and takes no right
//! ```
//!
//! Capabilities belong to threads, and new threads get those of the one that starts them: this is done before the
//! server has any.

use caps::{CapSet, Capability, CapsHashSet};

use crate::ui::error::CliError;

/// What is tried, one after the other.
const LADDER: &[&[Capability]] = &[&[], &[Capability::CAP_BPF], &[Capability::CAP_SYS_ADMIN]];

/// Gives up all capabilities of this thread but those without which `unreadable` counts more things, and those to
/// detach with. The names of those that are left.
pub(super) fn give_up(has_to_detach: bool, unreadable: impl Fn() -> usize) -> Result<Vec<String>, CliError> {
    let had = caps::read(None, CapSet::Permitted).map_err(fail("read"))?;
    let detach: &[Capability] = if has_to_detach { &[Capability::CAP_NET_ADMIN] } else { &[] };
    let before = unreadable();
    let mut keep = CapsHashSet::new();
    for step in LADDER {
        keep = step.iter().chain(detach).copied().filter(|cap| had.contains(cap)).collect();
        caps::set(None, CapSet::Effective, &keep).map_err(fail("set"))?;
        if unreadable() <= before {
            break;
        }
    }
    // The bounding set takes a capability of its own to be made smaller. Without it nothing is lost: there is
    // nothing left that could get something out of it, as no_new_privs is set.
    caps::set(None, CapSet::Effective, &had).map_err(fail("set"))?;
    let _ = caps::clear(None, CapSet::Bounding);
    let _ = caps::clear(None, CapSet::Ambient);
    caps::set(None, CapSet::Effective, &keep).map_err(fail("set"))?;
    caps::clear(None, CapSet::Inheritable).map_err(fail("give up"))?;
    caps::set(None, CapSet::Permitted, &keep).map_err(fail("give up"))?;
    nix::sys::prctl::set_no_new_privs()
        .map_err(|e| CliError::Io { doing: "set no_new_privs".into(), source: e.into() })?;
    let mut names: Vec<String> = keep.iter().map(Capability::to_string).collect();
    names.sort();
    Ok(names)
}

fn fail(doing: &'static str) -> impl Fn(caps::errors::CapsError) -> CliError {
    move |e| CliError::Option(format!("cannot {doing} capabilities: {e}"))
}
