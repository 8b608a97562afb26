//! What this machine's kernel offers to programs: types of programs, helpers, kfuncs, attach types, link types.
//!
//! The rule is that of [`feature`](super::feature): the thing is done in small, and what counts is the error number,
//! never the text behind it. A program is loaded that does nothing, or nothing but one call:
//!
//! ```text
//!   r0 = 0; exit                    loads               this type of program is there
//!                                   EINVAL              it is not
//!   call N; r0 = 0; exit            loads, or EACCES    the helper is there: its arguments were looked at
//!                                   EINVAL              it is unknown, or not for this type
//!   anything                        EPERM               nobody knows: privileges, lockdown
//! ```
//!
//! What a hook is called is in the kernel's own types: an attach type that `enum bpf_attach_type` has no name for
//! does not exist. That it does have one does not mean that the hook was built, so the kernel's configuration is
//! asked as well where a hook depends on it.

use std::os::fd::OwnedFd;

use super::answer::Answer;
use super::{Kernel, probe};
use crate::btf::{Btf, BtfKind, Kind, KindSet, TypeId};
use crate::insn::prelude::*;
use crate::sys::attr::{self, prog_flags};
use crate::sys::{Errno, SysError};
use crate::uapi::{AttachType, LinkType, ProgType};

/// Whether programs of this type can be loaded.
pub fn prog_type(kernel: &Kernel, prog_type: ProgType) -> Answer {
    if prog_type == ProgType::Ext {
        // It takes a program to replace a function of; where all else is there, so is this.
        return named(kernel, "bpf_prog_type", prog_type.uapi(), &["BPF_JIT"]);
    }
    let head = match head(kernel, prog_type) {
        Ok(head) => head,
        Err(why) => return Answer::Unknown(why),
    };
    answer(load(prog_type, head, None))
}

/// Whether programs of this type may call this helper. [`Answer::Unknown`] also where no program of the type can be
/// loaded.
pub fn helper(kernel: &Kernel, prog_type: ProgType, helper: Helper) -> Answer {
    let head = match head(kernel, prog_type) {
        Ok(head) if prog_type != ProgType::Ext => head,
        Ok(_) => return Answer::Unknown("it is that of the program whose function is replaced".into()),
        Err(why) => return Answer::Unknown(why),
    };
    let sleeping = attr::ProgLoad {
        prog_flags: head.prog_flags | prog_flags::SLEEPABLE,
        expected_attach_type: head.expected_attach_type,
        attach_btf_id: head.attach_btf_id,
        kern_version: head.kern_version,
        ..Default::default()
    };
    match load(prog_type, head, Some(helper)) {
        // EACCES: there is such a helper, and it has arguments that were not given.
        Err(e) if e.errno == Errno::EACCES => Answer::Yes,
        // A helper that may sleep is only for programs that may.
        Err(e) if e.errno == Errno::EINVAL && SLEEPABLE.contains(&prog_type) => {
            match load(prog_type, sleeping, Some(helper)) {
                Err(e) if e.errno == Errno::EACCES => Answer::Yes,
                Err(_) => refused(e),
                ok => answer(ok),
            }
        }
        other => answer(other),
    }
}

/// The types that have sleepable programs.
const SLEEPABLE: &[ProgType] = &[ProgType::Kprobe, ProgType::Tracing, ProgType::Lsm, ProgType::StructOps];

/// Whether the kernel has this attach type.
pub fn attach_type(kernel: &Kernel, attach_type: AttachType) -> Answer {
    use AttachType as A;
    let options: &[&str] = match attach_type {
        A::NetkitPrimary | A::NetkitPeer => &["NETKIT"],
        A::TcxIngress | A::TcxEgress => &["NET_XGRESS"],
        A::Netfilter => &["NETFILTER_BPF_LINK"],
        A::LircMode2 => &["BPF_LIRC_MODE2"],
        A::LsmMac | A::LsmCgroup => &["BPF_LSM"],
        A::TraceKprobeMulti | A::TraceKprobeSession => &["FPROBE"],
        A::TraceUprobeMulti | A::TraceUprobeSession => &["UPROBES"],
        A::PerfEvent => &["PERF_EVENTS"],
        A::TraceFentry | A::TraceFexit | A::ModifyReturn | A::TraceFsession => &["BPF_JIT"],
        A::TraceFentryMulti | A::TraceFexitMulti | A::TraceFsessionMulti => &["BPF_JIT"],
        a if a.name().is_some_and(|n| n.starts_with("cgroup_")) => &["CGROUP_BPF"],
        _ => &[],
    };
    named(kernel, "bpf_attach_type", attach_type.uapi(), options)
}

/// Whether the kernel has links of this type.
pub fn link_type(kernel: &Kernel, link_type: LinkType) -> Answer {
    let options: &[&str] = match link_type {
        LinkType::Cgroup => &["CGROUP_BPF"],
        LinkType::PerfEvent => &["PERF_EVENTS"],
        LinkType::KprobeMulti => &["FPROBE"],
        LinkType::UprobeMulti => &["UPROBES"],
        LinkType::Netfilter => &["NETFILTER_BPF_LINK"],
        LinkType::Tcx => &["NET_XGRESS"],
        LinkType::Netkit => &["NETKIT"],
        LinkType::Sockmap => &["NET_SOCK_MSG"],
        LinkType::Tracing | LinkType::TracingMulti | LinkType::StructOps => &["BPF_JIT"],
        _ => &[],
    };
    named(kernel, "bpf_link_type", link_type.uapi(), options)
}

/// A function of the kernel that programs may call by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kfunc {
    /// Its name.
    pub name: String,
    /// Its declaration in C.
    pub proto: String,
    /// The module that it belongs to; `None` for the kernel itself.
    pub module: Option<String>,
}

/// The functions that the kernel and its modules have tagged for programs. Linux 6.8; an error says why it is not
/// known which there are. Which type of program may call which is not in the tags.
pub fn kfuncs(kernel: &Kernel) -> Result<Vec<Kfunc>, String> {
    let btf = kernel.btf().map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    collect_kfuncs(btf, None, &mut out);
    for module in kernel.modules() {
        collect_kfuncs(&module.btf, Some(&module.name), &mut out);
    }
    if out.is_empty() {
        return Err("the kernel's types do not tell: Linux 6.8 does".into());
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out.dedup_by(|a, b| a.name == b.name && a.module == b.module);
    Ok(out)
}

fn collect_kfuncs(btf: &Btf, module: Option<&str>, out: &mut Vec<Kfunc>) {
    for tag in btf.iter_own().map_while(Result::ok).filter(|t| t.tag() == BtfKind::DeclTag) {
        let Kind::DeclTag { ty, component: None, .. } = tag.kind else { continue };
        if tag.name != "bpf_kfunc" {
            continue;
        }
        let Ok(func) = btf.ty(ty) else { continue };
        if matches!(func.kind, Kind::Func { .. }) {
            let proto = btf.render_decl(ty, "").unwrap_or_default();
            out.push(Kfunc { name: func.name.to_string(), proto, module: module.map(String::from) });
        }
    }
}

/// What to load for a type: most take anything, some want to know for what they are meant.
fn head(kernel: &Kernel, prog_type: ProgType) -> Result<attr::ProgLoad<'static>, String> {
    let expected_attach_type = match prog_type {
        ProgType::CgroupSockAddr => AttachType::CgroupInet4Connect,
        ProgType::CgroupSockopt => AttachType::CgroupGetsockopt,
        ProgType::CgroupSock => AttachType::CgroupInetSockCreate,
        ProgType::SkLookup => AttachType::SkLookup,
        ProgType::LircMode2 => AttachType::LircMode2,
        ProgType::Netfilter => AttachType::Netfilter,
        // A tracepoint rather than a function: hooks of functions depend on more than the type.
        ProgType::Tracing => AttachType::TraceRawTp,
        ProgType::Lsm => AttachType::LsmMac,
        _ => AttachType(0),
    };
    let mut head = attr::ProgLoad { expected_attach_type, ..Default::default() };
    match prog_type {
        // Kernels before 5.0 want to see their own release.
        ProgType::Kprobe => head.kern_version = kernel.release().code(),
        ProgType::Syscall => head.prog_flags = prog_flags::SLEEPABLE,
        ProgType::Tracing => head.attach_btf_id = type_id(kernel, "btf_trace_sys_enter", BtfKind::Typedef)?,
        ProgType::Lsm => head.attach_btf_id = type_id(kernel, "bpf_lsm_file_open", BtfKind::Func)?,
        ProgType::StructOps => {
            head.attach_btf_id = type_id(kernel, "tcp_congestion_ops", BtfKind::Struct)?;
            head.expected_attach_type = AttachType(member(kernel, head.attach_btf_id, "init")?);
        }
        _ => {}
    }
    Ok(head)
}

fn type_id(kernel: &Kernel, name: &str, kind: BtfKind) -> Result<u32, String> {
    let btf = kernel.btf().map_err(|e| e.to_string())?;
    btf.find(name, KindSet::of(&[kind]))
        .map(|id| id.0)
        .map_err(|_| format!("the kernel's types have no `{name}`"))
}

fn member(kernel: &Kernel, id: u32, name: &str) -> Result<u32, String> {
    let btf = kernel.btf().map_err(|e| e.to_string())?;
    let at = btf.ty(TypeId(id)).ok().and_then(|ty| ty.members()?.iter().position(|m| m.name == name));
    at.map(|at| at as u32).ok_or_else(|| format!("it has no member `{name}`"))
}

/// Loads a program that makes this call, or none.
fn load(prog_type: ProgType, head: attr::ProgLoad, call: Option<Helper>) -> Result<OwnedFd, SysError> {
    let mut a = Asm::new();
    if let Some(helper) = call {
        a.call(helper);
    }
    probe::load(prog_type, head, &probe::finish(a))
}

fn answer(result: Result<OwnedFd, SysError>) -> Answer {
    match result {
        Ok(_) => Answer::Yes,
        Err(e) => refused(e),
    }
}

fn refused(e: SysError) -> Answer {
    match e.errno {
        Errno::EINVAL | Errno::ENOTSUPP | Errno::EOPNOTSUPP | Errno::ENOENT | Errno::E2BIG => {
            Answer::No(e.to_string())
        }
        _ => Answer::Unknown(e.to_string()),
    }
}

/// Looks for a name in an enumeration of the kernel's, then for what must have been configured.
fn named(kernel: &Kernel, enumeration: &str, name: Option<&str>, options: &[&str]) -> Answer {
    let btf = match kernel.btf() {
        Ok(btf) => btf,
        Err(e) => return Answer::Unknown(e.to_string()),
    };
    let found = btf.find(enumeration, KindSet::of(&[BtfKind::Enum])).and_then(|id| btf.ty(id));
    let (Ok(found), Some(name)) = (found, name) else {
        return Answer::Unknown(format!("the kernel's types have no enum {enumeration}"));
    };
    let values = found.enumerators();
    if !values.is_some_and(|values| values.iter().any(|v| v.name == name)) {
        return Answer::No(format!("the kernel's enum {enumeration} has no {name}"));
    }
    let kconfig = kernel.kconfig();
    if !kconfig.is_known() {
        return if options.is_empty() {
            Answer::Yes
        } else {
            Answer::Unknown(format!(
                "the kernel's types have it; whether CONFIG_{} is set is not known",
                options.join(", CONFIG_")
            ))
        };
    }
    let lacks = |o: &&&str| !matches!(kconfig.get(&format!("CONFIG_{o}")), Some("y" | "m"));
    match options.iter().find(lacks) {
        Some(option) => Answer::No(format!("the kernel was built without CONFIG_{option}")),
        None => Answer::Yes,
    }
}
