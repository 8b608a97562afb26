//! Attaching: links, and the calls that are older than links.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;

use super::{Attr, AttrField, Fd, Ptr, PtrMut, TargetFd, attr};
use crate::uapi::AttachType;

attr! {
    /// Attaches a program without a link. Linux 4.10.
    #[doc(alias = "BPF_PROG_ATTACH")]
    ProgAttach<'a> {
        /// Cgroup, map, netns or ... descriptor, or interface index.
        target_fd: TargetFd<'a>,
        /// The program.
        attach_bpf_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `BPF_F_ALLOW_MULTI` and others.
        attach_flags: u32,
        /// Program to replace; Linux 5.6.
        replace_bpf_fd: Fd<'a>,
        /// Program or link to stand before or after; Linux 6.6.
        relative_fd: u32,
        /// Fail unless the hook's list still has this revision; Linux 6.6.
        expected_revision: u64,
    }
}

attr! {
    /// Detaches a program that was attached without a link. Linux 4.10.
    #[doc(alias = "BPF_PROG_DETACH")]
    ProgDetach<'a> {
        /// As in [`ProgAttach`].
        target_fd: TargetFd<'a>,
        /// The program.
        attach_bpf_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// As in [`ProgAttach`].
        attach_flags: u32,
        /// Unused.
        replace_bpf_fd: Fd<'a>,
        /// As in [`ProgAttach`].
        relative_fd: u32,
        /// As in [`ProgAttach`].
        expected_revision: u64,
    }
}

attr! {
    /// Lists the programs at a hook. Linux 4.15.
    #[doc(alias = "BPF_PROG_QUERY")]
    ProgQuery<'a> {
        /// As in [`ProgAttach`].
        target_fd: TargetFd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `BPF_F_QUERY_EFFECTIVE`.
        query_flags: u32,
        /// Out: flags of the hook.
        attach_flags: u32,
        /// Out: program ids.
        prog_ids: PtrMut<'a, u32>,
        /// In: room. Out: number of programs.
        count: u32,
        /// Unused.
        pad: u32,
        /// Out: flags of each program; Linux 6.1.
        prog_attach_flags: PtrMut<'a, u32>,
        /// Out: link id of each program, 0 if none; Linux 6.6.
        link_ids: PtrMut<'a, u32>,
        /// Out: flags of each link; Linux 6.6.
        link_attach_flags: PtrMut<'a, u32>,
        /// Out: revision of the hook's list; Linux 6.6.
        revision: u64,
    }
}

attr! {
    /// Attaches a raw tracepoint, and other tracing programs up to Linux 5.14; returns a link. Linux 4.17.
    #[doc(alias = "BPF_RAW_TRACEPOINT_OPEN")]
    RawTracepointOpen<'a> {
        /// Tracepoint, NUL-terminated; "not given" for tracing and LSM programs.
        name: Ptr<'a, u8>,
        /// The program.
        prog_fd: Fd<'a>,
        /// Unused.
        pad: u32,
        /// Value that the program gets by `bpf_get_attach_cookie`; Linux 6.9.
        cookie: u64,
    }
}

attr! {
    /// Attaches a program; returns a link, which detaches when its last descriptor and pin are gone.
    /// Linux 5.7. What [`link_create`](crate::sys::link_create) makes of a [`LinkCreate`].
    #[doc(alias = "BPF_LINK_CREATE")]
    RawLinkCreate<'a> {
        /// The program (or the struct_ops map).
        prog_fd: Fd<'a>,
        /// Cgroup, netns, perf event, map ... descriptor, or interface index.
        target_fd: TargetFd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `XDP_FLAGS_*`, `BPF_F_BEFORE` ... by attach type.
        flags: u32,
        /// A union in the kernel, by attach type.
        extra: LinkUnion,
    }
}

/// The attach type's own part of [`RawLinkCreate`]: a union in the kernel, 48 bytes here.
#[repr(transparent)]
#[derive(Default, Clone, Copy)]
pub struct LinkUnion([u64; 6]);

/// A link to make: what [`link_create`](crate::sys::link_create) takes.
#[derive(Default, Clone, Copy)]
pub struct LinkCreate<'a> {
    /// The program (or the struct_ops map).
    pub prog_fd: Fd<'a>,
    /// Cgroup, netns, perf event, map ... descriptor, or interface index.
    pub target_fd: TargetFd<'a>,
    /// The hook.
    pub attach_type: AttachType,
    /// `XDP_FLAGS_*`, `BPF_F_BEFORE` ... by attach type.
    pub flags: u32,
    /// What this attach type wants besides.
    pub extra: LinkExtra<'a>,
}

impl<'a> LinkCreate<'a> {
    /// As the kernel reads it; `None` if what it wants besides is not what this attach type takes.
    pub(in crate::sys) fn raw(&self) -> Option<RawLinkCreate<'a>> {
        let lists = Lists::of(self.attach_type);
        (self.extra.lists == lists || self.extra.words == [0; 6]).then_some(RawLinkCreate {
            prog_fd: self.prog_fd,
            target_fd: self.target_fd,
            attach_type: self.attach_type,
            flags: self.flags,
            extra: LinkUnion(self.extra.words),
        })
    }
}

/// What an attach type wants besides program and target: a variant of the kernel's union.
#[derive(Default, Clone, Copy)]
pub struct LinkExtra<'a> {
    words: [u64; 6],
    lists: Lists,
    borrows: PhantomData<&'a ()>,
}

/// Which pointers the kernel finds in the union, which it reads as the attach type says. A variant of numbers alone
/// would be taken for addresses by a hook whose variant has pointers.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Lists {
    #[default]
    None,
    Iter,
    Kprobes,
    Uprobes,
    Functions,
}

impl Lists {
    fn of(attach_type: AttachType) -> Lists {
        match attach_type {
            AttachType::TraceIter => Lists::Iter,
            AttachType::TraceKprobeMulti | AttachType::TraceKprobeSession => Lists::Kprobes,
            AttachType::TraceUprobeMulti | AttachType::TraceUprobeSession => Lists::Uprobes,
            AttachType::TraceFentryMulti | AttachType::TraceFexitMulti | AttachType::TraceFsessionMulti => {
                Lists::Functions
            }
            _ => Lists::None,
        }
    }
}

impl<'a> LinkExtra<'a> {
    fn words(words: [u64; 6]) -> Self {
        LinkExtra::with(Lists::None, words)
    }

    fn with(lists: Lists, words: [u64; 6]) -> Self {
        LinkExtra { words, lists, borrows: PhantomData }
    }

    /// Two u32 fields that share a word of the union, in memory order.
    fn pair(first: u32, second: u32) -> u64 {
        let [a, b, c, d] = first.to_ne_bytes();
        let [e, f, g, h] = second.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// `perf_event.bpf_cookie`: kprobes, uprobes, tracepoints; Linux 5.15.
    pub fn perf_event(cookie: u64) -> Self {
        Self::words([cookie, 0, 0, 0, 0, 0])
    }

    /// `tracing.target_btf_id`, `tracing.cookie`: fentry and its kin, freplace, LSM.
    pub fn tracing(target_btf_id: u32, cookie: u64) -> Self {
        Self::words([Self::pair(target_btf_id, 0), cookie, 0, 0, 0, 0])
    }

    /// `iter_info`, `iter_info_len`; Linux 5.8.
    pub fn iter(info: &'a [u8]) -> Self {
        Self::with(Lists::Iter, [Ptr::to(info).0, Self::pair(info.len() as u32, 0), 0, 0, 0, 0])
    }

    /// `kprobe_multi`: places, with as many cookies as places, or none; Linux 5.18. `None` if the lengths differ.
    pub fn kprobe_multi(flags: u32, places: KprobePlaces<'a>, cookies: &'a [u64]) -> Option<Self> {
        let (syms, addrs, count) = match places {
            KprobePlaces::Names(names) => (Ptr::to(names).0, 0, names.len()),
            KprobePlaces::Addresses(addrs) => (0, Ptr::to(addrs).0, addrs.len()),
        };
        let cookies = beside(count, cookies)?;
        let head = Self::pair(flags, u32::try_from(count).ok()?);
        Some(Self::with(Lists::Kprobes, [head, syms, addrs, cookies, 0, 0]))
    }

    /// `uprobe_multi`: places in a file, with as many counters of references and cookies as places, or none; Linux
    /// 6.6. `None` if the lengths differ.
    pub fn uprobe_multi(
        path: &'a CStr,
        offsets: &'a [u64],
        ref_ctr_offsets: &'a [u64],
        cookies: &'a [u64],
        flags: u32,
        pid: u32,
    ) -> Option<Self> {
        let words = [
            Ptr::to_str(path).0,
            Ptr::to(offsets).0,
            beside(offsets.len(), ref_ctr_offsets)?,
            beside(offsets.len(), cookies)?,
            Self::pair(u32::try_from(offsets.len()).ok()?, flags),
            Self::pair(pid, 0),
        ];
        Some(Self::with(Lists::Uprobes, words))
    }

    /// `netfilter.{pf, hooknum, priority, flags}`; Linux 6.4.
    pub fn netfilter(pf: u32, hook: u32, priority: i32, flags: u32) -> Self {
        Self::words([Self::pair(pf, hook), Self::pair(priority as u32, flags), 0, 0, 0, 0])
    }

    /// `tcx`, `netkit`, `cgroup`: `{relative_fd | relative_id, expected_revision}`; Linux 6.6.
    pub fn ordered(relative: u32, expected_revision: u64) -> Self {
        Self::words([Self::pair(relative, 0), expected_revision, 0, 0, 0, 0])
    }

    /// `tracing_multi.{ids, cookies, cnt}`, with as many cookies as ids, or none; Linux 7.2. `None` if the lengths
    /// differ.
    pub fn tracing_multi(ids: &'a [u32], cookies: &'a [u64]) -> Option<Self> {
        let count = u32::try_from(ids.len()).ok()?;
        let words = [Ptr::to(ids).0, beside(ids.len(), cookies)?, Self::pair(count, 0), 0, 0, 0];
        Some(Self::with(Lists::Functions, words))
    }
}

/// Where a `kprobe_multi` link is to stand.
#[derive(Clone, Copy)]
pub enum KprobePlaces<'a> {
    /// Names of functions, NUL-terminated.
    Names(&'a [StrPtr<'a>]),
    /// Addresses.
    Addresses(&'a [u64]),
}

/// A pointer to a NUL-terminated string, in a list of them.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct StrPtr<'a>(Ptr<'a, u8>);

impl<'a> StrPtr<'a> {
    /// Points to a string.
    pub fn to(s: &'a CStr) -> Self {
        StrPtr(Ptr::to_str(s))
    }
}

/// The address of a list that is as long as the one beside it, or empty.
fn beside(count: usize, list: &[u64]) -> Option<u64> {
    (list.is_empty() || list.len() == count).then(|| Ptr::to(list).0)
}

impl AttrField for LinkUnion {
    fn show(&self) -> Option<String> {
        let last = self.0.iter().rposition(|&w| w != 0)?;
        let words = self.0.iter().take(last + 1).map(|w| format!("{w:#x}")).collect::<Vec<_>>();
        Some(format!("[{}]", words.join(", ")))
    }
}

attr! {
    /// Puts another program behind a link, atomically. Linux 5.7.
    #[doc(alias = "BPF_LINK_UPDATE")]
    LinkUpdate<'a> {
        /// The link.
        link_fd: Fd<'a>,
        /// The new program (or struct_ops map).
        new_prog_fd: Fd<'a>,
        /// `BPF_F_REPLACE` if `old_prog_fd` is given.
        flags: u32,
        /// Fail unless this program is behind the link now.
        old_prog_fd: Fd<'a>,
    }
}

attr! {
    /// Detaches a link by force: the link object stays, without effect. Linux 5.9.
    #[doc(alias = "BPF_LINK_DETACH")]
    LinkDetach<'a> {
        /// The link.
        link_fd: Fd<'a>,
    }
}

attr! {
    /// Starts an iterator; returns a descriptor to read from. Linux 5.8.
    #[doc(alias = "BPF_ITER_CREATE")]
    IterCreate<'a> {
        /// The iterator's link.
        link_fd: Fd<'a>,
        /// None defined.
        flags: u32,
    }
}
