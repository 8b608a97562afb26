//! What targets are called: for people, and as pins.

use rawbpf::Target;

/// What to call a target of a program: for people, and as a pin.
pub(crate) fn names(program: &str, target: &Target) -> (String, String) {
    match target {
        Target::Xdp(xdp) => (format!("XDP on {}", xdp.interface), format!("xdp_{}", xdp.interface)),
        other => (other.to_string(), pin_name(program, other).unwrap_or_else(|| program.into())),
    }
}

/// What to call the pin of such a target for a program; `None` for targets of other kinds.
pub(crate) fn pin_name(program: &str, target: &Target) -> Option<String> {
    let name = match target {
        Target::XdpNetlink(xdp) => format!("xdp_{}", xdp.interface),
        Target::Tc(tc) => format!("tc_{}_{}", tc.direction, tc.interface),
        Target::Netkit(netkit) => format!("netkit_{}_{}", netkit.end, netkit.interface),
        Target::Netfilter(spot) => format!("netfilter_{spot}"),
        Target::Netns(_) => format!("netns_{program}"),
        Target::Sockmap(sockmap) => format!("sockmap_{program}_{}", sockmap.map),
        Target::Cgroup(cgroup) => format!("cgroup_{program}_{}", cgroup.path.display()),
        Target::Route(route) => format!("route_{route}"),
        Target::Lirc(device) => format!("lirc_{}", device.display()),
        _ => return None,
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    Some(name.chars().map(plain).take(200).collect())
}

/// True for the hooks that section names can say.
pub(crate) fn is_tracing(target: &Target) -> bool {
    !matches!(target, Target::Xdp(_)) && pin_name("", target).is_none()
}
