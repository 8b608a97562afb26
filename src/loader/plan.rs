//! The plan: every call that loading an object will make, before any of them happens.

use super::poison::Poison;
use std::sync::Arc;

use super::info::Records;
use super::jump_table::JumpTable;
use super::map_plan::MapPlan;
use super::target::AttachTarget;
use super::token::TokenPlan;
use crate::btf::Btf;
use crate::elf::{MapIx, ProgIx, Site};
use crate::insn::{InsnIx, RawInsn};
use crate::uapi::{AttachType, ProgType};

/// Everything that loading an object on one kernel will do, in order.
///
/// Maps keep the numbers ([`MapIx`]) that they have in the object; programs are those that will be loaded.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The object's name.
    pub object: String,
    /// The types that will be given to the kernel.
    pub btf: Option<BtfPlan>,
    /// One for each map of the object.
    pub maps: Vec<MapPlan>,
    /// The programs that will be loaded.
    pub programs: Vec<ProgPlan>,
    /// The programs that will not be, and why.
    pub skipped: Vec<SkippedProgram>,
    /// The calls, in order.
    pub steps: Vec<PlanStep>,
    /// BPF token to make first.
    pub token: Option<TokenPlan>,
    /// Verifier log level of a first try.
    pub log_level: u32,
    /// Where global variables begin in the object's arena, in bytes.
    pub arena_offset: u32,
    /// Bytes of a page of the machine.
    pub(super) page_size: u32,
    /// The types of the object, for reading its maps.
    pub(super) types: Option<Arc<Btf>>,
}

impl Plan {
    /// The types of the object, for reading its maps.
    pub fn types(&self) -> Option<&Arc<Btf>> {
        self.types.as_ref()
    }
}

/// The types of an object as this kernel takes them.
#[derive(Debug, Clone)]
pub struct BtfPlan {
    /// The BTF, without what the kernel would refuse.
    pub bytes: Vec<u8>,
    /// The object cannot be loaded without it.
    pub required: bool,
}

/// One call, or what belongs to one map or program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "Step")]
pub enum PlanStep {
    /// Raise `RLIMIT_MEMLOCK`: before Linux 5.11 map memory counts against it.
    RaiseMemlock,
    /// `BPF_BTF_LOAD`.
    BtfLoad,
    /// `BPF_MAP_CREATE`, or `BPF_OBJ_GET` if it is pinned already.
    MapCreate(MapIx),
    /// `BPF_MAP_UPDATE_ELEM`: the first contents.
    MapFill(MapIx),
    /// `BPF_MAP_FREEZE`: no more writes from user space.
    MapFreeze(MapIx),
    /// `BPF_MAP_UPDATE_ELEM`: elements that are maps.
    MapSlots(MapIx),
    /// `BPF_PROG_LOAD` of the n-th program of the plan.
    ProgLoad(usize),
    /// `BPF_PROG_BIND_MAP`: keeps a map with the n-th program.
    ProgBindMap(usize, MapIx),
    /// `BPF_MAP_UPDATE_ELEM`: elements that are programs.
    ProgSlots(MapIx),
    /// `BPF_MAP_UPDATE_ELEM`: a set of callbacks, with its programs. A link puts it to use later.
    StructOpsFill(MapIx),
}

/// A program as it will be loaded.
#[derive(Debug, Clone)]
pub struct ProgPlan {
    /// Its number in the object.
    pub ix: ProgIx,
    /// The function's name; the kernel keeps 15 letters.
    pub name: String,
    /// Section it stands in.
    pub section: String,
    /// What it is and where it attaches, as a section name; see [`ProgDef::hook`](crate::elf::ProgDef::hook).
    pub hook: String,
    /// What kind of program it is.
    pub prog_type: ProgType,
    /// The hook it is verified for.
    pub attach_type: AttachType,
    /// `BPF_F_SLEEPABLE` and others.
    pub flags: u32,
    /// The kernel function, type or program that it is bound to when it is loaded.
    pub attach: Option<AttachTarget>,
    /// The final instructions; descriptors are 0 where `patches` says so.
    pub insns: Vec<RawInsn>,
    /// Slots that will hold descriptors.
    pub patches: Vec<Patch>,
    /// Jump tables of its own, each a frozen map; [`FdOf::JumpTable`] counts them.
    pub jump_tables: Vec<JumpTable>,
    /// BTF objects of modules that kfunc calls name, from `fd_array[1]` on, by id.
    pub fd_array: Vec<u32>,
    /// What is missing on this kernel, where. Not an error unless the verifier gets there.
    pub poisons: Vec<(InsnIx, Poison)>,
    /// Functions, for the kernel.
    pub func_info: Records,
    /// Source lines, for the kernel.
    pub line_info: Records,
    /// The license; empty if there is none.
    pub license: String,
    /// `kern_version`.
    pub kern_version: u32,
    /// Send the name.
    pub named: bool,
    /// Where functions went: first slot, name, section, offset in the section.
    pub parts: Vec<PartPlan>,
}

/// A function's place in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPlan {
    /// Its first slot in the program.
    pub at: InsnIx,
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: String,
    /// How many slots it has.
    pub len: u32,
}

impl ProgPlan {
    /// The function that an instruction belongs to, and the slot within it.
    pub fn site(&self, at: InsnIx) -> Site {
        let part = self.parts.iter().rev().find(|p| p.at <= at);
        Site {
            section: part.map(|p| p.section.clone()),
            symbol: part.map(|p| p.name.clone()),
            insn: part.map(|p| InsnIx(at.0 - p.at.0)),
            line: None,
        }
    }
}

/// A slot that will hold a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The `lddw` instruction.
    pub at: InsnIx,
    /// 0: its first slot's immediate, 1: its second's.
    pub half: u8,
    /// Whose descriptor.
    pub fd_of: FdOf,
}

/// Whose descriptor an instruction wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdOf {
    /// A map of the object.
    Map(MapIx),
    /// The BTF of a module, by id.
    Module(u32),
    /// The n-th jump table of the program.
    JumpTable(usize),
}

/// A program that will not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "Skipped")]
pub struct SkippedProgram {
    /// Its name.
    pub program: String,
    /// Why not.
    pub why: String,
}
