//! The kinds of hooks: a row for each. All that is said of one stands in its own file.

use std::fmt;
use std::path::PathBuf;

use super::hook_kind::{FromSection, HookKind, Needs, SectionName};
use super::*;
use crate::elf::section::AutoAttach;
use crate::kernel::Kernel;
use crate::progs::Program;

/// `Variant(Type)` for each hook, and by which section names it is said.
macro_rules! hooks {
    ($( $(#[$doc:meta])* $variant:ident($hook:ty) $(from $($auto:ident)|+)?; )*) => {
        /// Where a program is to be attached.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Target {
            $( $(#[$doc])* $variant($hook), )*
        }

        impl Target {
            fn kind(&self) -> &dyn HookKind {
                match self {
                    $( Target::$variant(hook) => hook, )*
                }
            }

            fn kind_mut(&mut self) -> &mut dyn HookKind {
                match self {
                    $( Target::$variant(hook) => hook, )*
                }
            }
        }

        /// The hooks that section names can say.
        pub(super) const SECTIONS: &[SectionRow] = &[$( $( $( SectionRow {
            auto: AutoAttach::$auto,
            object: <$hook as FromSection>::OBJECT,
            syntax: <$hook as FromSection>::SYNTAX,
            read: |name| <$hook as FromSection>::from_section(name).map(Target::$variant),
        }, )+ )? )*];
    };
}

hooks! {
    /// The receive path of a network interface.
    Xdp(Xdp);
    /// The same without a link.
    XdpNetlink(XdpNetlink);
    /// What an interface receives or sends, in the stack.
    Tc(Tc);
    /// What leaves an end of a netkit pair.
    Netkit(Netkit);
    /// A hook of the IP stack.
    Netfilter(Netfilter);
    /// The flows or the new connections of a network namespace.
    Netns(NetnsHook);
    /// The sockets of a map.
    Sockmap(Sockmap);
    /// The processes of a cgroup.
    Cgroup(Cgroup);
    /// The packets of a route.
    Route(Route);
    /// An infrared receiver, by its device.
    Lirc(PathBuf);
    /// A function of the kernel, at its entry, at its return, or in between.
    Kprobe(Kprobe) from Kprobe;
    /// Many functions of the kernel at once.
    KprobeMulti(KprobeMulti) from KprobeMulti | KprobeSession;
    /// A system call, by its name.
    Ksyscall(Ksyscall) from Ksyscall;
    /// A tracepoint, with its arguments as the kernel's format file describes them.
    Tracepoint(Tracepoint) from Tracepoint;
    /// A tracepoint, with its arguments as the kernel passes them.
    RawTracepoint(RawTracepoint) from RawTracepoint;
    /// A function of a user-space program or library.
    Uprobe(Uprobe) from Uprobe;
    /// Many functions of a program or library at once.
    UprobeMulti(UprobeMulti) from UprobeMulti;
    /// A probe that the developers of a program placed in it.
    Usdt(Usdt) from Usdt;
    /// What the program was bound to when it was loaded: fentry and its kin, `tp_btf`, LSM, freplace.
    Trace(Trace);
    /// Many functions of the kernel at once, by BTF.
    TracingMulti(TracingMulti) from TracingMulti;
    /// A walk that reading a file makes.
    Iter(Iter);
    /// A counter of the CPU or of the kernel.
    PerfEvent(PerfEvent);
    /// A security module's hook, for a cgroup.
    LsmCgroup(LsmCgroup);
}

/// A hook that section names can say.
pub(super) struct SectionRow {
    pub(super) auto: AutoAttach,
    pub(super) object: &'static str,
    pub(super) syntax: &'static str,
    pub(super) read: fn(&SectionName<'_>) -> Result<Target, String>,
}

/// What programs need that cannot attach themselves, by how their section names begin; the first that fits counts.
pub(super) const NEEDS: &[Needs] = &[
    xdp::SECTION_NEEDS,
    tc::SECTION_NEEDS,
    netkit::SECTION_NEEDS,
    cgroup::SECTION_NEEDS,
    lsm_cgroup::SECTION_NEEDS,
    netns_hook::SECTION_NEEDS,
    sockmap::SECTION_NEEDS,
    socket::SECTION_NEEDS,
    netfilter::SECTION_NEEDS,
    perf_event::SECTION_NEEDS,
    lwt::SECTION_NEEDS,
    lirc::SECTION_NEEDS,
    struct_ops::SECTION_NEEDS,
    &[("action", "a tc filter has to name it"), ("syscall", "it is run by BPF_PROG_RUN")],
];

impl Target {
    /// The call that attaches it, as far as it is known before it is made.
    pub fn call(&self) -> &'static str {
        self.kind().call()
    }

    /// The fields of that call, by their UAPI names.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        self.kind().fields()
    }

    /// Gives the program a value that tells this attachment from its others (`bpf_get_attach_cookie`). For
    /// attachments to many functions, all get the same. False if the hook has no cookies.
    pub fn set_cookie(&mut self, value: u64) -> bool {
        self.kind_mut().set_cookie(value)
    }

    /// Limits the hook to one process. False if it is of all processes in any case.
    pub fn set_pid(&mut self, pid: u32) -> bool {
        self.kind_mut().set_pid(pid)
    }
}

/// The hook in a few words, such as `XDP on eth0`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind().words())
    }
}

/// Attaches a program.
///
/// # Errors
/// [`AttachError`] with the reason, as far as it can be found out.
pub fn attach(program: &Program, target: &Target) -> Result<Link, AttachError> {
    attach_on(&Kernel::host(), program, target)
}

/// As [`attach`], with what is known of this machine's kernel already: types and symbols are read at most
/// once for all programs.
///
/// # Errors
/// As for [`attach`].
pub fn attach_on(kernel: &Kernel, program: &Program, target: &Target) -> Result<Link, AttachError> {
    target.kind().attach(kernel, program)
}

/// Attaches a program to what its section name says. `None` if that does not say all that is needed:
/// an interface, a cgroup, the function of a bare `kprobe` ... ([`Target::missing`] tells which).
///
/// # Errors
/// As for [`attach`], and [`AttachError::Hook`] for a section name that says something wrong.
pub fn auto(kernel: &Kernel, program: &Program) -> Result<Option<Link>, AttachError> {
    match Target::of_section(program.section())? {
        Some(target) => attach_on(kernel, program, &target).map(Some),
        None => Ok(None),
    }
}
