//! Making a plan: what an object wants, fitted to a kernel, in the order of the chapter.

use std::collections::{HashMap, HashSet};

use super::extern_types;
use super::externs::{self, Resolved};
use super::info::{self, Records};
use super::jump_table::{self, JumpTable};
use super::map_plan::{self, MapPlan};
use super::options::{Options, ProgTarget};
use super::plan::{BtfPlan, FdOf, PartPlan, Patch, Plan, PlanStep, ProgPlan, SkippedProgram};
use super::plan_error::PlanError;
use super::reloc;
use super::relocate::Relocator;
use super::struct_ops::{self, Callbacks, StructOpsError};
use super::subprog::{self, Assembled, Body};
use super::target;
use super::token;
use crate::btf::TypeQuery;
use crate::elf::{
    DataKind, FuncIx, Function, MapIx, MapOrigin, Object, ProgDef, ProgIx, RelocTarget, SlotTarget, section,
};
use crate::kernel::{Answer, Feature, Kernel};
use crate::sys::attr::prog_flags;
use crate::uapi::{AttachType, ProgType};

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
        let struct_ops = struct_ops::all(self.object, self.kernel, &self.options.only)?;
        let (chosen, skipped) = self.choose(&struct_ops)?;
        self.prefetch_types(&chosen);
        let (resolved, kconfig) = externs::resolve(self.object, self.kernel)?;
        let mut maps = map_plan::all(self.object, self.kernel, self.options, &struct_ops)?;
        for map in &mut maps {
            if matches!(map.origin, MapOrigin::Data { kind: DataKind::Kconfig, .. }) {
                map.contents = Some(kconfig.clone());
            }
        }
        let btf = self.btf(&maps)?;
        let bodies = self.bodies(&chosen)?;
        let settled = Settled {
            functions: &bodies.functions,
            maps: &maps,
            resolved: &resolved,
            modules: reloc::modules(&self.object.externs, &resolved),
            has_btf: btf.is_some(),
            callbacks: &struct_ops,
        };
        let mut programs = Vec::new();
        for (ix, body) in chosen.iter().zip(&bodies.mains) {
            if let Some(def) = self.object.programs.get(ix.0) {
                programs.push(self.program(*ix, def, body, &settled)?);
            }
        }
        let mut steps = self.steps(btf.is_some(), &maps, &programs);
        for ix in struct_ops::filled(self.object, &struct_ops) {
            let loaded = |ix| programs.iter().any(|p: &ProgPlan| p.ix == ix);
            let ops = maps.get(ix.0).and_then(|m| m.struct_ops.as_ref());
            if ops.is_some_and(|ops| struct_ops::is_complete(ops, loaded)) {
                steps.push(PlanStep::StructOpsFill(ix));
            }
        }
        Ok(Plan {
            object: self.object.name.clone(),
            btf,
            maps,
            programs,
            skipped,
            steps,
            token: token::plan(self.options.token.as_deref(), self.kernel.is_host()),
            log_level: self.options.log_level,
            arena_offset: map_plan::arena_offset(self.object, self.kernel)?,
            page_size: self.kernel.page_size(),
            types: self.object.btf.clone(),
        })
    }

    /// Looks up every kernel type that is needed, by name, in one pass.
    fn prefetch_types(&self, chosen: &[ProgIx]) {
        let programs = chosen.iter().filter_map(|ix| self.object.programs.get(ix.0));
        let names: Vec<_> =
            programs.filter_map(target::name).chain(externs::typed_names(self.object)).collect();
        let wanted: Vec<_> = names.iter().map(|(name, kind)| TypeQuery::named(name, *kind)).collect();
        // Without a name there is no need of the kernel's types.
        if let Some(btf) = (!wanted.is_empty()).then(|| self.kernel.btf().ok()).flatten() {
            btf.prefetch_types(&wanted);
        }
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
    fn choose(&self, callbacks: &Callbacks) -> Result<(Vec<ProgIx>, Vec<SkippedProgram>), PlanError> {
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
                [] => match (callbacks.autoload(ProgIx(i)), def.autoload) {
                    (Some(true), _) | (None, true) => None,
                    (Some(false), _) => Some("no struct_ops map that is created refers to it"),
                    (None, false) => Some("its section begins with `?`"),
                },
                only if only.iter().any(|name| name == def.name()) => None,
                _ => Some("it was not asked for"),
            };
            match why {
                None => chosen.push(ProgIx(i)),
                Some(why) => skipped.push(SkippedProgram { program: def.name().into(), why: why.into() }),
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

    fn program(
        &self,
        ix: ProgIx,
        def: &ProgDef,
        main: &Body,
        settled: &Settled<'_>,
    ) -> Result<ProgPlan, PlanError> {
        let Some(prog_type) = def.prog_type else {
            return Err(PlanError::UnknownSection {
                program: def.name().into(),
                section: def.section.clone(),
                near: section::nearest(&def.section, 3),
            });
        };
        let Bound { code, patches, fd_array, jump_tables } = self.bind(def, main, settled)?;
        let place = settled.callbacks.programs.get(&ix.0);
        if prog_type == ProgType::StructOps && place.is_none() {
            return Err(StructOpsError::Unused { program: def.name().into() }.into());
        }
        let (func_info, line_info) = self.records(def, &code, settled.has_btf)?;
        let kern_version = self.object.kern_version.unwrap_or_else(|| self.kernel.release().code());
        Ok(ProgPlan {
            ix,
            name: def.name().into(),
            section: def.section.clone(),
            hook: def.hook(),
            prog_type,
            attach_type: place.map_or_else(|| self.attach_type(def), |place| place.member),
            flags: self.flags(def, prog_type),
            attach: match place {
                Some(place) => Some(place.target.clone()),
                None => target::find(def, self.kernel, self.onto(def))?,
            },
            insns: code.insns,
            patches,
            jump_tables,
            fd_array,
            poisons: code.poisons,
            func_info,
            line_info,
            license: self.object.license.clone().unwrap_or_default(),
            kern_version,
            named: self.kernel.has(Feature::ProgName).allows(),
            parts: code.parts.iter().map(part).collect(),
        })
    }

    /// The instructions of a program with its subprograms, and where descriptors go into them.
    fn bind<'o>(
        &'o self,
        def: &'o ProgDef,
        main: &Body,
        settled: &Settled<'_>,
    ) -> Result<Bound<'o>, PlanError> {
        let callback = self.callbacks.get(def.name()).copied();
        let mut code = subprog::assemble(self.object, &def.func, main, settled.functions, callback);
        let created: Vec<bool> = settled.maps.iter().map(|m| m.create).collect();
        let cx = reloc::Context {
            maps: &self.object.maps,
            created: &created,
            externs: &self.object.externs,
            resolved: settled.resolved,
            modules: &settled.modules,
            kconfig: self.object.maps.iter().position(|m| m.name == ".kconfig").map(MapIx),
            arena_offset: map_plan::arena_offset(self.object, self.kernel)?,
        };
        let mut tables = Vec::new();
        let jump_tables = self.jump_tables(def, &code, &mut tables)?;
        let (mut patches, fd_array) = reloc::resolve(&mut code, &cx);
        patches.extend(tables);
        super::sanitize::helpers(&mut code.insns, self.kernel);
        Ok(Bound { code, patches, fd_array, jump_tables })
    }

    /// Reads the jump tables of a program, each once, and says which instruction wants which.
    fn jump_tables(
        &self,
        def: &ProgDef,
        code: &Assembled,
        patches: &mut Vec<Patch>,
    ) -> Result<Vec<JumpTable>, PlanError> {
        let mut out: Vec<JumpTable> = Vec::new();
        for &(at, target) in &code.refs {
            let RelocTarget::JumpTable { offset, size } = target else { continue };
            let known = out.iter().position(|t| t.offset == offset);
            if known.is_none() {
                let section = &self.object.jump_tables;
                let table = jump_table::read(section, self.object.endian, (offset, size), at, &code.parts);
                out.push(table.map_err(|why| PlanError::JumpTable { program: def.name().into(), why })?);
            }
            let n = known.unwrap_or(out.len().saturating_sub(1));
            patches.push(Patch { at, half: 0, fd_of: FdOf::JumpTable(n) });
        }
        Ok(out)
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
    fn onto(&self, def: &ProgDef) -> Option<&ProgTarget> {
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

    fn steps(&self, has_btf: bool, maps: &[MapPlan], programs: &[ProgPlan]) -> Vec<PlanStep> {
        let mut steps = Vec::new();
        // Also where nobody could ask: where much is locked already, the probe itself is refused.
        if self.kernel.has(Feature::MemcgAccount) != Answer::Yes {
            steps.push(PlanStep::RaiseMemlock);
        }
        if has_btf {
            steps.push(PlanStep::BtfLoad);
        }
        let created = || maps.iter().enumerate().filter(|(_, m)| m.create).map(|(i, m)| (MapIx(i), m));
        for (ix, map) in created() {
            steps.push(PlanStep::MapCreate(ix));
            if map.contents.is_some() {
                steps.push(PlanStep::MapFill(ix));
            }
            if map.freeze {
                steps.push(PlanStep::MapFreeze(ix));
            }
        }
        // All maps exist now, so a map may refer to one that stands after it in the file.
        let has = |m: &MapPlan, program| {
            m.slots.iter().any(|(_, t)| matches!(t, SlotTarget::Program(_)) == program)
        };
        steps.extend(created().filter(|(_, m)| has(m, false)).map(|(ix, _)| PlanStep::MapSlots(ix)));
        let rodata: Vec<MapIx> = created().filter(|(_, m)| m.is_rodata()).map(|(ix, _)| ix).collect();
        let bind = !rodata.is_empty() && self.kernel.has(Feature::ProgBindMap).allows();
        for (i, _) in programs.iter().enumerate() {
            steps.push(PlanStep::ProgLoad(i));
            if bind {
                steps.extend(rodata.iter().map(|ix| PlanStep::ProgBindMap(i, *ix)));
            }
        }
        steps.extend(created().filter(|(_, m)| has(m, true)).map(|(ix, _)| PlanStep::ProgSlots(ix)));
        steps
    }
}

/// What is settled for the whole object before its programs are.
struct Settled<'a> {
    /// The functions that programs share, after CO-RE.
    functions: &'a [Body],
    maps: &'a [MapPlan],
    /// What became of the externs.
    resolved: &'a [Resolved],
    /// The modules that its kfuncs are in.
    modules: Vec<u32>,
    /// The kernel gets the object's types.
    has_btf: bool,
    /// What became of the struct_ops maps.
    callbacks: &'a Callbacks,
}

/// A program's instructions, and what goes into them.
struct Bound<'o> {
    code: Assembled<'o>,
    /// Where descriptors go.
    patches: Vec<Patch>,
    /// The modules whose functions it calls.
    fd_array: Vec<u32>,
    jump_tables: Vec<JumpTable>,
}

fn part(part: &subprog::Part<'_>) -> PartPlan {
    PartPlan {
        at: part.at,
        name: part.func.name.clone(),
        section: part.func.section.clone(),
        len: part.func.insns.len() as u32,
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
