//! cgroups: programs that watch over, and decide for, all processes of a group.
//!
//! A control group is a directory of the cgroup2 file system; its processes, and those of the groups below it, are its
//! members. A program at one of its hooks runs for each of them: when they make a socket, connect, send, open a
//! device, write a sysctl.
//!
//! ```text
//!   /sys/fs/cgroup/            ◄─ egress: count          a packet of the shell meets `limit`, then `count`:
//!     └ user.slice/            ◄─ egress: limit          own group first, then upwards
//!         └ the shell
//! ```
//!
//! How a hook is shared is fixed by its first program:
//!
//! | [`Share`] | at this group | below it |
//! |---|---|---|
//! | `Multi` | a list; all run | all run, theirs first |
//! | `Override` | one program | a program below runs in its place |
//! | `Exclusive` | one program | no other may be attached |
//!
//! A link always means `Multi`. An attempt that the flags forbid is refused with `EPERM`, which looks like a missing
//! privilege and is none; so the groups above are asked for the one that forbids it.

pub use super::cgroup_dir::{directory, mount_point};
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::direct::{Direct, How, Spot};
use super::hook_kind::{HookKind, call_by};
use super::info::{self, Hook};
use super::order::{Order, REPLACE, RawOrder, Via};
use super::refusal::{Attempt, Needs, describe_program};
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra, TargetFd};
use crate::sys::{self, Errno, HookPrograms, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs =
    &[("cgroup", "a cgroup has to be named"), ("sockops", "a cgroup has to be named")];

/// The cgroup whose members a program is to watch over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Its directory; a path that is not absolute is one below the cgroup2 mount.
    pub path: PathBuf,
    /// The hook; that of the program's section if not given.
    pub attach_type: Option<AttachType>,
    /// By a link (Linux 5.7) or without.
    pub via: Via,
    /// How the hook is shared; anything but `Multi` takes [`Via::Direct`].
    pub share: Share,
    /// Where in the group's own list; Linux 6.17.
    pub order: Order,
}

/// How programs share a hook of a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Share {
    /// With others, here and below.
    #[default]
    #[doc(alias = "BPF_F_ALLOW_MULTI")]
    Multi,
    /// With none here; one below takes its place.
    #[doc(alias = "BPF_F_ALLOW_OVERRIDE")]
    Override,
    /// With none, here and below.
    Exclusive,
}

impl Share {
    pub(super) fn flags(self) -> u32 {
        match self {
            Share::Exclusive => 0,
            Share::Override => 1,
            Share::Multi => 2,
        }
    }

    /// What `attach_flags` of a query say.
    pub fn from_flags(flags: u32) -> Share {
        match flags & 3 {
            0 => Share::Exclusive,
            1 => Share::Override,
            _ => Share::Multi,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Share::Multi => "multi",
            Share::Override => "override",
            Share::Exclusive => "exclusive",
        })
    }
}

/// The hooks of cgroups, and which type of program each takes.
#[rustfmt::skip]
pub static HOOKS: &[(AttachType, ProgType)] = {
    use AttachType as A;
    use ProgType as P;
    &[
        (A::CgroupInetIngress, P::CgroupSkb), (A::CgroupInetEgress, P::CgroupSkb),
        (A::CgroupInetSockCreate, P::CgroupSock), (A::CgroupInetSockRelease, P::CgroupSock),
        (A::CgroupInet4PostBind, P::CgroupSock), (A::CgroupInet6PostBind, P::CgroupSock),
        (A::CgroupInet4Bind, P::CgroupSockAddr), (A::CgroupInet6Bind, P::CgroupSockAddr),
        (A::CgroupInet4Connect, P::CgroupSockAddr), (A::CgroupInet6Connect, P::CgroupSockAddr),
        (A::CgroupUnixConnect, P::CgroupSockAddr),
        (A::CgroupUdp4Sendmsg, P::CgroupSockAddr), (A::CgroupUdp6Sendmsg, P::CgroupSockAddr),
        (A::CgroupUnixSendmsg, P::CgroupSockAddr),
        (A::CgroupUdp4Recvmsg, P::CgroupSockAddr), (A::CgroupUdp6Recvmsg, P::CgroupSockAddr),
        (A::CgroupUnixRecvmsg, P::CgroupSockAddr),
        (A::CgroupInet4Getpeername, P::CgroupSockAddr), (A::CgroupInet6Getpeername, P::CgroupSockAddr),
        (A::CgroupUnixGetpeername, P::CgroupSockAddr),
        (A::CgroupInet4Getsockname, P::CgroupSockAddr), (A::CgroupInet6Getsockname, P::CgroupSockAddr),
        (A::CgroupUnixGetsockname, P::CgroupSockAddr),
        (A::CgroupSockOps, P::SockOps),
        (A::CgroupDevice, P::CgroupDevice),
        (A::CgroupSysctl, P::CgroupSysctl),
        (A::CgroupGetsockopt, P::CgroupSockopt), (A::CgroupSetsockopt, P::CgroupSockopt),
        (A::LsmCgroup, P::Lsm),
    ]
};

/// True if programs of this type attach to cgroups, some or always.
pub fn takes(prog_type: ProgType, attach_type: AttachType) -> bool {
    match prog_type {
        ProgType::Lsm => attach_type == AttachType::LsmCgroup,
        _ => HOOKS.iter().any(|(_, wanted)| *wanted == prog_type),
    }
}

static LINK: Needs = Needs {
    what: "a link to a cgroup",
    since: Release(5, 7, 0),
    config: "CONFIG_CGROUP_BPF",
    caps: &[Cap::NetAdmin],
};
static ORDERED: Needs = Needs {
    what: "an order of the programs of a cgroup",
    since: Release(6, 17, 0),
    config: "CONFIG_CGROUP_BPF",
    caps: &[Cap::NetAdmin],
};

impl Cgroup {
    /// The hook of the program's section, shared with others, by the best way that the kernel has.
    pub fn new(path: impl Into<PathBuf>) -> Cgroup {
        let order = Order::default();
        Cgroup { path: path.into(), attach_type: None, via: Via::Auto, share: Share::Multi, order }
    }
}

impl HookKind for Cgroup {
    fn words(&self) -> String {
        format!("cgroup {}", self.path.display())
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        call_by(self.via)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut out = vec![("target_fd", format!("cgroup {}", self.path.display()))];
        if let Some(attach_type) = self.attach_type {
            out.push(("attach_type", format!("{attach_type:?}")));
        }
        out
    }
}

/// Attaches a program to a cgroup.
pub(super) fn attach(program: &Program, target: &Cgroup) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("cgroup {}", target.path.display()));
    let attach_type = hook(&attempt, target)?;
    let attempt = Attempt::new(program, format!("{attach_type} of cgroup {}", target.path.display()));
    let (cgroup, path) = open(&attempt, &target.path)?;
    let order = order(&attempt, target, &cgroup, attach_type)?;
    let spot = At { attempt: &attempt, cgroup: &cgroup, path: &path, attach_type, share: target.share };
    if target.share != Share::Multi && target.via != Via::Direct {
        return Err(attempt.wrong(format!(
            "a link is always shared; `{}` takes an attachment without a link",
            target.share
        )));
    }
    match target.via {
        Via::Direct => spot.direct(order),
        Via::Link => spot.link(order),
        Via::Auto => match spot.link(order) {
            // A kernel without links; or something else is wrong, and then the old call fails as well.
            Err(e) if is_invalid(&e) && order == RawOrder::default() => spot.direct(order).map_err(|_| e),
            other => other,
        },
    }
}

/// The kernel did not understand.
fn is_invalid(e: &AttachError) -> bool {
    match e {
        AttachError::Refused { source, .. } => source.errno == Errno::EINVAL,
        other => matches!(other, AttachError::Unsupported { .. }),
    }
}

/// The hook that is meant: the caller's, or the section's.
fn hook(attempt: &Attempt<'_>, target: &Cgroup) -> Result<AttachType, AttachError> {
    let prog_type = attempt.program.prog_type();
    let fits: Vec<AttachType> = HOOKS.iter().filter(|(_, p)| *p == prog_type).map(|(a, _)| *a).collect();
    let given = target.attach_type.unwrap_or(attempt.program.attach_type());
    match fits.as_slice() {
        [] => Err(attempt.wrong(format!(
            "it is of type {prog_type}, which has no hook in a cgroup; the types that have: {}",
            types()
        ))),
        _ if fits.contains(&given) => Ok(given),
        [only] => Ok(*only),
        _ => {
            let names: Vec<String> = fits.iter().map(AttachType::to_string).collect();
            Err(attempt
                .wrong(format!("a program of type {prog_type} has to say which hook: {}", names.join(", "))))
        }
    }
}

fn types() -> String {
    let mut out: Vec<String> = HOOKS.iter().map(|(_, p)| p.to_string()).collect();
    out.sort();
    out.dedup();
    out.join(", ")
}

/// The cgroup and the hook in it that a target means for a program of this type, whose section says `attach_type`: the
/// id of the group, and the hook.
///
/// # Errors
/// There is no such cgroup.
pub fn locate(
    program: &str,
    prog_type: ProgType,
    attach_type: AttachType,
    target: &Cgroup,
) -> Result<(u64, AttachType), AttachError> {
    let given = target.attach_type.unwrap_or(attach_type);
    let fits: Vec<AttachType> = HOOKS.iter().filter(|(_, p)| *p == prog_type).map(|(a, _)| *a).collect();
    let hook = if fits.contains(&given) { given } else { fits.first().copied().unwrap_or(given) };
    let path = directory(&target.path);
    let found = std::fs::metadata(&path).map_err(|e| AttachError::NoTarget {
        program: program.into(),
        hook: format!("cgroup {}", target.path.display()),
        why: match mount_point() {
            _ if e.kind() != std::io::ErrorKind::NotFound => {
                format!("cannot look at the cgroup {}: {e}", path.display())
            }
            Some(mount) => {
                format!("there is no cgroup {}; cgroup2 is mounted at {}", path.display(), mount.display())
            }
            None => format!("there is no cgroup {}, and no cgroup2 file system is mounted", path.display()),
        },
    })?;
    Ok((found.ino(), hook))
}

/// Opens a cgroup's directory, and gives its whole path.
fn open(attempt: &Attempt<'_>, path: &Path) -> Result<(OwnedFd, PathBuf), AttachError> {
    let mount = mount_point();
    let path = directory(path);
    let opened = File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC).open(&path);
    let file = opened.map_err(|e| match (e.kind(), &mount) {
        (std::io::ErrorKind::NotFound, Some(mount)) => attempt
            .missing(format!("there is no cgroup {}; cgroup2 is mounted at {}", path.display(), mount.display())),
        (std::io::ErrorKind::NotFound, None) => attempt.missing(format!(
            "there is no cgroup {}, and no cgroup2 file system is mounted: mount -t cgroup2 none /sys/fs/cgroup",
            path.display()
        )),
        (std::io::ErrorKind::NotADirectory, _) => {
            attempt.wrong(format!("{} is a file, and a cgroup is a directory", path.display()))
        }
        _ => attempt.refused(SysError::other("open", e), ""),
    })?;
    kind(attempt, &file, &path, mount.as_deref())?;
    Ok((file.into(), path))
}

/// Only the second version of cgroups has hooks.
fn kind(attempt: &Attempt<'_>, file: &File, path: &Path, mount: Option<&Path>) -> Result<(), AttachError> {
    /// `CGROUP2_SUPER_MAGIC`
    const CGROUP2: u64 = 0x6367_7270;
    /// `CGROUP_SUPER_MAGIC`
    const CGROUP1: u64 = 0x0027_e0eb;
    let magic = nix::sys::statfs::fstatfs(file).map_or(0, |s| s.filesystem_type().0 as u64 & 0xffff_ffff);
    let here = mount.map(|m| format!("; cgroup2 is mounted at {}", m.display())).unwrap_or_default();
    match magic {
        CGROUP2 => Ok(()),
        CGROUP1 => {
            Err(attempt.wrong(format!("{} is of cgroup version 1, which has no hooks{here}", path.display())))
        }
        _ => Err(attempt.wrong(format!("{} is no cgroup{here}", path.display()))),
    }
}

/// The place in the group's list, for kernels that have an order.
fn order(
    attempt: &Attempt<'_>,
    target: &Cgroup,
    cgroup: &OwnedFd,
    attach_type: AttachType,
) -> Result<RawOrder, AttachError> {
    if target.order == Order::default() {
        return Ok(RawOrder::default());
    }
    let id = id(cgroup).map_err(|e| attempt.refused(e, ""))?;
    let found = query(cgroup, attach_type).map_err(|e| attempt.explain(e, &ORDERED))?;
    target.order.raw(&with_links(id, attach_type, &found)).map_err(|why| attempt.wrong(why))
}

/// A cgroup's id: the number of its inode.
fn id(cgroup: &OwnedFd) -> Result<u64, SysError> {
    let stat = |fd: OwnedFd| File::from(fd).metadata().map(|m| m.ino());
    cgroup.try_clone().and_then(stat).map_err(|e| SysError::other("stat", e))
}

/// The programs at a hook of this very group.
pub(super) fn query(cgroup: &OwnedFd, attach_type: AttachType) -> Result<HookPrograms, SysError> {
    sys::prog_query(TargetFd::of(cgroup), attach_type, 0)
}

/// Program and link (0 without) of each program that stands at a hook. The kernel lists the programs, and which of
/// them have links is known by the links alone.
pub(super) fn with_links(id: u64, attach_type: AttachType, found: &HookPrograms) -> Vec<(u32, u32)> {
    let here = Hook::Cgroup { cgroup_id: id, attach_type };
    let mut links: Vec<(u32, u32)> = info::list()
        .unwrap_or_default()
        .into_iter()
        .filter(|l| l.hook == here)
        .map(|l| (l.prog_id, l.id))
        .collect();
    let mut pair = |program: u32| {
        let at = links.iter().position(|(p, _)| *p == program);
        (program, at.map_or(0, |at| links.remove(at).1))
    };
    found.programs.iter().map(|p| pair(p.prog_id)).collect()
}

/// A hook of an open cgroup.
struct At<'a> {
    attempt: &'a Attempt<'a>,
    cgroup: &'a OwnedFd,
    path: &'a Path,
    attach_type: AttachType,
    share: Share,
}

impl At<'_> {
    fn link(&self, order: RawOrder) -> Result<Link, AttachError> {
        let made = sys::link_create(&LinkCreate {
            prog_fd: Fd::of(self.attempt.program),
            target_fd: TargetFd::of(self.cgroup),
            attach_type: self.attach_type,
            flags: order.flags,
            extra: LinkExtra::ordered(order.relative, order.revision),
        });
        made.map(Link::new).map_err(|e| self.explain(e, order))
    }

    fn direct(&self, order: RawOrder) -> Result<Link, AttachError> {
        let replace_flags = self.share.flags() | if self.share == Share::Multi { REPLACE } else { 0 };
        let how = How {
            flags: self.share.flags() | order.flags,
            relative: order.relative,
            revision: order.revision,
            replace_flags,
        };
        if self.share != Share::Multi {
            // Without a list the kernel would put this program over the one that is there.
            let there = query(self.cgroup, self.attach_type).unwrap_or_default();
            if let Some(first) = there.programs.first() {
                let how = Share::from_flags(there.flags);
                return Err(self.attempt.taken(
                    format!("program {}", describe_program(first.prog_id)),
                    format!(" ({how}); detach it first"),
                ));
            }
        }
        let cgroup =
            self.cgroup.try_clone().map_err(|e| self.attempt.refused(SysError::other("fcntl", e), ""))?;
        let made = Direct::attach(self.attempt.program, Spot::Fd(cgroup), self.attach_type, how, None);
        made.map_err(|e| self.explain(e, order))
    }

    fn explain(&self, e: SysError, order: RawOrder) -> AttachError {
        match e.errno {
            Errno::EPERM => match self.forbidden_by() {
                Some((holder, advice)) => self.attempt.taken(holder, advice),
                None => self.attempt.explain(e, &LINK),
            },
            Errno::EINVAL if order != RawOrder::default() && ORDERED.unmet().is_some() => {
                self.attempt.explain(e, &ORDERED)
            }
            Errno::EINVAL => match self.too_new() {
                Some(why) => self.attempt.unsupported(why),
                None if self.is_there() => self
                    .attempt
                    .taken("this very program".into(), "; it cannot be there twice without a link"),
                None => self.attempt.explain(e, &LINK),
            },
            Errno::ESTALE => self.attempt.refused(e, "the list has changed since its revision was seen"),
            Errno::E2BIG => self.attempt.refused(e, "64 programs stand there, and no more fit"),
            _ => self.attempt.explain(e, &LINK),
        }
    }

    /// The attach type is newer than the kernel.
    fn too_new(&self) -> Option<String> {
        let needs = Needs {
            what: "this hook",
            since: self.attach_type.since()?,
            config: "CONFIG_CGROUP_BPF",
            caps: &[],
        };
        needs.unmet()
    }

    fn is_there(&self) -> bool {
        let id = self.attempt.program.info().map(|i| i.id).unwrap_or(0);
        let there = query(self.cgroup, self.attach_type).unwrap_or_default();
        there.programs.iter().any(|p| p.prog_id == id)
    }

    /// The group, this one or one above, whose flags forbid it: who stands there, and what to do.
    fn forbidden_by(&self) -> Option<(String, String)> {
        let found = query(self.cgroup, self.attach_type).ok()?;
        if let Some(first) = found.programs.first() {
            if found.flags & 3 != self.share.flags() {
                let how = Share::from_flags(found.flags);
                return Some((
                    format!("program {}", describe_program(first.prog_id)),
                    format!(" as `{how}`, which cannot be mixed with `{}`", self.share),
                ));
            }
        }
        let mut at = self.path;
        while let Some(above) = at.parent() {
            at = above;
            let parent: OwnedFd = File::open(at).ok()?.into();
            let found = query(&parent, self.attach_type).ok()?;
            match (found.programs.first(), Share::from_flags(found.flags)) {
                (_, Share::Multi) => return None,
                (Some(_), Share::Override) => return None,
                (Some(first), Share::Exclusive) => {
                    return Some((
                        format!(
                            "program {} of the cgroup {} above",
                            describe_program(first.prog_id),
                            at.display()
                        ),
                        " as `exclusive`, which forbids programs below it".into(),
                    ));
                }
                (None, _) => {}
            }
        }
        None
    }
}
