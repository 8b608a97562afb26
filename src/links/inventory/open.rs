//! From a line of the list back to something that can be ended and changed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Attachment, By, Inventory, Problem};
use crate::links::cgroup::Share;
use crate::links::clsact::OurFilter;
use crate::links::direct::{Direct, Spot};
use crate::links::filter;
use crate::links::info::Hook;
use crate::links::interface::{AttachedMode, interfaces};
use crate::links::lwt;
use crate::links::netns::{Home, OpenNetNs};
use crate::links::order::REPLACE;
use crate::links::xdp_mode::XdpMode;
use crate::links::xdp_netlink::OurXdp;
use crate::links::{Link, NetNsError};
use crate::sys::netlink::Netlink;
use crate::sys::{self, Errno, ObjectKind, SysError};

impl Inventory {
    /// Opens an attachment of this list, whoever made it. Dropping the [`Link`] of one without a link object ends it,
    /// as if this process had made it; [`Link::leak`] leaves it.
    ///
    /// # Errors
    /// `ENOENT` if it is not there any more. `EOPNOTSUPP` for perf events of other processes, which end with those, and for
    /// registered maps, whose only element is to be deleted.
    pub fn open(&self, attachment: &Attachment) -> Result<Link, SysError> {
        if let By::Link { id, .. } = attachment.by {
            return Link::open_id(id);
        }
        let program = || sys::fd_by_id(ObjectKind::Prog, attachment.prog_id);
        match &attachment.hook {
            Hook::Xdp { ifindex } => self.xdp(attachment, *ifindex, program()?),
            Hook::Filter { ifindex, parent, .. } => self.filter(attachment, *ifindex, *parent),
            Hook::Route { destination } => self.route(attachment, destination),
            Hook::Tcx { ifindex, attach_type } | Hook::Netkit { ifindex, attach_type } => {
                let spot = Spot::Interface(*ifindex, Home::of(self.netns(attachment)?));
                Ok(Link::undone_by(Direct::adopt(program()?, spot, *attach_type, REPLACE)))
            }
            Hook::Netns { attach_type, .. } => {
                let spot = Spot::Netns(Home::of(self.netns(attachment)?));
                Ok(Link::undone_by(Direct::adopt(program()?, spot, *attach_type, 0)))
            }
            Hook::Sockmap { map_id, attach_type } => {
                let spot = Spot::Fd(sys::fd_by_id(ObjectKind::Map, *map_id)?);
                Ok(Link::undone_by(Direct::adopt(program()?, spot, *attach_type, 0)))
            }
            Hook::Cgroup { attach_type, .. } => {
                let path = attachment.cgroup.as_deref().unwrap_or(Path::new(""));
                let group: OwnedFd = File::open(path).map_err(|e| SysError::other("open", e))?.into();
                let replace = match attachment.share {
                    Some(Share::Multi) => Share::Multi.flags() | REPLACE,
                    share => share.unwrap_or_default().flags(),
                };
                Ok(Link::undone_by(Direct::adopt(program()?, Spot::Fd(group), *attach_type, replace)))
            }
            _ => Err(SysError::other("ending this kind of attachment", Errno::EOPNOTSUPP)),
        }
    }

    /// Ends every attachment of this list that is without a link and whose program is one of these: how many, and what
    /// could not be ended. Before Linux 5.18 a map of sockets does not tell who is attached to it; such maps are told
    /// to let go of these programs anyway.
    pub fn end_without_link(&self, programs: &[u32]) -> (usize, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut ended = 0;
        let theirs = |a: &&Attachment| a.by.link_id().is_none() && programs.contains(&a.prog_id);
        for attachment in self.attachments.iter().filter(theirs) {
            match self.open(attachment).and_then(Link::detach) {
                Ok(()) => ended += 1,
                Err(e) if e.errno == Errno::ENOENT => {}
                Err(e) => {
                    let what = format!("{} of {}", attachment.kind(), attachment.place);
                    problems.push(Problem { what, why: e.to_string() });
                }
            }
        }
        (ended + super::maps::release(programs), problems)
    }

    /// The namespace that an attachment belongs to.
    fn netns(&self, attachment: &Attachment) -> Result<OpenNetNs, SysError> {
        let gone = SysError::other("the network namespace of the attachment", Errno::ENOENT);
        let namespace = self.namespaces.iter().find(|n| Some(n.inode) == attachment.netns).ok_or(gone)?;
        match namespace.open() {
            Ok(open) => Ok(open),
            Err(NetNsError::Open { source, .. }) => Err(source),
            Err(_) => Err(gone),
        }
    }

    /// A netlink socket in that namespace.
    fn netlink(&self, attachment: &Attachment) -> Result<Netlink, SysError> {
        let home = Home::of(self.netns(attachment)?);
        home.act(Netlink::route)
    }

    fn xdp(&self, attachment: &Attachment, ifindex: u32, program: OwnedFd) -> Result<Link, SysError> {
        let home = Home::of(self.netns(attachment)?);
        let all = home.act(|| interfaces().map_err(|e| e.source))?;
        let on = all.iter().find(|i| i.index == ifindex);
        let mode =
            on.and_then(|i| i.xdp.iter().find(|(_, id)| *id == attachment.prog_id)).map(|(mode, _)| *mode);
        let mode = match mode {
            Some(AttachedMode::Native) => XdpMode::Native,
            Some(AttachedMode::Generic) => XdpMode::Generic,
            Some(AttachedMode::Offloaded) => XdpMode::Offloaded,
            None => return Err(SysError::other("the program on the interface", Errno::ENOENT)),
        };
        Ok(Link::undone_by(OurXdp::new(self.netlink(attachment)?, ifindex, mode, program)))
    }

    fn route(&self, attachment: &Attachment, place: &str) -> Result<Link, SysError> {
        let mut netlink = self.netlink(attachment)?;
        let there = lwt::programs(&mut netlink).map_err(|e| e.source)?;
        let is_it = |r: &lwt::Seen| r.place == place && r.prog_id == attachment.prog_id;
        let route = there.into_iter().find(is_it);
        let route = route.ok_or(SysError::other("the route of the program", Errno::ENOENT))?;
        Ok(Link::undone_by(lwt::OurRoute::adopt(netlink, route)))
    }

    fn filter(&self, attachment: &Attachment, ifindex: u32, parent: u32) -> Result<Link, SysError> {
        let mut netlink = self.netlink(attachment)?;
        let there = filter::filters(&mut netlink, ifindex, parent).map_err(|e| e.source)?;
        let is_it = |f: &filter::Filter| match attachment.hook {
            Hook::Filter { priority, handle, .. } => {
                (f.priority, f.handle, f.prog_id) == (priority, handle, attachment.prog_id)
            }
            _ => false,
        };
        let filter = there.into_iter().find(is_it);
        let filter = filter.ok_or(SysError::other("the filter on the interface", Errno::ENOENT))?;
        Ok(Link::undone_by(OurFilter::new(netlink, filter)))
    }
}
