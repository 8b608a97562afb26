//! One network namespace: XDP, tcx, netkit and classic filters of its interfaces, its routes, and its own hooks.

use super::namespaces::Namespace;
use super::{Attachment, By, Problem, Survey, is_unknown};
use crate::links::filter::{self, EGRESS, INGRESS, Qdisc};
use crate::links::info::Hook;
use crate::links::interface::{Interface, interfaces};
use crate::links::{lwt, mprog};
use crate::sys::attr::TargetFd;
use crate::sys::netlink::{Netlink, NetlinkError};
use crate::sys::{self, HookPrograms, SysError};
use crate::uapi::AttachType;

/// Visits a namespace.
pub(super) fn look(survey: &mut Survey, namespace: &Namespace) {
    let name = format!("the network namespace {}", namespace.label());
    let open = match namespace.open() {
        Ok(open) => open,
        // Its last process, or the file that stood for it, has gone meanwhile: and so has it, or another name shows it.
        Err(_) if !namespace.path.exists() => return,
        Err(e) => return survey.problem(name, chain(&e)),
    };
    let visit = || Visit { name: name.clone(), ..Visit::default() }.everything();
    // The caller's own needs no going there, and no privilege for that.
    let visited = if namespace.is_here { Ok(visit()) } else { open.enter(visit) };
    match visited {
        Err(e) => survey.problem(name, chain(&e)),
        Ok(visit) => {
            survey.problems.extend(visit.problems);
            for (seen, link_id) in visit.seen {
                survey.see(Attachment { netns: Some(namespace.inode), ..seen }, link_id);
            }
            for attach_type in [AttachType::FlowDissector, AttachType::SkLookup] {
                of_namespace(survey, namespace, TargetFd::of(&open), attach_type);
            }
        }
    }
}

fn chain(e: &dyn std::error::Error) -> String {
    e.source().map_or_else(|| e.to_string(), |source| format!("{e}: {source}"))
}

/// The programs of the namespace itself.
fn of_namespace(survey: &mut Survey, namespace: &Namespace, fd: TargetFd<'_>, attach_type: AttachType) {
    let inode = namespace.inode as u32;
    match sys::prog_query(fd, attach_type, 0) {
        Err(e) if is_unknown(e) => {}
        Err(e) => survey.problem(format!("{attach_type} of {}", namespace.label()), e),
        Ok(found) => {
            for (n, program) in found.programs.iter().enumerate() {
                let place = format!("network namespace {}", namespace.label());
                let hook = Hook::Netns { inode, attach_type };
                let seen = Attachment {
                    netns: Some(namespace.inode),
                    position: (attach_type == AttachType::SkLookup).then_some(n as u32),
                    ..Attachment::new(hook, By::ProgAttach, program.prog_id, place)
                };
                survey.see(seen, program.link_id);
            }
        }
    }
}

/// What a thread brings back from a namespace.
#[derive(Debug, Default)]
struct Visit {
    name: String,
    /// Attachments, and the links that they are known to have.
    seen: Vec<(Attachment, u32)>,
    problems: Vec<Problem>,
    /// This kernel does not know the hook: it is not asked again.
    no_tcx: bool,
}

impl Visit {
    fn everything(mut self) -> Visit {
        let all = match interfaces() {
            Ok(all) => all,
            Err(e) => {
                self.problem("the interfaces", &e.source);
                return self;
            }
        };
        for interface in &all {
            self.xdp(interface);
            for attach_type in [AttachType::TcxIngress, AttachType::TcxEgress] {
                self.list(interface, attach_type);
            }
            if interface.kind == "netkit" {
                self.netkit(interface);
            }
        }
        if let Err(e) = self.filters(&all) {
            self.problem("the tc filters", &e.source);
        }
        self.routes();
        self
    }

    fn problem(&mut self, what: &str, e: &SysError) {
        self.problems.push(Problem { what: format!("{what} of {}", self.name), why: e.to_string() });
    }

    fn xdp(&mut self, interface: &Interface) {
        for (mode, prog_id) in &interface.xdp {
            let hook = Hook::Xdp { ifindex: interface.index };
            let seen = Attachment::new(hook, By::Netlink, *prog_id, interface.name.clone());
            self.seen.push((Attachment { detail: mode.name().into(), ..seen }, 0));
        }
    }

    /// The list of programs of one hook of an interface.
    fn list(&mut self, interface: &Interface, attach_type: AttachType) {
        if self.no_tcx {
            return;
        }
        let ifindex = interface.index;
        let found = match mprog::query(ifindex, attach_type) {
            Ok(found) => found,
            Err(e) if is_unknown(e) => {
                self.no_tcx = true;
                return;
            }
            Err(e) => return self.problem(&format!("{attach_type} of {}", interface.name), &e),
        };
        let direction = if attach_type == AttachType::TcxIngress { "ingress" } else { "egress" };
        let place = format!("{} {direction}", interface.name);
        self.listed(&Hook::Tcx { ifindex, attach_type }, &place, &found);
    }

    /// The programs of a list, in their order.
    fn listed(&mut self, hook: &Hook, place: &str, found: &HookPrograms) {
        for (n, program) in found.programs.iter().enumerate() {
            let seen = Attachment {
                position: Some(n as u32),
                detail: format!("revision {}", found.revision),
                ..Attachment::new(hook.clone(), By::ProgAttach, program.prog_id, place.into())
            };
            self.seen.push((seen, program.link_id));
        }
    }

    fn netkit(&mut self, interface: &Interface) {
        for (attach_type, end) in [(AttachType::NetkitPrimary, "primary"), (AttachType::NetkitPeer, "peer")] {
            // The peer end says EACCES: its programs are listed with the primary one's.
            let Ok(found) = mprog::query(interface.index, attach_type) else { continue };
            let hook = Hook::Netkit { ifindex: interface.index, attach_type };
            self.listed(&hook, &format!("{} {end}", interface.name), &found);
        }
    }

    fn filters(&mut self, all: &[Interface]) -> Result<(), NetlinkError> {
        let mut netlink = Netlink::route()?;
        for qdisc in filter::qdiscs(&mut netlink)? {
            let Some(interface) = all.iter().find(|i| i.index == qdisc.ifindex) else { continue };
            for parent in parents(&mut netlink, &qdisc)? {
                // A qdisc that takes no filters says so; it has none.
                for filter in filter::filters(&mut netlink, qdisc.ifindex, parent).unwrap_or_default() {
                    self.filter(interface, filter);
                }
            }
        }
        Ok(())
    }

    fn filter(&mut self, interface: &Interface, filter: filter::Filter) {
        if filter.prog_id == 0 {
            // Classic BPF, from before there were programs.
            return;
        }
        let side = match filter.parent {
            INGRESS => "ingress".into(),
            EGRESS => "egress".into(),
            other => format!("{:x}:{:x}", other >> 16, other & 0xffff),
        };
        let action = if filter.direct_action { "" } else { ", classifies only" };
        let hook = Hook::Filter {
            ifindex: filter.ifindex,
            parent: filter.parent,
            priority: filter.priority,
            handle: filter.handle,
            direct_action: filter.direct_action,
        };
        let detail = format!("priority {} handle {:#x}{action}", filter.priority, filter.handle);
        let place = format!("{} {side}", interface.name);
        let seen = Attachment::new(hook, By::Filter(filter.name), filter.prog_id, place);
        self.seen.push((Attachment { detail, ..seen }, 0));
    }

    fn routes(&mut self) {
        let found = Netlink::route().map_err(NetlinkError::from).and_then(|mut n| lwt::programs(&mut n));
        match found {
            Err(e) => self.problem("the routes", &e.source),
            Ok(list) => {
                for route in list {
                    let hook = Hook::Route { destination: route.place.clone() };
                    let seen = Attachment::new(hook, By::Route, route.prog_id, route.place);
                    self.seen.push((Attachment { program: Some(route.program), ..seen }, 0));
                }
            }
        }
    }
}

/// What filters may hang on: the two sides of a clsact, or the qdisc and its classes.
fn parents(netlink: &mut Netlink, qdisc: &Qdisc) -> Result<Vec<u32>, NetlinkError> {
    Ok(match qdisc.kind.as_str() {
        "clsact" => vec![INGRESS, EGRESS],
        "ingress" => vec![INGRESS],
        // One without a handle is the kernel's own, and takes none.
        _ if qdisc.handle == 0 => Vec::new(),
        _ => {
            let mut out = vec![qdisc.handle];
            let own = |class: &u32| class >> 16 == qdisc.handle >> 16;
            out.extend(filter::classes(netlink, qdisc.ifindex)?.into_iter().filter(own));
            out
        }
    })
}
