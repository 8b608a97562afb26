//! The features that kernels differ in: one table, one probe each.
//!
//! A feature is asked for by *doing* the thing in small and looking at what the kernel answers, never by
//! comparing release numbers (distributions backport) and never by the text of a message (it changes).
//! The answer has three values. *No* means that the kernel was asked and refuses this very thing;
//! everything that prevents asking, such as missing privileges, is *unknown*, and unknown never stops a
//! load: the real call will tell.

use super::answer::Answer;
use std::sync::OnceLock;

use super::{Kernel, probe};
use crate::uapi::Release;

/// A row of the feature table.
pub struct FeatureDef {
    /// The feature.
    pub feature: Feature,
    /// What it is, in a few words.
    pub name: &'static str,
    /// The first release that has it.
    pub since: Release,
    /// How the kernel is asked: what is done in small.
    pub asked_by: &'static str,
    /// What rawbpf does on a kernel without it.
    pub without: &'static str,
    probe: fn() -> Answer,
}

impl FeatureDef {
    /// Asks the running kernel by doing the thing, whatever its release. [`Kernel::has`] is what a load uses:
    /// it believes the release where that is enough, and asks once.
    pub fn ask(&self) -> Answer {
        (self.probe)()
    }
}

macro_rules! features {
    ($($(#[$meta:meta])* $feature:ident: $name:literal, $major:literal . $minor:literal, $probe:expr, $asked_by:literal, $without:literal;)*) => {
        /// Something that a kernel may have or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature { $(#[doc = concat!($name, "; Linux ", $major, ".", $minor, ".")] $(#[$meta])* $feature,)* }

        /// Every feature, in the order of the enumeration.
        pub static TABLE: &[FeatureDef] = &[$(FeatureDef {
            feature: Feature::$feature,
            name: $name,
            since: Release($major, $minor, 0),
            asked_by: $asked_by,
            without: $without,
            probe: $probe,
        }),*];
    };
}

features! {
    ProgName: "names of programs and maps", 4 . 15, probe::prog_name, "a program with a name is loaded", "names are left out";
    GlobalData: "global variables in maps", 5 . 2, probe::global_data, "a program with the address of a map value is loaded", "data maps are not created; code that reaches them is refused";
    Btf: "types of programs and maps (BTF)", 4 . 18, probe::btf, "an int is loaded as BTF", "types are not loaded";
    BtfFunc: "function types in BTF", 5 . 0, probe::btf_func, "a static function is loaded as BTF", "function types become typedefs; no source lines in the kernel";
    BtfDatasec: "variables and sections in BTF", 5 . 2, probe::btf_datasec, "a variable in a section is loaded as BTF", "sections become structs, variables integers";
    BtfGlobalFunc: "global functions, verified on their own", 5 . 6, probe::btf_global_func, "a global function is loaded as BTF", "functions become static";
    BtfFloat: "floating-point types in BTF", 5 . 13, probe::btf_float, "a float is loaded as BTF", "they become empty structs of the same size";
    BtfDeclTag: "declaration tags in BTF", 5 . 16, probe::btf_decl_tag, "a tagged variable is loaded as BTF", "they become integers";
    BtfTypeTag: "type tags in BTF", 5 . 17, probe::btf_type_tag, "a tagged pointer is loaded as BTF", "they become const";
    BtfEnum64: "64-bit enumerations in BTF", 6 . 0, probe::btf_enum64, "an enum64 is loaded as BTF", "they become unions";
    BtfQmarkDatasec: "section names with `?` in BTF", 6 . 9, probe::btf_qmark, "a section `?.data` is loaded as BTF", "the `?` becomes `_`";
    BtfLayout: "layout section in BTF", 7 . 2, probe::btf_layout, "BTF with a layout section is loaded", "the section is removed";
    ArrayMmap: "memory-mapped arrays", 5 . 5, probe::array_mmap, "an array with BPF_F_MMAPABLE is made", "global variables are read and written by system calls";
    ExpAttachType: "expected attach type", 4 . 17, probe::expected_attach_type, "a cgroup/sock program with an expected attach type is loaded", "it is left out where the section allows that";
    ProbeReadKernel: "bpf_probe_read_kernel", 5 . 5, probe::probe_read_kernel, "a program that calls the helper is loaded", "calls become bpf_probe_read";
    ProgBindMap: "keeping maps with programs that do not use them", 5 . 10, probe::prog_bind_map, "a map is bound to a program", "metadata maps live only as long as they are pinned";
    PerfLink: "links for perf events", 5 . 15, probe::perf_link, "a link to no descriptor is asked for: EBADF, not EINVAL", "programs are attached by ioctl, without a cookie";
    MemcgAccount: "map memory counted by cgroup", 5 . 11, probe::memcg_account, "a program that calls bpf_ktime_get_coarse_ns, of the same release, is loaded", "RLIMIT_MEMLOCK is raised";
    UprobeMulti: "uprobe.multi links", 6 . 6, probe::uprobe_multi, "a link to `/` is asked for: EBADF; then for pid -1: EINVAL", "USDT programs get one uprobe per site";
    AttachCookie: "attach cookies", 5 . 15, probe::attach_cookie, "a program that calls bpf_get_attach_cookie is loaded", "USDT arguments are found by address";
    WideMapOffset: "offsets of 512 MiB and more in map addresses", 6 . 19, probe::wide_map_offset, "an address 1 GiB into an arena is loaded", "arena globals begin at the arena's start";
    SyscallWrapper: "wrapped system call functions", 4 . 17, probe::syscall_wrapper, "/proc/kallsyms has __ARCH_sys_bpf", "ksyscall attaches to __se_sys_NAME";
}

/// The table's row.
pub fn def(feature: Feature) -> &'static FeatureDef {
    // The table is made from the same list as the enumeration, in the same order.
    TABLE.get(feature as usize).unwrap_or(&TABLE[0])
}

/// Features that a kernel of the right release may still lack, by its configuration or architecture. All
/// others are part of `bpf(2)` itself: a release that brought one has it, and only for an older release (a
/// distribution may have backported it) is there something to probe.
fn is_optional(feature: Feature) -> bool {
    matches!(
        feature,
        Feature::SyscallWrapper
            | Feature::WideMapOffset
            | Feature::UprobeMulti
            | Feature::PerfLink
            | Feature::ArrayMmap
    )
}

/// What the running kernel answered. It stays the same as long as the process runs, so all objects share it; whoever
/// could not be answered may have got the privileges since, and asks again.
static RUNNING: [OnceLock<Answer>; TABLE.len()] = [const { OnceLock::new() }; TABLE.len()];

/// Whether a kernel has a feature.
pub(super) fn ask(kernel: &Kernel, feature: Feature) -> Answer {
    let def = def(feature);
    if !kernel.is_host() {
        return if kernel.release() >= def.since {
            Answer::Yes
        } else {
            Answer::No(format!("it came with Linux {}", def.since))
        };
    }
    if kernel.release() >= def.since && !is_optional(feature) {
        return Answer::Yes;
    }
    let known = &RUNNING[feature as usize];
    match known.get() {
        Some(answer) => answer.clone(),
        None => match (def.probe)() {
            unknown @ Answer::Unknown(_) => unknown,
            answer => known.get_or_init(|| answer).clone(),
        },
    }
}
