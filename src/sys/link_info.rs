//! The parts of `struct bpf_link_info` that the kernel writes to buffers of the caller's: names, and lists that are
//! as long as the link has targets.
//!
//! The struct's union holds the pointers and the room behind them. An older kernel that knows the link type but not
//! its details leaves the union as it got it, so every question is first put with a union of zeros: what stays zero
//! is not told, and only what is told is asked for again with room for it.
//!
//! The kernel reads the union as the link's type says, so a question with pointers in it is put to links of its own
//! type only: asked for a name, a `kprobe_multi` link would take the length of the buffer for a count of addresses.
//! The type of a link never changes.

use super::ask::obj_info;
use super::attr::PtrMut;
use super::errno::{Errno, SysError};
use super::info::RawLinkInfo;
use super::object::LinkFd;
use crate::uapi::LinkType;

/// The most targets of one link that are listed.
const MOST: u32 = 1 << 20;

/// What the kernel says of a link; names and lists in its union are not fetched.
pub fn link_info(link: &LinkFd) -> Result<RawLinkInfo, SysError> {
    let mut info = RawLinkInfo::default();
    // SAFETY: a link, and no pointer is set: the union is zero. Test:
    // `sound_attacks::questions_to_links_of_other_kinds`.
    unsafe { obj_info(link, &mut info) }?;
    Ok(info)
}

/// The same, if the link is of this type; `EINVAL` if not.
fn info_of(link: &LinkFd, link_type: LinkType) -> Result<RawLinkInfo, SysError> {
    let info = link_info(link)?;
    if info.link_type == link_type {
        return Ok(info);
    }
    Err(SysError::other("asking a link of another type", Errno::EINVAL))
}

/// A link's info with its name: the tracepoint of a `raw_tracepoint` link, the iterator of an `iter` link, the
/// tracepoint, function or file of a `perf_event` link. Empty for links of other types, and where the kernel does not
/// tell.
pub fn link_info_with_name(link: &LinkFd) -> Result<(RawLinkInfo, String), SysError> {
    let head = link_info(link)?;
    // Where the pointer stands in the union; its length, a u32, follows.
    let at = match head.link_type {
        LinkType::RawTracepoint | LinkType::Iter => 0,
        LinkType::PerfEvent if perf_event_has_name(head.u32_at(0)) => 1,
        _ => return Ok((head, String::new())),
    };
    let mut name = vec![0u8; 4096];
    let mut info = RawLinkInfo::default();
    let room = pair(name.len() as u32, 0);
    for (word, value) in info.extra.iter_mut().skip(at).zip([PtrMut::to(&mut name).address(), room]) {
        *word = value;
    }
    // SAFETY: a link of a type that has a name at this place: one pointer with its length. Test:
    // `sound_attacks::questions_to_links_of_other_kinds`.
    unsafe { obj_info(link, &mut info) }?;
    Ok((info, text(&name)))
}

/// By `enum bpf_perf_event_type`: probes (1 to 4) and tracepoints (5) have a name where a plain event has numbers.
fn perf_event_has_name(kind: u32) -> bool {
    (1..=5).contains(&kind)
}

/// The lists of a link with many targets: equally long, or empty where the kernel does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkTargets {
    /// Addresses (kprobe.multi), file offsets (uprobe.multi), BTF type ids (tracing.multi).
    pub places: Vec<u64>,
    /// Offsets of the reference counters (uprobe.multi).
    pub ref_ctr_offsets: Vec<u64>,
    /// Cookies.
    pub cookies: Vec<u64>,
}

/// The targets of a `kprobe_multi` link; `EINVAL` for others. Linux 6.6; cookies 6.9. Addresses are zero for callers that may not see
/// them (`kernel.kptr_restrict`).
pub fn kprobe_multi_targets(link: &LinkFd) -> Result<(RawLinkInfo, LinkTargets), SysError> {
    let head = info_of(link, LinkType::KprobeMulti)?;
    let count = head.u32_at(2).min(MOST);
    if count == 0 {
        return Ok((head, LinkTargets::default()));
    }
    let mut with_cookies = true;
    loop {
        let mut places = vec![0u64; count as usize];
        let mut cookies = vec![0u64; if with_cookies { count as usize } else { 0 }];
        let places_at = PtrMut::to(&mut places).address();
        let cookies_at = PtrMut::to(&mut cookies).address();
        let mut info = asking([places_at, pair(count, 0), 0, cookies_at, 0, 0]);
        // SAFETY: a kprobe_multi link; both lists have room for `count` numbers. Test:
        // `sound_attacks::questions_to_a_link_with_many_places`.
        match unsafe { obj_info(link, &mut info) } {
            Err(e) if with_cookies && is_unknown(e) => with_cookies = false,
            other => {
                return other.map(|()| (head, LinkTargets { places, cookies, ..Default::default() }));
            }
        }
    }
}

/// The file and the targets of a `uprobe_multi` link; `EINVAL` for others. Linux 6.8.
pub fn uprobe_multi_targets(link: &LinkFd) -> Result<(RawLinkInfo, String, LinkTargets), SysError> {
    let head = info_of(link, LinkType::UprobeMulti)?;
    let count = head.u32_at(9).min(MOST);
    if count == 0 {
        return Ok((head, String::new(), LinkTargets::default()));
    }
    let list = || vec![0u64; count as usize];
    let (mut path, mut places, mut ref_ctr_offsets, mut cookies) = (vec![0u8; 4096], list(), list(), list());
    let mut info = asking([
        PtrMut::to(&mut path).address(),
        PtrMut::to(&mut places).address(),
        PtrMut::to(&mut ref_ctr_offsets).address(),
        PtrMut::to(&mut cookies).address(),
        pair(path.len() as u32, count),
        0,
    ]);
    // SAFETY: a uprobe_multi link; the path with its length, and three lists with room for `count` numbers. Test:
    // `sound_attacks::questions_to_a_link_with_many_places`.
    unsafe { obj_info(link, &mut info) }?;
    Ok((head, text(&path), LinkTargets { places, ref_ctr_offsets, cookies }))
}

/// The targets of a `tracing_multi` link; `EINVAL` for others. Linux 7.2.
pub fn tracing_multi_targets(link: &LinkFd) -> Result<(RawLinkInfo, LinkTargets), SysError> {
    let head = info_of(link, LinkType::TracingMulti)?;
    let count = head.u32_at(1).min(MOST);
    if count == 0 {
        return Ok((head, LinkTargets::default()));
    }
    let (mut ids, mut cookies) = (vec![0u32; count as usize], vec![0u64; count as usize]);
    let (ids_at, cookies_at) = (PtrMut::to(&mut ids).address(), PtrMut::to(&mut cookies).address());
    let mut info = asking([pair(0, count), 0, ids_at, 0, cookies_at, 0]);
    // SAFETY: a tracing_multi link; both lists have room for `count` numbers. Test:
    // `sound_attacks::questions_to_a_link_with_many_places`.
    unsafe { obj_info(link, &mut info) }?;
    let places = ids.into_iter().map(u64::from).collect();
    Ok((head, LinkTargets { places, cookies, ..Default::default() }))
}

/// An info whose union asks for something.
fn asking(extra: [u64; 6]) -> RawLinkInfo {
    RawLinkInfo { extra, ..Default::default() }
}

/// An older kernel met a field that it does not know.
fn is_unknown(e: SysError) -> bool {
    [Errno::E2BIG, Errno::EINVAL].contains(&e.errno)
}

/// Two u32 fields that share a word of the union, in memory order.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn text(buffer: &[u8]) -> String {
    let text = buffer.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
