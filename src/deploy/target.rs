//! What this stage has to know of each kind of target: its names, whether a link stands for it, whether another program
//! can take its place.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::error::{DeployError, Result};
use crate::links::{MapRef, Netkit, Sockmap, Target, Tc, Via, Xdp, XdpNetlink, cgroup};
use crate::maps::Map;
use crate::uapi::LinkType;

/// The hook in words, for people.
pub fn words(program: &str, target: &Target) -> String {
    match target {
        Target::Trace(_) | Target::Iter(_) => format!("what `{program}` is bound to"),
        other => other.to_string(),
    }
}

/// What to call the pin of a target of a program.
pub fn pin_name(program: &str, target: &Target) -> String {
    let name = match target {
        Target::Xdp(Xdp { interface, .. }) | Target::XdpNetlink(XdpNetlink { interface, .. }) => {
            format!("xdp_{interface}")
        }
        Target::Tc(tc) => format!("tc_{}_{}", tc.direction, tc.interface),
        Target::Netkit(netkit) => format!("netkit_{}_{}", netkit.end, netkit.interface),
        Target::Netfilter(spot) => format!("netfilter_{spot}"),
        Target::Netns(_) => format!("netns_{program}"),
        Target::Sockmap(sockmap) => format!("sockmap_{program}_{}", sockmap.map),
        Target::Cgroup(cgroup) => format!("cgroup_{program}_{}", cgroup.path.display()),
        Target::Route(route) => format!("route_{route}"),
        Target::Lirc(device) => format!("lirc_{}", device.display()),
        _ => program.into(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    if is_traced(target) { name } else { name.chars().map(plain).take(200).collect() }
}

/// True for the hooks that section names can say.
pub fn is_traced(target: &Target) -> bool {
    !matches!(
        target,
        Target::Xdp(_)
            | Target::XdpNetlink(_)
            | Target::Tc(_)
            | Target::Netkit(_)
            | Target::Netfilter(_)
            | Target::Netns(_)
            | Target::Sockmap(_)
            | Target::Cgroup(_)
            | Target::Route(_)
            | Target::Lirc(_)
    )
}

/// True if the hook may keep the program without a link: then it has to be written down before it is done.
pub(super) fn may_be_without_link(target: &Target) -> bool {
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

/// Whether another program can be put behind a link of this type.
pub fn can_update(link_type: LinkType) -> bool {
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

/// The interface that a target names.
pub(super) fn interface(target: &Target) -> Option<&str> {
    match target {
        Target::Xdp(Xdp { interface, .. })
        | Target::XdpNetlink(XdpNetlink { interface, .. })
        | Target::Tc(Tc { interface, .. })
        | Target::Netkit(Netkit { interface, .. }) => Some(interface),
        _ => None,
    }
}

/// The same target on another interface.
pub(super) fn on_interface(target: &Target, name: &str) -> Target {
    let mut target = target.clone();
    match &mut target {
        Target::Xdp(Xdp { interface, .. })
        | Target::XdpNetlink(XdpNetlink { interface, .. })
        | Target::Tc(Tc { interface, .. })
        | Target::Netkit(Netkit { interface, .. }) => *interface = name.into(),
        _ => {}
    }
    target
}

/// Puts a map in the place of its name, and the directory of a cgroup in the place of how it was named.
pub(super) fn ready<'m>(target: &Target, maps: impl IntoIterator<Item = &'m Map>) -> Result<Target> {
    match target {
        Target::Sockmap(Sockmap { map: MapRef::Named(name), attach_type, via }) => {
            let Some(map) = maps.into_iter().find(|m| m.name() == name) else {
                return Err(DeployError::wish("sockmap", format!("map `{name}` is not loaded")));
            };
            let fd = map.as_fd().try_clone_to_owned().map_err(DeployError::io("copy a descriptor"))?;
            let map = MapRef::Open(name.clone(), Arc::new(fd));
            Ok(Target::Sockmap(Sockmap { map, attach_type: *attach_type, via: *via }))
        }
        Target::Cgroup(group) => {
            let mut group = group.clone();
            group.path = cgroup::directory(&group.path);
            Ok(Target::Cgroup(group))
        }
        other => Ok(other.clone()),
    }
}
