//! The hooks of the network on the command line: `--tc`, `--netkit`, `--netfilter`, `--cgroup`, `--sockmap`, `--netns`,
//! `--route`, `--lirc`.
//!
//! A flag names a place, and the object's programs say by their sections which of them go there: `--tc eth0` attaches
//! the program in `SEC("tc/ingress")` to what eth0 receives, and that in `SEC("tc/egress")` to what it sends.

use rawbpf::elf::ProgDef;
use rawbpf::links::{
    Cgroup, Direction, MapRef, Netfilter, Netkit, NetkitEnd, NetnsHook, Order, Share, Sockmap, Tc, TcHook,
    Via, XdpNetlink, cgroup,
};
use rawbpf::uapi::{AttachType, ProgType};
use rawbpf::{Object, Target};

use crate::options::LoadOptions;
use crate::options::net::{NetArgs, ShareArg, TcHookArg};
use crate::ui::error::CliError;

/// What is to be attached where: program and target.
pub(crate) fn targets(object: &Object, how: &LoadOptions) -> Result<Vec<(String, Target)>, CliError> {
    let wish = Wish { object, how, net: &how.net };
    let mut out = wish.tc()?;
    out.extend(wish.netkit()?);
    out.extend(wish.netfilter()?);
    out.extend(wish.cgroup()?);
    out.extend(wish.sockmap()?);
    out.extend(wish.route()?);
    out.extend(wish.lirc()?);
    out.extend(wish.netns());
    let net = wish.net;
    let has_list = !(net.tc.is_empty() && net.netkit.is_empty() && net.cgroup.is_empty());
    if !has_list && net.order() != Order::default() {
        return Err(CliError::Option(
            "--first, --last, --before, --after and --revision go with --tc, --netkit or --cgroup".into(),
        ));
    }
    if net.instead_of.is_some() && (out.len() + how.xdp.len() != 1 || has_list && !net.cgroup.is_empty()) {
        return Err(CliError::Option(
            "--instead-of takes the place of one program: give one --xdp, --tc or --netkit, with its direction".into(),
        ));
    }
    Ok(out)
}

/// XDP targets without links, if that is wanted.
pub(crate) fn without_link(target: Target, how: &LoadOptions) -> Result<Target, CliError> {
    match target {
        Target::Xdp(xdp) if how.net.via() == Via::Direct => {
            let replace = how.net.instead_of()?;
            Ok(Target::XdpNetlink(XdpNetlink { replace, ..XdpNetlink::new(xdp.interface, xdp.mode) }))
        }
        other => Ok(other),
    }
}

/// An object, and what is wanted of it.
struct Wish<'a> {
    object: &'a Object,
    how: &'a LoadOptions,
    net: &'a NetArgs,
}

impl Wish<'_> {
    /// The programs that may be meant and that fit.
    fn programs(&self, fits: impl Fn(ProgType, AttachType) -> bool) -> Vec<&ProgDef> {
        let wanted = |name: &str| self.how.programs.is_empty() || self.how.programs.iter().any(|p| p == name);
        let all = self.object.programs.iter();
        all.filter(|p| wanted(p.name()) && p.prog_type.is_some_and(|t| fits(t, p.attach_type))).collect()
    }

    /// Their names, or an error that lists those that the object has.
    fn some<'p>(
        &self,
        flag: &str,
        what: &str,
        programs: Vec<&'p ProgDef>,
    ) -> Result<Vec<&'p ProgDef>, CliError> {
        if !programs.is_empty() {
            return Ok(programs);
        }
        let all: Vec<String> =
            self.object.programs.iter().map(|p| format!("{} ({})", p.name(), p.section)).collect();
        Err(CliError::Option(format!("{flag}: the object has no {what} program; it has: {}", all.join(", "))))
    }

    /// One program, or an error that lists the many.
    fn one<'p>(&self, flag: &str, what: &str, programs: Vec<&'p ProgDef>) -> Result<&'p ProgDef, CliError> {
        match self.some(flag, what, programs)?.as_slice() {
            [one] => Ok(one),
            many => {
                let names: Vec<&str> = many.iter().map(|p| p.name()).collect();
                Err(CliError::Option(format!(
                    "{flag}: the object has several {what} programs ({}); choose one with --program",
                    names.join(", ")
                )))
            }
        }
    }

    fn tc(&self) -> Result<Vec<(String, Target)>, CliError> {
        let mut out = Vec::new();
        for spot in &self.net.tc {
            let (interface, side) =
                side(spot, "--tc", &[("ingress", Direction::Ingress), ("egress", Direction::Egress)])?;
            let of = |direction: Direction| {
                self.programs(|t, a| {
                    let plain = a.0 == 0 && (side.is_some() || direction == Direction::Ingress);
                    t == ProgType::SchedCls && (a == direction.attach_type() || plain)
                })
            };
            let both = [Direction::Ingress, Direction::Egress];
            let sides: Vec<Direction> = match side {
                Some(side) => vec![side],
                None => both.into_iter().filter(|d| !of(*d).is_empty()).collect(),
            };
            if sides.is_empty() {
                self.some("--tc", "tc", Vec::new())?;
            }
            for direction in sides {
                let program = self.one("--tc", &format!("tc {direction}"), of(direction))?;
                let hook = match self.net.tc_hook {
                    TcHookArg::Auto => TcHook::Auto,
                    TcHookArg::Tcx => TcHook::Tcx,
                    TcHookArg::Clsact => TcHook::Clsact,
                };
                let (order, replace) = (self.net.order(), self.net.instead_of()?);
                let tc = Tc { hook, order, via: self.net.via(), replace, ..Tc::new(interface, direction) };
                out.push((program.name().to_string(), Target::Tc(tc)));
            }
        }
        Ok(out)
    }

    fn netkit(&self) -> Result<Vec<(String, Target)>, CliError> {
        let mut out = Vec::new();
        for spot in &self.net.netkit {
            let (interface, side) =
                side(spot, "--netkit", &[("primary", NetkitEnd::Primary), ("peer", NetkitEnd::Peer)])?;
            let of = |end: NetkitEnd| {
                self.programs(|t, a| {
                    let plain = a.0 == 0 && (side.is_some() || end == NetkitEnd::Primary);
                    t == ProgType::SchedCls && (a == end.attach_type() || plain)
                })
            };
            let both = [NetkitEnd::Primary, NetkitEnd::Peer];
            let ends: Vec<NetkitEnd> = match side {
                Some(side) => vec![side],
                None => both.into_iter().filter(|e| !of(*e).is_empty()).collect(),
            };
            if ends.is_empty() {
                self.some("--netkit", "netkit", Vec::new())?;
            }
            for end in ends {
                let program = self.one("--netkit", &format!("netkit {end}"), of(end))?;
                let (order, replace) = (self.net.order(), self.net.instead_of()?);
                let netkit = Netkit { order, via: self.net.via(), replace, ..Netkit::new(interface, end) };
                out.push((program.name().to_string(), Target::Netkit(netkit)));
            }
        }
        Ok(out)
    }

    fn netfilter(&self) -> Result<Vec<(String, Target)>, CliError> {
        if self.net.netfilter.is_empty() {
            return Ok(Vec::new());
        }
        let program = self.one("--netfilter", "netfilter", self.programs(|t, _| t == ProgType::Netfilter))?;
        let target = |spot: &Netfilter| (program.name().to_string(), Target::Netfilter(*spot));
        Ok(self.net.netfilter.iter().map(target).collect())
    }

    fn cgroup(&self) -> Result<Vec<(String, Target)>, CliError> {
        let mut out = Vec::new();
        for path in &self.net.cgroup {
            for program in self.some("--cgroup", "cgroup", self.programs(cgroup::takes))? {
                if program.section == "cgroup/skb" {
                    return Err(CliError::Option(format!(
                        "--cgroup: `{name}` is in section cgroup/skb, which does not say whether it sees incoming or \
                         outgoing packets; say --type {name}=cgroup_skb/ingress, or egress",
                        name = program.name()
                    )));
                }
                let share = match self.net.cgroup_share {
                    ShareArg::Multi => Share::Multi,
                    ShareArg::Override => Share::Override,
                    ShareArg::Exclusive => Share::Exclusive,
                };
                let via = if share == Share::Multi { self.net.via() } else { Via::Direct };
                let order = self.net.order();
                let target = Cgroup { share, via, order, ..Cgroup::new(path) };
                out.push((program.name().to_string(), Target::Cgroup(target)));
            }
        }
        Ok(out)
    }

    fn sockmap(&self) -> Result<Vec<(String, Target)>, CliError> {
        let mut out = Vec::new();
        for map in &self.net.sockmap {
            let map = match map.strip_prefix("id:") {
                Some(id) => MapRef::Id(id.parse().map_err(|_| {
                    CliError::Option(format!("--sockmap: `{map}` does not end in the number of a map"))
                })?),
                None if map.starts_with('/') => MapRef::Pin(map.into()),
                None => self.own_map(map)?,
            };
            let fits = |t, _| matches!(t, ProgType::SkMsg | ProgType::SkSkb);
            for program in self.some("--sockmap", "sk_msg or sk_skb", self.programs(fits))? {
                let target = Sockmap { via: self.net.via(), ..Sockmap::new(map.clone()) };
                out.push((program.name().to_string(), Target::Sockmap(target)));
            }
        }
        Ok(out)
    }

    fn own_map(&self, name: &str) -> Result<MapRef, CliError> {
        if self.object.maps.iter().any(|m| m.name == name) {
            return Ok(MapRef::Named(name.into()));
        }
        let known: Vec<&str> = self.object.maps.iter().map(|m| m.name.as_str()).collect();
        Err(CliError::Option(format!(
            "--sockmap: the object has no map `{name}`; it has: {}",
            known.join(", ")
        )))
    }

    fn route(&self) -> Result<Vec<(String, Target)>, CliError> {
        let fits = |t, _| {
            matches!(t, ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local)
        };
        let mut out = Vec::new();
        for route in &self.net.route {
            let program = self.one("--route", "lwt", self.programs(fits))?;
            out.push((program.name().to_string(), Target::Route(route.clone())));
        }
        Ok(out)
    }

    fn lirc(&self) -> Result<Vec<(String, Target)>, CliError> {
        let mut out = Vec::new();
        for device in &self.net.lirc {
            for program in
                self.some("--lirc", "lirc_mode2", self.programs(|t, _| t == ProgType::LircMode2))?
            {
                out.push((program.name().to_string(), Target::Lirc(device.clone())));
            }
        }
        Ok(out)
    }

    /// The programs of a whole network namespace, if one is named.
    fn netns(&self) -> Vec<(String, Target)> {
        let Some(netns) = &self.net.netns else { return Vec::new() };
        let fits = |t, _| matches!(t, ProgType::FlowDissector | ProgType::SkLookup);
        let own = |program: &ProgDef| {
            let via = match program.prog_type {
                Some(ProgType::FlowDissector) => self.net.via(),
                _ => Via::Auto,
            };
            (program.name().to_string(), Target::Netns(NetnsHook { netns: netns.clone(), via }))
        };
        self.programs(fits).into_iter().map(own).collect()
    }
}

/// `IF` or `IF:SIDE`.
fn side<'a, T: Copy>(
    spot: &'a str,
    flag: &str,
    sides: &[(&str, T)],
) -> Result<(&'a str, Option<T>), CliError> {
    let Some((interface, side)) = spot.rsplit_once(':') else { return Ok((spot, None)) };
    match sides.iter().find(|(name, _)| *name == side) {
        Some((_, found)) => Ok((interface, Some(*found))),
        None => {
            let names: Vec<&str> = sides.iter().map(|(name, _)| *name).collect();
            Err(CliError::Option(format!("{flag}: `{side}` in `{spot}` is neither of {}", names.join(", "))))
        }
    }
}

/// The flag that attaches programs of this type.
pub(crate) fn flag(prog_type: &str) -> Option<&'static str> {
    Some(match prog_type {
        "xdp" => "--xdp IF",
        "sched_cls" => "--tc IF[:ingress|egress], or --netkit IF",
        "netfilter" => "--netfilter FAMILY:HOOK[:PRIORITY]",
        "flow_dissector" | "sk_lookup" => "--netns NAME|PID|PATH|self",
        "sk_msg" | "sk_skb" => "--sockmap MAP",
        "lwt_in" | "lwt_out" | "lwt_xmit" | "lwt_seg6local" => "--route ADDRESS/BITS,dev=IF",
        "lirc_mode2" => "--lirc DEVICE",
        "cgroup_skb" | "cgroup_sock" | "cgroup_sock_addr" | "cgroup_device" | "cgroup_sysctl"
        | "cgroup_sockopt" | "sock_ops" => "--cgroup PATH",
        _ => return None,
    })
}
