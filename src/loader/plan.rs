//! The plan: every call that loading an object will make, before any of them happens.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::core::{CoreError, Relocator};
use super::extern_types;
use super::externs::{self, ExternError, Resolved};
use super::info::{self, Records};
use super::map_plan::{self, MapPlan};
use super::options::{Onto, Options};
use super::reloc;
use super::subprog::{self, Assembled, Body};
use super::target::{self, AttachTarget, TargetError};
use crate::btf::{Btf, BtfError};
use crate::elf::{
    DataKind, FuncIx, Function, MapIx, MapOrigin, Object, ProgDef, ProgIx, RelocTarget, Site, SlotTarget,
    section,
};
use crate::insn::{InsnIx, RawInsn};
use crate::kernel::{Feature, Kernel};
use crate::sys::attr::prog_flags;
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
    pub skipped: Vec<Skipped>,
    /// The calls, in order.
    pub steps: Vec<Step>,
    /// BPF token to make first: the bpffs directory.
    pub token: Option<PathBuf>,
    /// Verifier log level of a first try.
    pub log_level: u32,
    /// The types of the object, for reading its maps.
    pub(super) types: Option<Arc<Btf>>,
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
pub enum Step {
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
    /// What it is and where it attaches, as a section name; see [`ProgDef::hook`].
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
    /// The jump table of the `lddw` at this slot.
    JumpTable(InsnIx),
}

/// Something that this kernel or this load does not have; its uses became calls that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poison {
    /// A CO-RE relocation without a match; the text says what was wanted and what there is.
    Core(String),
    /// A map that is not created.
    Map(String),
    /// A weak kfunc.
    Extern(String),
}

/// A program that will not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub program: String,
    /// Why not.
    pub why: String,
}

/// Why an object cannot be loaded on a kernel, found out before asking it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The object is for machines of the other byte order.
    #[error("the object is {object} and this machine is {machine}; compile with `-target {target}`")]
    Endian {
        /// The object's.
        object: crate::bytes::Endian,
        /// The machine's.
        machine: crate::bytes::Endian,
        /// What to compile for.
        target: &'static str,
    },
    /// Nothing would be loaded.
    #[error("the object has no programs; its sections with code are: {sections}")]
    NoPrograms {
        /// What there is.
        sections: String,
    },
    /// A name that is not in the object.
    #[error("the object has no {what} `{name}`; it has: {known}")]
    NoSuch {
        /// `program` or `map`.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// The section name does not say what kind of program it is.
    #[error("program `{program}`: section `{section}` is not a known program type{}; name the type with --type, or put it in one of the sections that `rawbpf help sections` lists", nearest(.near))]
    UnknownSection {
        /// The program.
        program: String,
        /// Its section.
        section: String,
        /// Names that are close.
        near: Vec<&'static str>,
    },
    /// A map definition that no kernel takes.
    #[error("map `{map}`: {why}")]
    Map {
        /// The map.
        map: String,
        /// What is wrong.
        why: String,
    },
    /// Function or line records that do not fit the code.
    #[error(
        "program `{program}`: .BTF.ext has {what} records for it but none for `{function}`, which it calls"
    )]
    Info {
        /// The program.
        program: String,
        /// The function.
        function: String,
        /// `func_info` or `line_info`.
        what: &'static str,
    },
    /// The object's types could not be made fit for the kernel.
    #[error("the object's BTF cannot be adapted to this kernel")]
    Btf(#[from] BtfError),
    /// A CO-RE relocation cannot be made.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An extern cannot be resolved.
    #[error(transparent)]
    Extern(#[from] ExternError),
    /// What a program attaches to was not found.
    #[error(transparent)]
    Target(#[from] TargetError),
}

fn nearest(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) }
}

impl Object {
    /// Decides how this object will be loaded on `kernel`. Asks the kernel only what the object needs to know.
    ///
    /// # Errors
    /// [`PlanError`], naming the thing in the object that stands in the way.
    pub fn plan(&self, kernel: &Kernel, options: &Options) -> Result<Plan, PlanError> {
        let callbacks = target::exception_callbacks(self, kernel);
        Planner { object: self, kernel, options, callbacks }.plan()
    }
}

struct Planner<'a> {
    object: &'a Object,
    kernel: &'a Kernel,
    options: &'a Options,
    callbacks: HashMap<String, FuncIx>,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, PlanError> {
        self.check_endian()?;
        let (chosen, skipped) = self.choose()?;
        let (resolved, kconfig) = externs::resolve(self.object, self.kernel)?;
        let mut maps = map_plan::all(self.object, self.kernel, self.options)?;
        for map in &mut maps {
            if matches!(map.origin, MapOrigin::Data { kind: DataKind::Kconfig, .. }) {
                map.contents = Some(kconfig.clone());
            }
        }
        let btf = self.btf(&maps)?;
        let bodies = self.bodies(&chosen)?;
        let mut programs = Vec::new();
        for (ix, body) in chosen.iter().zip(&bodies.mains) {
            if let Some(def) = self.object.programs.get(ix.0) {
                programs.push(self.program(
                    *ix,
                    def,
                    body,
                    &bodies.functions,
                    &maps,
                    &resolved,
                    btf.is_some(),
                )?);
            }
        }
        let steps = self.steps(btf.is_some(), &maps, &programs);
        Ok(Plan {
            object: self.object.name.clone(),
            btf,
            maps,
            programs,
            skipped,
            steps,
            token: self.options.token.clone(),
            log_level: self.options.log_level,
            types: self.object.btf.clone(),
        })
    }

    fn check_endian(&self) -> Result<(), PlanError> {
        let (object, machine) = (self.object.endian, self.kernel.endian());
        if object == machine {
            return Ok(());
        }
        let target = if machine == crate::bytes::Endian::Big { "bpfeb" } else { "bpfel" };
        Err(PlanError::Endian { object, machine, target })
    }

    /// Which programs will be loaded.
    fn choose(&self) -> Result<(Vec<ProgIx>, Vec<Skipped>), PlanError> {
        let names = || self.object.programs.iter().map(ProgDef::name).collect::<Vec<_>>().join(", ");
        let bound = self.options.onto.iter().map(|onto| &onto.program);
        for wanted in self.options.only.iter().chain(bound) {
            if self.object.program(wanted).is_none() {
                return Err(PlanError::NoSuch { what: "program", name: wanted.clone(), known: names() });
            }
        }
        if self.object.programs.is_empty() && !self.object.functions.is_empty() {
            let sections =
                "`.text` only, whose functions are for others to call; put the entry function in SEC(...)";
            return Err(PlanError::NoPrograms { sections: sections.into() });
        }
        let (mut chosen, mut skipped) = (Vec::new(), Vec::new());
        for (i, def) in self.object.programs.iter().enumerate() {
            let why = match self.options.only.as_slice() {
                [] if def.autoload => None,
                [] => Some("its section begins with `?`"),
                only if only.iter().any(|name| name == def.name()) => None,
                _ => Some("it was not asked for"),
            };
            match why {
                None => chosen.push(ProgIx(i)),
                Some(why) => skipped.push(Skipped { program: def.name().into(), why: why.into() }),
            }
        }
        Ok((chosen, skipped))
    }

    /// The object's types as this kernel takes them; `None` if it takes none.
    fn btf(&self, maps: &[MapPlan]) -> Result<Option<BtfPlan>, PlanError> {
        let Some(btf) = self.object.btf.as_deref() else { return Ok(None) };
        let required = maps.iter().any(|m| matches!(m.origin, MapOrigin::StructOps(_)));
        if self.kernel.has(Feature::Btf).is_no() {
            return Ok(None);
        }
        let settled = extern_types::settle(btf, self.object)?;
        let bytes = super::sanitize::for_kernel(settled.as_ref().unwrap_or(btf), self.kernel)?;
        Ok(Some(BtfPlan { bytes, required }))
    }

    /// CO-RE, once for each function: subprograms are shared by the programs that call them.
    fn bodies(&self, chosen: &[ProgIx]) -> Result<Bodies, PlanError> {
        let plain = |f: &Function| Body { insns: f.insns.clone(), poisons: Vec::new() };
        let mains: Vec<&Function> =
            chosen.iter().filter_map(|ix| self.object.programs.get(ix.0)).map(|p| &p.func).collect();
        let callbacks = self.callbacks.values().filter_map(|ix| self.object.functions.get(ix.0));
        let roots: Vec<&Function> = mains.iter().copied().chain(callbacks).collect();
        let mut reached = reached(self.object, &roots);
        reached.extend(self.callbacks.values());
        let mut out = Bodies {
            mains: mains.iter().map(|f| plain(f)).collect(),
            functions: self.object.functions.iter().map(plain).collect(),
        };
        let (Some(btf), Some(ext)) = (self.object.btf.as_deref(), self.object.ext.as_deref()) else {
            return Ok(out);
        };
        if ext.core_relo().next().is_none() {
            return Ok(out);
        }
        let relos = |func| self.object.core_relocations(func).collect::<Vec<_>>();
        let used = self.object.functions.iter().enumerate().filter(|(i, _)| reached.contains(&FuncIx(*i)));
        let mut work: Vec<(&Function, Vec<_>, &mut Body)> =
            mains.iter().zip(&mut out.mains).map(|(f, body)| (*f, relos(f), body)).collect();
        let mut functions: Vec<Option<&mut Body>> = out.functions.iter_mut().map(Some).collect();
        for (i, func) in used {
            if let Some(body) = functions.get_mut(i).and_then(Option::take) {
                work.push((func, relos(func), body));
            }
        }
        let mut core = Relocator::new(btf, self.kernel);
        core.prefetch(work.iter().flat_map(|(_, relos, _)| relos));
        for (func, relos, body) in work {
            core.apply(func, &mut body.insns, relos.into_iter(), &mut body.poisons)
                .map_err(|e| e.in_source(self.object, func))?;
        }
        Ok(out)
    }

    #[allow(clippy::too_many_arguments)]
    fn program(
        &self,
        ix: ProgIx,
        def: &ProgDef,
        main: &Body,
        functions: &[Body],
        maps: &[MapPlan],
        resolved: &[Resolved],
        has_btf: bool,
    ) -> Result<ProgPlan, PlanError> {
        let Some(prog_type) = def.prog_type else {
            return Err(PlanError::UnknownSection {
                program: def.name().into(),
                section: def.section.clone(),
                near: section::nearest(&def.section, 3),
            });
        };
        let callback = self.callbacks.get(def.name()).copied();
        let mut code = subprog::assemble(self.object, &def.func, main, functions, callback);
        let created: Vec<bool> = maps.iter().map(|m| m.create).collect();
        let cx = reloc::Context {
            maps: &self.object.maps,
            created: &created,
            externs: &self.object.externs,
            resolved,
            kconfig: self.object.maps.iter().position(|m| m.name == ".kconfig").map(MapIx),
            arena_offset: map_plan::arena_offset(self.object, self.kernel),
        };
        let (patches, fd_array) = reloc::resolve(&mut code, &cx);
        super::sanitize::helpers(&mut code.insns, self.kernel);
        let (func_info, line_info) = self.records(def, &code, has_btf)?;
        let kern_version = self.object.kern_version.unwrap_or_else(|| self.kernel.release().code());
        Ok(ProgPlan {
            ix,
            name: def.name().into(),
            section: def.section.clone(),
            hook: def.hook(),
            prog_type,
            attach_type: self.attach_type(def),
            flags: self.flags(def, prog_type),
            attach: target::find(def, self.kernel, self.onto(def))?,
            insns: code.insns,
            patches,
            fd_array,
            poisons: code.poisons,
            func_info,
            line_info,
            license: self.object.license.clone().unwrap_or_default(),
            kern_version,
            named: self.kernel.has(Feature::ProgName).allows(),
            parts: code
                .parts
                .iter()
                .map(|p| PartPlan {
                    at: p.at,
                    name: p.func.name.clone(),
                    section: p.func.section.clone(),
                    len: p.func.insns.len() as u32,
                })
                .collect(),
        })
    }

    fn records(
        &self,
        def: &ProgDef,
        code: &Assembled,
        has_btf: bool,
    ) -> Result<(Records, Records), PlanError> {
        let (Some(btf), Some(ext)) = (self.object.btf.as_deref(), self.object.ext.as_deref()) else {
            return Ok(Default::default());
        };
        if !has_btf || self.kernel.has(Feature::BtfFunc).is_no() {
            return Ok(Default::default());
        }
        let missing =
            |what| move |function| PlanError::Info { program: def.name().to_string(), function, what };
        let endian = self.object.endian;
        let functions =
            info::collect(btf, ext.func_info(), &code.parts, endian).map_err(missing("func_info"))?;
        let lines = info::collect(btf, ext.line_info(), &code.parts, endian).map_err(missing("line_info"))?;
        Ok((functions, lines))
    }

    /// The loaded program that the caller binds this one to.
    fn onto(&self, def: &ProgDef) -> Option<&Onto> {
        self.options.onto.iter().find(|onto| onto.program == def.name())
    }

    fn attach_type(&self, def: &ProgDef) -> AttachType {
        let optional = def.def.is_some_and(|d| d.attach_type_is_optional());
        let usdt = def.def.is_some_and(|d| d.is_usdt());
        if optional && self.kernel.has(Feature::ExpAttachType).is_no() {
            AttachType::default()
        } else if usdt && self.kernel.has(Feature::UprobeMulti).allows() {
            AttachType::TraceUprobeMulti
        } else {
            def.attach_type
        }
    }

    fn flags(&self, def: &ProgDef, prog_type: ProgType) -> u32 {
        let implied = |yes: bool, flag: u32| if yes { flag } else { 0 };
        let row = def.def;
        def.flags
            | implied(row.is_some_and(|d| d.is_sleepable()), prog_flags::SLEEPABLE)
            | implied(
                prog_type == ProgType::Xdp && row.is_some_and(|d| d.has_xdp_frags()),
                prog_flags::XDP_HAS_FRAGS,
            )
    }

    fn steps(&self, has_btf: bool, maps: &[MapPlan], programs: &[ProgPlan]) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.kernel.has(Feature::MemcgAccount).is_no() {
            steps.push(Step::RaiseMemlock);
        }
        if has_btf {
            steps.push(Step::BtfLoad);
        }
        let created = || maps.iter().enumerate().filter(|(_, m)| m.create).map(|(i, m)| (MapIx(i), m));
        for (ix, map) in created() {
            steps.push(Step::MapCreate(ix));
            if map.contents.is_some() {
                steps.push(Step::MapFill(ix));
            }
            if map.freeze {
                steps.push(Step::MapFreeze(ix));
            }
        }
        // All maps exist now, so a map may refer to one that stands after it in the file.
        let has = |m: &MapPlan, program| {
            m.slots.iter().any(|(_, t)| matches!(t, SlotTarget::Program(_)) == program)
        };
        steps.extend(created().filter(|(_, m)| has(m, false)).map(|(ix, _)| Step::MapSlots(ix)));
        let rodata: Vec<MapIx> = created().filter(|(_, m)| m.is_rodata()).map(|(ix, _)| ix).collect();
        let bind = !rodata.is_empty() && self.kernel.has(Feature::ProgBindMap).allows();
        for (i, _) in programs.iter().enumerate() {
            steps.push(Step::ProgLoad(i));
            if bind {
                steps.extend(rodata.iter().map(|ix| Step::ProgBindMap(i, *ix)));
            }
        }
        steps.extend(created().filter(|(_, m)| has(m, true)).map(|(ix, _)| Step::ProgSlots(ix)));
        steps
    }
}

/// Function bodies after CO-RE.
struct Bodies {
    mains: Vec<Body>,
    functions: Vec<Body>,
}

/// The functions that these reach by calls and by callbacks.
fn reached(object: &Object, roots: &[&Function]) -> HashSet<FuncIx> {
    let mut seen = HashSet::new();
    let mut work: Vec<&Function> = roots.to_vec();
    while let Some(func) = work.pop() {
        for reloc in &func.relocs {
            if let RelocTarget::Call(ix) | RelocTarget::FuncAddr(ix) = reloc.target {
                if seen.insert(ix) {
                    work.extend(object.functions.get(ix.0));
                }
            }
        }
    }
    seen
}
