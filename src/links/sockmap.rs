//! sockmap: programs that see what the sockets in a map send and receive.
//!
//! A sockmap or sockhash holds sockets. A program that is attached to the *map* runs for each socket in it, and may
//! pass the data on to another socket of the map without user space ever touching it.
//!
//! ```text
//!   sk_skb/stream_parser    where does the next message end?            bytes that came in
//!   sk_skb/stream_verdict   what becomes of this message?
//!   sk_skb/verdict          what becomes of this packet? (no parser; also UDP and unix sockets)
//!   sk_msg                  what becomes of what is sent?               bytes on their way out
//! ```
//!
//! Each map has one place for each, and the old call puts a program there *over* the one that it held. So it is asked
//! first who is there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use super::direct::{Direct, How, Spot};
use super::hook_kind::{HookKind, call_by};
use super::info::Hook;
use super::order::Via;
use super::refusal::{Attempt, Needs, describe_program, link_at};
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, TargetFd};
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::{AttachType, MapType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs =
    &[("sk_skb", "a sockmap has to be named"), ("sk_msg", "a sockmap has to be named")];

/// The sockets that a program is to watch over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockmap {
    /// The map that holds them.
    pub map: MapRef,
    /// The hook; that of the program's section if not given.
    pub attach_type: Option<AttachType>,
    /// By a link (Linux 6.10) or without.
    pub via: Via,
}

/// A map, as it is named before it is open.
#[derive(Debug, Clone)]
pub enum MapRef {
    /// By its id. Needs `CAP_SYS_ADMIN`.
    Id(u32),
    /// By the path of a pin.
    Pin(PathBuf),
    /// An open one, and what to call it.
    Open(String, Arc<OwnedFd>),
    /// One that is still to be loaded, by its name; whoever loads it puts the open one in its place.
    Named(String),
}

impl PartialEq for MapRef {
    fn eq(&self, other: &MapRef) -> bool {
        match (self, other) {
            (MapRef::Id(a), MapRef::Id(b)) => a == b,
            (MapRef::Pin(a), MapRef::Pin(b)) => a == b,
            (MapRef::Open(_, a), MapRef::Open(_, b)) => Arc::ptr_eq(a, b),
            (MapRef::Named(a), MapRef::Named(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for MapRef {}

impl std::fmt::Display for MapRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapRef::Id(id) => write!(f, "map {id}"),
            MapRef::Pin(path) => write!(f, "map {}", path.display()),
            MapRef::Open(name, _) | MapRef::Named(name) => write!(f, "map {name}"),
        }
    }
}

impl MapRef {
    /// An open map.
    ///
    /// # Errors
    /// The process has no descriptor left for it.
    pub fn of(map: &Map) -> Result<MapRef, SysError> {
        let fd = map.as_fd().try_clone_to_owned().map_err(|e| SysError::other("fcntl", e))?;
        Ok(MapRef::Open(map.name().into(), Arc::new(fd)))
    }

    fn open(&self) -> Result<OwnedFd, SysError> {
        match self {
            MapRef::Id(id) => sys::fd_by_id(ObjectKind::Map, *id),
            MapRef::Pin(path) => sys::obj_get(path, 0),
            MapRef::Open(_, fd) => fd.try_clone().map_err(|e| SysError::other("fcntl", e)),
            MapRef::Named(_) => Err(SysError::other("a map that is not open", Errno::EBADF)),
        }
    }
}

/// The hooks that a map of sockets has.
pub(super) const HOOKS: [(AttachType, ProgType); 4] = [
    (AttachType::SkSkbStreamParser, ProgType::SkSkb),
    (AttachType::SkSkbStreamVerdict, ProgType::SkSkb),
    (AttachType::SkSkbVerdict, ProgType::SkSkb),
    (AttachType::SkMsgVerdict, ProgType::SkMsg),
];

static LINK: Needs = Needs {
    what: "a link for a map of sockets",
    since: Release(6, 10, 0),
    config: "CONFIG_NET_SOCK_MSG",
    caps: &[Cap::NetAdmin],
};
static DIRECT: Needs = Needs {
    what: "a program for a map of sockets",
    since: Release(4, 14, 0),
    config: "CONFIG_NET_SOCK_MSG",
    caps: &[Cap::NetAdmin],
};

impl Sockmap {
    /// The hook of the program's section, by the best way that the kernel has.
    pub fn new(map: MapRef) -> Sockmap {
        Sockmap { map, attach_type: None, via: Via::Auto }
    }
}

impl HookKind for Sockmap {
    fn words(&self) -> String {
        self.map.to_string()
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        call_by(self.via)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("target_fd", self.map.to_string())]
    }
}

/// Attaches a program to a map of sockets.
pub(super) fn attach(program: &Program, target: &Sockmap) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, target.map.to_string());
    let attach_type = hook(&attempt, target)?;
    let attempt = Attempt::new(program, format!("{attach_type} of {}", target.map));
    let map = target.map.open().map_err(|e| match e.errno {
        Errno::ENOENT | Errno::EBADF => attempt.missing(format!("there is no {}", target.map)),
        _ => attempt.explain(e, &DIRECT),
    })?;
    let info = sys::map_info(&map).map_err(|e| attempt.explain(e, &DIRECT))?;
    if ![MapType::Sockmap, MapType::Sockhash].contains(&info.map_type) {
        return Err(attempt.wrong(format!(
            "the map is of type {}, and only a sockmap or sockhash has sockets",
            info.map_type
        )));
    }
    // The kernel would put this program over the one that is there.
    if let Some(there) = standing(&map, attach_type) {
        return Err(taken(&attempt, info.id, attach_type, there));
    }
    let made = match target.via {
        Via::Direct => direct(program, &map, attach_type),
        Via::Link => link(program, &map, attach_type),
        Via::Auto => match link(program, &map, attach_type) {
            Err(e) if e.errno == Errno::EINVAL && LINK.unmet().is_some() => {
                direct(program, &map, attach_type)
            }
            other => other,
        },
    };
    made.map_err(|e| match e.errno {
        Errno::EBUSY => conflict(&attempt, &map, info.id, attach_type),
        _ => attempt.explain(e, if target.via == Via::Link { &LINK } else { &DIRECT }),
    })
}

/// The hook that is meant: the caller's, the section's, or the only one of the type.
fn hook(attempt: &Attempt<'_>, target: &Sockmap) -> Result<AttachType, AttachError> {
    let prog_type = attempt.program.prog_type();
    if !HOOKS.iter().any(|(_, wanted)| *wanted == prog_type) {
        attempt.wants("sockmap", ProgType::SkSkb)?;
    }
    let fits = |a: AttachType| HOOKS.contains(&(a, prog_type));
    let given = target.attach_type.unwrap_or(attempt.program.attach_type());
    match prog_type {
        _ if fits(given) => Ok(given),
        ProgType::SkMsg => Ok(AttachType::SkMsgVerdict),
        _ => Err(attempt.wrong(
            "its section does not say which hook; write SEC(\"sk_skb/stream_verdict\"), SEC(\"sk_skb/stream_parser\") \
             or SEC(\"sk_skb/verdict\")",
        )),
    }
}

fn link(program: &Program, map: &OwnedFd, attach_type: AttachType) -> Result<Link, SysError> {
    let attr = LinkCreate {
        prog_fd: Fd::of(program),
        target_fd: TargetFd::of(map),
        attach_type,
        ..Default::default()
    };
    Ok(Link::new(sys::link_create(&attr)?))
}

fn direct(program: &Program, map: &OwnedFd, attach_type: AttachType) -> Result<Link, SysError> {
    let map = map.try_clone().map_err(|e| SysError::other("fcntl", e))?;
    Direct::attach(program, Spot::Fd(map), attach_type, How::default(), None)
}

/// The program that stands at a hook of the map; `None` too where the kernel does not tell (before 5.18).
fn standing(map: &OwnedFd, attach_type: AttachType) -> Option<u32> {
    sys::prog_query(TargetFd::of(&map.as_fd()), attach_type, 0).ok()?.programs.first().map(|p| p.prog_id)
}

fn taken(attempt: &Attempt<'_>, map_id: u32, attach_type: AttachType, prog_id: u32) -> AttachError {
    let link = link_at(|hook| *hook == Hook::Sockmap { map_id, attach_type });
    let by = link.map(|l| format!(" by link {}", l.id)).unwrap_or_default();
    attempt.taken(
        format!("program {}", describe_program(prog_id)),
        format!("{by}; the map has one place for it"),
    )
}

/// The two ways of looking at what comes in exclude each other.
fn conflict(attempt: &Attempt<'_>, map: &OwnedFd, map_id: u32, attach_type: AttachType) -> AttachError {
    let rival = match attach_type {
        AttachType::SkSkbVerdict => AttachType::SkSkbStreamVerdict,
        _ => AttachType::SkSkbVerdict,
    };
    match standing(map, rival) {
        Some(there) => attempt.taken(
            format!("program {} at {rival}", describe_program(there)),
            ": a map has either a stream verdict or a plain one",
        ),
        None => taken(attempt, map_id, attach_type, 0),
    }
}
