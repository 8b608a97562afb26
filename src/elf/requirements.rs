//! What an object asks of a kernel: every program type, hook, map type, map flag, helper, kfunc and instruction in it,
//! each with the first release that has it.
//!
//! The oldest kernel that can have the object is the newest of these releases. It is a lower bound: code that
//! the verifier never reaches may ask for more than is needed, and what the types of a kernel decide (CO-RE
//! fields, hooks by name, kfuncs that were taken away again) is in no release's notes; `rawbpf plan --kernel FILE`
//! asks those.
//!
//! | instructions (RFC 9669 group, `-mcpu`) | since |
//! |---|---|
//! | base32, base64, divmul32/64, atomic add, packet loads (v1) | 3.18 |
//! | `if r0 < r1` and its kin the other way round (v2) | 4.14 |
//! | calls of functions of the object | 4.16 |
//! | 32-bit comparisons (v3) | 5.1 |
//! | addresses of globals | 5.2 |
//! | jumps backwards: loops | 5.3 |
//! | variables of the kernel by BTF | 5.10 |
//! | the other atomic operations (v3) | 5.12 |
//! | kfuncs, callbacks | 5.13 |
//! | signed division, sign-extending moves and loads, bswap, long jumps (v4) | 6.6 |
//! | may_goto, casts between address spaces | 6.9 |
//! | load-acquire, store-release | 6.15 |
//! | jumps through a register | 6.19 |

use std::collections::BTreeMap;

use super::{
    Extern, ExternIx, ExternKind, Function, MapDef, MapOrigin, Object, ProgDef, RelocTarget, kfuncs,
};
use crate::insn::raw::pseudo;
use crate::insn::{Helper, RawInsn};
use crate::sys::map::flags;
use crate::uapi::{AttachType, ProgType, Release};

/// Something that an object asks of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What sort of thing: `program type`, `attach type`, `map type`, `map flag`, `helper`, `kfunc`,
    /// `instruction`, `feature`.
    pub kind: &'static str,
    /// What it is: a UAPI name, or in words.
    pub what: String,
    /// The first release that has it; `None` if this crate does not know it.
    pub since: Option<Release>,
    /// The programs, functions and maps that ask for it.
    pub used_by: Vec<String>,
}

/// What is asked for so far: kind and name, then since when and by whom.
type Asked = BTreeMap<(&'static str, String), (Option<Release>, Vec<String>)>;

impl Object {
    /// Everything that this object asks of a kernel, what is newest first.
    ///
    /// ```
    /// use rawbpf::elf::{MapDecl, Object};
    /// use rawbpf::uapi::{MapType, Release};
    /// let object = Object::builder("example").map(MapDecl::new("events", MapType::Ringbuf, 4096)).finish()?;
    /// let newest = &object.requirements()[0];
    /// assert_eq!((newest.what.as_str(), newest.since), ("BPF_MAP_TYPE_RINGBUF", Some(Release(5, 8, 0))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn requirements(&self) -> Vec<Requirement> {
        let mut asked = Asked::new();
        for program in &self.programs {
            let mut ask = |kind, what: String, since| note(&mut asked, kind, what, since, program.name());
            if let Some(ty) = program.prog_type {
                ask("program type", format!("{ty:?}"), ty.since());
            }
            let optional = program.def.is_some_and(|d| d.attach_type_is_optional());
            // 0 is a hook only for programs at cgroups' packets; else it is "none".
            let is_hook = program.attach_type != AttachType(0) || program.section.ends_with("/ingress");
            if is_hook && !optional {
                ask("attach type", format!("{:?}", program.attach_type), program.attach_type.since());
            }
            if program.def.is_some_and(|d| d.is_sleepable()) && program.prog_type != Some(ProgType::Syscall) {
                let (what, since) = sleepable(program);
                ask("feature", what.into(), Some(since));
            }
            if program.def.is_some_and(|d| d.has_xdp_frags()) {
                ask("feature", "XDP on packets in several buffers".into(), Some(Release(5, 18, 0)));
            }
        }
        let functions = self.programs.iter().map(|p| &p.func).chain(&self.functions);
        functions.for_each(|func| code(&mut asked, func, &self.externs));
        self.maps.iter().for_each(|map| {
            let mut ask = |kind, what: String, since| note(&mut asked, kind, what, since, &map.name);
            ask("map type", format!("{:?}", map.map_type), map.map_type.since());
            if matches!(map.origin, MapOrigin::Data { .. }) {
                ask("feature", "global variables".into(), Some(Release(5, 2, 0)));
            }
            if let MapOrigin::StructOps(super::StructOps { by_link: true, .. }) = map.origin {
                ask("feature", "links of struct_ops".into(), Some(Release(6, 4, 0)));
            }
            let inner = map.inner.iter();
            inner.for_each(|i| ask("map type", format!("{:?}", i.map_type), i.map_type.since()));
            for (flag, since) in map_flags(map) {
                ask("map flag", flag, since);
            }
        });
        self.types(&mut asked);
        self.symbols(&mut asked);
        let requirement = |((kind, what), (since, used_by))| Requirement { kind, what, since, used_by };
        let mut out: Vec<Requirement> = asked.into_iter().map(requirement).collect();
        out.sort_by_key(|r| std::cmp::Reverse(r.since));
        out
    }

    /// What asks for the kernel's own types.
    fn types(&self, asked: &mut Asked) {
        for func in self.programs.iter().map(|p| &p.func).chain(&self.functions) {
            if self.core_relocations(func).next().is_some() {
                let what = "the kernel's types (CONFIG_DEBUG_INFO_BTF), for CO-RE".into();
                note(asked, "feature", what, Some(Release(5, 2, 0)), &func.name);
            }
        }
    }

    /// Symbols that the kernel must have. Those that are weak may be missing.
    fn symbols(&self, asked: &mut Asked) {
        for (i, symbol) in self.externs.iter().enumerate().filter(|(_, e)| !e.weak) {
            let (kind, since) = match symbol.kind {
                ExternKind::Function(_) => ("kfunc", kfuncs::since(&symbol.name)),
                ExternKind::Variable(_) => ("variable of the kernel", Some(Release(5, 10, 0))),
                ExternKind::Address | ExternKind::Kconfig { .. } => continue,
            };
            let uses =
                |func: &Function| func.relocs.iter().any(|r| r.target == RelocTarget::Extern(ExternIx(i)));
            for func in self.programs.iter().map(|p| &p.func).chain(&self.functions).filter(|f| uses(f)) {
                note(asked, kind, symbol.name.clone(), since, &func.name);
            }
        }
    }

    /// The oldest release that has all that this object asks for; `None` if it asks for something that this
    /// crate does not know.
    pub fn oldest_kernel(&self) -> Option<Release> {
        let all = self.requirements();
        all.iter().map(|r| r.since).try_fold(Release(3, 18, 0), |oldest, since| Some(oldest.max(since?)))
    }
}

fn note(asked: &mut Asked, kind: &'static str, what: String, since: Option<Release>, user: &str) {
    let (_, users) = asked.entry((kind, what)).or_insert_with(|| (since, Vec::new()));
    if !users.iter().any(|u| u == user) {
        users.push(user.into());
    }
}

/// Programs that may sleep: which, and since when.
fn sleepable(program: &ProgDef) -> (&'static str, Release) {
    match (program.prog_type, program.attach_type) {
        (Some(ProgType::Kprobe), _) => ("uprobes that may sleep", Release(6, 0, 0)),
        (_, AttachType::TraceIter) => ("iterators that may sleep", Release(5, 18, 0)),
        _ => ("sleepable programs", Release(5, 10, 0)),
    }
}

/// The flags of maps, and the releases that brought them.
const MAP_FLAGS: &[(u32, Release)] = &[
    (flags::NO_PREALLOC, Release(4, 6, 0)),
    (flags::NO_COMMON_LRU, Release(4, 10, 0)),
    (flags::NUMA_NODE, Release(4, 14, 0)),
    (flags::RDONLY, Release(4, 15, 0)),
    (flags::WRONLY, Release(4, 15, 0)),
    (flags::STACK_BUILD_ID, Release(4, 17, 0)),
    (flags::ZERO_SEED, Release(5, 0, 0)),
    (flags::RDONLY_PROG, Release(5, 2, 0)),
    (flags::WRONLY_PROG, Release(5, 2, 0)),
    (flags::CLONE, Release(5, 4, 0)),
    (flags::MMAPABLE, Release(5, 5, 0)),
    (flags::PRESERVE_ELEMS, Release(5, 10, 0)),
    (flags::INNER_MAP, Release(5, 10, 0)),
    (flags::SEGV_ON_FAULT, Release(6, 9, 0)),
    (flags::NO_USER_CONV, Release(6, 9, 0)),
    (flags::RB_OVERWRITE, Release(6, 19, 0)),
];

/// The flags that a map is declared with. Those of other maps are the loader's doing, and left out where they are lacking.
fn map_flags(map: &MapDef) -> Vec<(String, Option<Release>)> {
    let all = std::iter::once(map).chain(map.inner.as_deref()).filter(|m| m.origin == MapOrigin::Declared);
    let set = all.fold(0, |set, map| set | map.flags);
    let bits = (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| set & bit != 0);
    bits.map(|bit| {
        let name =
            flags::NAMES.iter().find(|(flag, _)| *flag == bit).map(|(_, name)| format!("BPF_F_{name}"));
        let since = MAP_FLAGS.iter().find(|(flag, _)| *flag == bit).map(|(_, since)| *since);
        (name.unwrap_or_else(|| format!("map_flags {bit:#x}")), since)
    })
    .collect()
}

/// What the instructions of a function ask for.
fn code(asked: &mut Asked, func: &Function, externs: &[Extern]) {
    let mut second = false;
    for (i, insn) in func.insns.iter().enumerate() {
        if std::mem::take(&mut second) {
            continue;
        }
        second = insn.is_lddw();
        let target = func.relocs.iter().find(|r| r.at.0 as usize == i).map(|r| r.target);
        // A kernel without a weak symbol takes the program all the same, if it never gets there.
        if matches!(target, Some(RelocTarget::Extern(ix)) if externs.get(ix.0).is_some_and(|e| e.weak)) {
            continue;
        }
        if insn.is_helper_call() && target.is_none() {
            let helper = Helper(u32::try_from(insn.imm).unwrap_or(u32::MAX));
            let name = helper.uapi().map_or_else(|| helper.to_string(), str::to_string);
            note(asked, "helper", name, helper.since(), &func.name);
        }
        if let Some((what, since)) = instruction(*insn, target) {
            note(asked, "instruction", what.into(), Some(since), &func.name);
        }
    }
}

/// What is newer than the first kernel with BPF in an instruction.
fn instruction(insn: RawInsn, target: Option<RelocTarget>) -> Option<(&'static str, Release)> {
    let (class, op, mode) = (insn.opcode & 7, insn.opcode & 0xf0, insn.opcode & 0xe0);
    let by_register = insn.opcode & 8 != 0;
    Some(match (class, op) {
        (0, _) if insn.is_lddw() => return address(insn, target),
        (1, _) if mode == 0x80 => ("sign-extending loads", Release(6, 6, 0)),
        (3, _) if mode == 0xc0 => match insn.imm {
            0 => return None,
            0x100 | 0x110 => ("load-acquire and store-release", Release(6, 15, 0)),
            _ => ("atomic operations that are more than an addition", Release(5, 12, 0)),
        },
        (4 | 7, 0x30 | 0x90) if insn.off == 1 => ("signed division and remainder", Release(6, 6, 0)),
        (7, 0xd0) => ("byte swap (bswap)", Release(6, 6, 0)),
        (7, 0xb0) if by_register && insn.off == 1 => ("casts between address spaces", Release(6, 9, 0)),
        (4 | 7, 0xb0) if by_register && insn.off > 1 => ("sign-extending moves", Release(6, 6, 0)),
        (5, 0x80) => match (insn.src, target) {
            (pseudo::KFUNC_CALL, _) | (_, Some(RelocTarget::Extern(_))) => {
                ("calls of kernel functions (kfuncs)", Release(5, 13, 0))
            }
            (pseudo::CALL, _) => ("calls of functions of the object", Release(4, 16, 0)),
            _ => return None,
        },
        (5, 0x00) if by_register => ("jumps through a register", Release(6, 19, 0)),
        (6, 0x00) => ("jumps farther than 32767 instructions (gotol)", Release(6, 6, 0)),
        (5, 0xe0) => ("may_goto", Release(6, 9, 0)),
        (5 | 6, 0x90) => return None,
        (6, _) => ("32-bit comparisons (-mcpu=v3)", Release(5, 1, 0)),
        (5, _) if insn.off < 0 => ("jumps backwards (loops)", Release(5, 3, 0)),
        (5, 0xa0 | 0xb0 | 0xc0 | 0xd0) => ("comparisons for less (-mcpu=v2)", Release(4, 14, 0)),
        _ => return None,
    })
}

/// What a 64-bit load is the address of.
fn address(insn: RawInsn, target: Option<RelocTarget>) -> Option<(&'static str, Release)> {
    Some(match (target, insn.src) {
        (Some(RelocTarget::MapValue { .. }), _) | (None, pseudo::MAP_VALUE) => {
            ("addresses of global variables", Release(5, 2, 0))
        }
        (Some(RelocTarget::FuncAddr(_)), _) | (None, pseudo::FUNC) => {
            ("addresses of functions (callbacks)", Release(5, 13, 0))
        }
        (Some(RelocTarget::JumpTable { .. }), _) => ("jump tables", Release(6, 19, 0)),
        (None, pseudo::BTF_ID) => ("variables of the kernel by BTF", Release(5, 10, 0)),
        _ => return None,
    })
}
