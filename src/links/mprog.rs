//! A list of programs at one hook of an interface: what tcx and netkit have in common (`mprog` in the kernel).
//!
//! Up to 64 programs stand in a list and run in its order; each says `TCX_NEXT` to go on to the next, or gives the
//! verdict for all. A program stands there by a link or without one, and never twice.

use std::os::fd::{AsFd, OwnedFd};

use super::direct::{Direct, How, Spot};
use super::netns::Home;
use super::order::{Order, REPLACE, RawOrder, Via};
use super::refusal::{Attempt, Needs, describe_program};
use super::remedy::Remedy;
use super::{AttachError, Link};
use crate::sys::attr::{Fd, LinkCreate, LinkExtra, TargetFd};
use crate::sys::{self, Errno, HookPrograms, ObjectKind, SysError};
use crate::uapi::AttachType;

/// A hook with a list, and the wish for a place in it.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub(super) ifindex: u32,
    pub(super) attach_type: AttachType,
    pub(super) order: &'a Order,
    pub(super) via: Via,
    /// Id of a program, there without a link, to take the place of.
    pub(super) replace: Option<u32>,
    pub(super) needs: &'a Needs,
}

/// What stands in the list of an interface of the current network namespace.
pub(super) fn query(ifindex: u32, attach_type: AttachType) -> Result<HookPrograms, SysError> {
    sys::prog_query(TargetFd::ifindex(ifindex), attach_type, 0)
}

/// True if this kernel has lists of tc programs (tcx): asked of the loopback device, which every namespace has.
pub fn tcx_is_known() -> bool {
    query(1, AttachType::TcxIngress).is_ok()
}

impl List<'_> {
    /// Attaches. [`AttachError::Unsupported`] if this kernel has no such lists.
    pub(super) fn attach(&self, attempt: &Attempt<'_>) -> Result<Link, AttachError> {
        let standing = match query(self.ifindex, self.attach_type) {
            Ok(found) => found,
            Err(e) if e.errno == Errno::EINVAL => {
                let why =
                    self.needs.unmet().unwrap_or_else(|| format!("this kernel has no {}", self.needs.what));
                return Err(attempt.unsupported(why));
            }
            Err(e) => return Err(attempt.explain(e, self.needs)),
        };
        let pairs: Vec<(u32, u32)> = standing.programs.iter().map(|p| (p.prog_id, p.link_id)).collect();
        let order = self.order.raw(&pairs).map_err(|why| attempt.wrong(why))?;
        let made = match (self.replace, self.via) {
            (Some(old), _) => self.replace(attempt, old, &pairs, order)?,
            (None, Via::Direct) => self.direct(attempt, order),
            (None, _) => self.link(attempt, order),
        };
        made.map_err(|e| self.explain(attempt, e, &standing))
    }

    fn link(&self, attempt: &Attempt<'_>, order: RawOrder) -> Result<Link, SysError> {
        let fd = sys::link_create(&LinkCreate {
            prog_fd: Fd::of(attempt.program),
            target_fd: TargetFd::ifindex(self.ifindex),
            attach_type: self.attach_type,
            flags: order.flags,
            extra: LinkExtra::ordered(order.relative, order.revision),
        })?;
        Ok(Link::new(fd))
    }

    fn direct(&self, attempt: &Attempt<'_>, order: RawOrder) -> Result<Link, SysError> {
        let how = How {
            flags: order.flags,
            relative: order.relative,
            revision: order.revision,
            replace_flags: REPLACE,
        };
        let spot = Spot::Interface(self.ifindex, Home::here()?);
        Direct::attach(attempt.program, spot, self.attach_type, how, None)
    }

    fn replace(
        &self,
        attempt: &Attempt<'_>,
        old: u32,
        standing: &[(u32, u32)],
        order: RawOrder,
    ) -> Result<Result<Link, SysError>, AttachError> {
        match standing.iter().find(|(program, _)| *program == old) {
            None => {
                let there: Vec<String> = standing.iter().map(|(p, _)| describe_program(*p)).collect();
                let there = if there.is_empty() { "nothing".into() } else { there.join(", ") };
                Err(attempt.wrong(format!(
                    "program {old} cannot be replaced: it does not stand there; there is: {there}"
                )))
            }
            Some((_, link)) if *link != 0 => {
                let wrong = attempt
                    .wrong(format!("program {old} is attached by link {link}, which has to be updated"));
                Err(wrong.with(Some(Remedy::UpdateLink(*link))))
            }
            Some(_) => Ok(self.replace_at(attempt, old, order)),
        }
    }

    fn replace_at(&self, attempt: &Attempt<'_>, old: u32, order: RawOrder) -> Result<Link, SysError> {
        let old: OwnedFd = sys::fd_by_id(ObjectKind::Prog, old)?;
        let how = How { flags: REPLACE, relative: 0, revision: order.revision, replace_flags: REPLACE };
        let spot = Spot::Interface(self.ifindex, Home::here()?);
        Direct::attach(attempt.program, spot, self.attach_type, how, Some(old.as_fd()))
    }

    fn explain(&self, attempt: &Attempt<'_>, e: SysError, standing: &HookPrograms) -> AttachError {
        match e.errno {
            Errno::EEXIST => attempt.taken("this very program".into(), "; it cannot stand in the list twice"),
            Errno::ESTALE => attempt.refused(
                e,
                format!(
                    "the list has changed: its revision is {}, not {}",
                    standing.revision,
                    self.order.expected_revision.unwrap_or(0)
                ),
            ),
            Errno::ERANGE => attempt
                .refused(e, format!("{} programs stand there, and no more fit", standing.programs.len())),
            _ => attempt.explain(e, self.needs),
        }
    }
}
