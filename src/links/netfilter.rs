//! netfilter: a program among the rules of iptables and nftables.
//!
//! Every packet of the IP stack passes five hooks; at each stand functions in the order of their priorities, those of
//! connection tracking, address translation and the rule tables. A program stands there as one more, and says
//! `NF_ACCEPT` or `NF_DROP`.
//!
//! ```text
//!   in ──► prerouting ──► (routing) ──► input ──► a socket ──► output ──► postrouting ──► out
//!                             └────────► forward ────────────────────────────▲
//!   priorities: -400 defragment, -300 raw, -200 conntrack, -150 mangle, -100 dnat, 0 filter, 100 snat
//! ```
//!
//! Two programs cannot have the same priority at one hook: their order would be anybody's guess.

use std::fmt;
use std::str::FromStr;

use super::hook_kind::HookKind;
use super::info::Hook;
use super::refusal::{Attempt, Needs, describe_program, link_at};
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra};
use crate::sys::{self, Errno};
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs =
    &[("netfilter", "a protocol family and a hook have to be named")];

/// Where a netfilter program is to run, in the network namespace of the calling thread. Linux 6.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Netfilter {
    /// Which protocol's packets.
    pub family: NfFamily,
    /// Where on their way.
    pub hook: NfHook,
    /// The lowest runs first.
    pub priority: i32,
    /// Put fragments together before the program sees them; takes a priority above -400. Linux 6.6.
    #[doc(alias = "BPF_F_NETFILTER_IP_DEFRAG")]
    pub defragment: bool,
}

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal, $text:literal $(| $more:literal)*;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// The kernel's number.
            pub fn number(self) -> u32 {
                match self { $($name::$variant => $value,)* }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// What has this number.
            pub fn from_number(number: u32) -> Option<$name> {
                match number { $($value => Some($name::$variant),)* _ => None }
            }

            const NAMES: &'static [&'static str] = &[$($text),*];

            fn from_name(name: &str) -> Option<$name> {
                match name { $($text $(| $more)* => Some($name::$variant),)* _ => None }
            }
        }
    };
}

named! {
    /// A protocol family.
    NfFamily {
        /// `NFPROTO_IPV4`
        Ipv4 = 2, "ipv4" | "ip" | "ip4" | "inet4";
        /// `NFPROTO_IPV6`
        Ipv6 = 10, "ipv6" | "ip6" | "inet6";
    }
}

named! {
    /// A hook of the IP stack.
    NfHook {
        /// Every packet that comes in.
        Prerouting = 0, "prerouting" | "pre-routing";
        /// Those for this machine.
        Input = 1, "input" | "in" | "local-in";
        /// Those for others.
        Forward = 2, "forward";
        /// Those that this machine sends.
        Output = 3, "output" | "out" | "local-out";
        /// Every packet that goes out.
        Postrouting = 4, "postrouting" | "post-routing";
    }
}

impl fmt::Display for Netfilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.family.name(), self.hook.name(), self.priority)?;
        if self.defragment { f.write_str(":defrag") } else { Ok(()) }
    }
}

impl FromStr for Netfilter {
    type Err = String;

    /// `FAMILY:HOOK[:PRIORITY][:defrag]`; the priority is 0 if not given.
    ///
    /// ```
    /// use rawbpf::links::Netfilter;
    /// let spot: Netfilter = "ipv4:prerouting:-150".parse()?;
    /// assert_eq!(spot.to_string(), "ipv4:prerouting:-150");
    /// assert!("ipv4:sideways".parse::<Netfilter>().is_err());
    /// # Ok::<(), String>(())
    /// ```
    fn from_str(text: &str) -> Result<Netfilter, String> {
        let mut parts = text.split(':');
        let family = parts.next().unwrap_or_default();
        let family = NfFamily::from_name(family)
            .ok_or_else(|| format!("`{family}` is no protocol family: {}", NfFamily::NAMES.join(", ")))?;
        let hook = parts.next().unwrap_or_default();
        let hook = NfHook::from_name(hook)
            .ok_or_else(|| format!("`{hook}` is no netfilter hook: {}", NfHook::NAMES.join(", ")))?;
        let mut out = Netfilter { family, hook, priority: 0, defragment: false };
        for part in parts {
            match part {
                "defrag" => out.defragment = true,
                number => {
                    out.priority = number.parse().map_err(|_| {
                        format!(
                            "`{number}` is neither a priority (a number, the lowest runs first) nor `defrag`"
                        )
                    })?;
                }
            }
        }
        Ok(out)
    }
}

static NEEDS: Needs = Needs {
    what: "netfilter programs",
    since: Release(6, 4, 0),
    config: "CONFIG_NETFILTER_BPF_LINK",
    caps: &[Cap::NetAdmin],
};

impl HookKind for Netfilter {
    fn words(&self) -> String {
        format!("netfilter {self}")
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("attach_type", format!("{:?}", AttachType::Netfilter)),
            ("netfilter.pf", self.family.number().to_string()),
            ("netfilter.hooknum", self.hook.number().to_string()),
            ("netfilter.priority", self.priority.to_string()),
            ("netfilter.flags", u32::from(self.defragment).to_string()),
        ]
    }
}

/// Attaches a netfilter program.
pub(super) fn attach(program: &Program, spot: &Netfilter) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("netfilter {spot}"));
    attempt.wants("netfilter", ProgType::Netfilter)?;
    let made = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        attach_type: AttachType::Netfilter,
        extra: LinkExtra::netfilter(
            spot.family.number(),
            spot.hook.number(),
            spot.priority,
            u32::from(spot.defragment),
        ),
        ..Default::default()
    });
    made.map(Link::new).map_err(|e| explain(&attempt, spot, e))
}

fn explain(attempt: &Attempt<'_>, spot: &Netfilter, e: sys::SysError) -> AttachError {
    /// `NF_IP_PRI_CONNTRACK_DEFRAG`
    const DEFRAGMENT: i32 = -400;
    if let (Errno::EINVAL, Some(why)) = (e.errno, NEEDS.unmet()) {
        return attempt.unsupported(why);
    }
    match e.errno {
        Errno::EBUSY => {
            let same = |hook: &Hook| {
                matches!(hook, Hook::Netfilter { pf, hook, priority, .. }
                    if (*pf, *hook, *priority) == (spot.family.number(), spot.hook.number(), spot.priority))
            };
            let holder = match link_at(same) {
                Some(link) => format!("program {} (link {})", describe_program(link.prog_id), link.id),
                None => "another program".into(),
            };
            attempt.taken(holder, " with this priority; choose another")
        }
        Errno::EINVAL | Errno::ERANGE if spot.defragment && spot.priority <= DEFRAGMENT => attempt.wrong(format!(
            "fragments are put together at priority {DEFRAGMENT}; to see them whole the program has to run later"
        )),
        Errno::ERANGE => attempt.wrong(format!(
            "priority {} is the kernel's own; choose one between {} and {}",
            spot.priority,
            i32::MIN + 1,
            i32::MAX - 1
        )),
        Errno::EAFNOSUPPORT => attempt.unsupported("this kernel filters no packets of this family"),
        Errno::ENOENT if spot.defragment => {
            attempt.unsupported("this kernel has no defragmentation for this family (nf_defrag_ipv4, nf_defrag_ipv6)")
        }
        _ => attempt.explain(e, &NEEDS),
    }
}
