//! The only loader code that acts: it makes a plan's calls, in the plan's order.
//!
//! Every descriptor is owned by a Rust value from the moment the kernel returns it, so a step that fails
//! leaves nothing behind: what was created is closed, what was pinned is unpinned.

mod maps;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::jump_table::JumpTable;
use super::load_error::{LoadError, VerifierLog};
use super::loaded::Loaded;
use super::map_plan::MapPlan;
use super::plan::{FdOf, Plan, PlanStep, ProgPlan};
use super::poison::Poison;
use crate::bytes::Endian;
use crate::elf::{MapIx, Site};
use crate::insn::InsnIx;
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::attr::{self, Fd, ObjName, prog_flags};
use crate::sys::map::MapFd;
use crate::sys::{self, BtfFd, Errno, ObjectKind, ProgFd, ProgLoadParts, SharedMapping, SysError};
use crate::uapi::MapType;
use crate::verifier::{self, Diagnosis};

impl Plan {
    /// Makes the calls. If one fails, all that was done is undone.
    ///
    /// # Errors
    /// [`LoadError`]: the step, the kernel's error number, and the verifier's log if there is one.
    pub fn run(&self) -> Result<Loaded, LoadError> {
        let mut run = Run {
            plan: self,
            token: None,
            btf: None,
            untyped: None,
            maps: self.maps.iter().map(|_| None).collect(),
            programs: Vec::new(),
            modules: HashMap::new(),
            onto: None,
            pins: Vec::new(),
            reused: Vec::new(),
            logs: Vec::new(),
            arenas: Vec::new(),
        };
        let result = run.token().and_then(|()| self.steps.iter().try_for_each(|step| run.step(step)));
        match result {
            Ok(()) => Ok(Loaded {
                callbacks: run.callbacks(),
                name: self.object.clone(),
                maps: run.maps,
                programs: run.programs,
                new_pins: run.pins,
                logs: run.logs,
                arenas: run.arenas,
            }),
            Err(e) => {
                for pin in run.pins.iter().rev() {
                    let _ = std::fs::remove_file(pin);
                }
                Err(e)
            }
        }
    }
}

struct Run<'p> {
    plan: &'p Plan,
    token: Option<OwnedFd>,
    btf: Option<BtfFd>,
    /// Why the kernel refused the object's types.
    untyped: Option<SysError>,
    maps: Vec<Option<Map>>,
    programs: Vec<Program>,
    modules: HashMap<u32, OwnedFd>,
    /// The program that the one being loaded is bound to.
    onto: Option<OwnedFd>,
    /// Pins that this run made.
    pins: Vec<PathBuf>,
    /// Maps that existed already: they keep their contents.
    reused: Vec<MapIx>,
    logs: Vec<VerifierLog>,
    arenas: Vec<(String, SharedMapping)>,
}

impl Run<'_> {
    fn step(&mut self, step: &PlanStep) -> Result<(), LoadError> {
        match *step {
            PlanStep::RaiseMemlock => {
                raise_memlock();
                Ok(())
            }
            PlanStep::BtfLoad => self.load_btf(),
            PlanStep::MapCreate(ix) => self.with_map(ix, Run::create),
            PlanStep::MapFill(ix) => self.with_map(ix, Run::fill),
            PlanStep::MapFreeze(ix) => self.with_map(ix, Run::freeze),
            PlanStep::MapSlots(ix) => self.with_map(ix, |run, ix, map| run.slots(ix, map, false)),
            PlanStep::ProgSlots(ix) => self.with_map(ix, |run, ix, map| run.slots(ix, map, true)),
            PlanStep::ProgLoad(n) => match self.plan.programs.get(n) {
                Some(program) => self.load(program),
                None => Ok(()),
            },
            PlanStep::ProgBindMap(n, ix) => self.bind(n, ix),
            PlanStep::StructOpsFill(ix) => self.with_map(ix, Run::fill_callbacks),
        }
    }

    fn with_map(
        &mut self,
        ix: MapIx,
        act: impl FnOnce(&mut Self, MapIx, &MapPlan) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        match self.plan.maps.get(ix.0) {
            Some(map) => act(self, ix, map),
            None => Ok(()),
        }
    }

    fn token(&mut self) -> Result<(), LoadError> {
        let Some(token) = &self.plan.token else { return Ok(()) };
        let dir = std::fs::File::open(&token.dir).map_err(|e| SysError::other("open", e));
        match dir.and_then(sys::token_create) {
            Ok(made) => self.token = Some(made),
            Err(source) if token.required => {
                return Err(LoadError::Token { path: token.dir.clone(), source });
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn token_fd(&self) -> Fd<'_> {
        Fd::borrow(self.token.as_ref().map(AsFd::as_fd))
    }

    fn load_btf(&mut self) -> Result<(), LoadError> {
        let Some(btf) = &self.plan.btf else { return Ok(()) };
        let (first, _) = sys::btf_load(&btf.bytes, &mut [], self.token_fd());
        match first {
            Ok(fd) => self.btf = Some(fd),
            // Programs and maps work without types, but for a few; those will fail, and say why.
            Err(e) if !btf.required => self.untyped = Some(e),
            Err(source) => {
                let mut log = vec![0; 1 << 16];
                let _ = sys::btf_load(&btf.bytes, &mut log, self.token_fd());
                return Err(LoadError::Btf { source, log: text(&log) });
            }
        }
        Ok(())
    }

    fn open_module(&mut self, id: u32) -> Result<(), SysError> {
        if let Entry::Vacant(slot) = self.modules.entry(id) {
            slot.insert(sys::fd_by_id(ObjectKind::Btf, id)?);
        }
        Ok(())
    }

    /// Makes the jump tables of a program: a map each, filled and frozen.
    fn jump_tables(&self, program: &ProgPlan) -> Result<Vec<OwnedFd>, SysError> {
        let make = |table: &JumpTable| {
            let fd = sys::map_create(&mut attr::MapCreate {
                map_type: MapType::InsnArray,
                key_size: 4,
                value_size: 16,
                max_entries: table.targets.len() as u32,
                map_name: if program.named { ObjName::cut(".jumptables") } else { ObjName::default() },
                ..Default::default()
            })?;
            let (map, _) = MapFd::new(fd)?;
            for (i, target) in (0u32..).zip(&table.targets) {
                // struct bpf_insn_array_value: the slot, then what the kernel makes of it.
                let mut value = [0; 16];
                value[..4].copy_from_slice(&target.to_ne_bytes());
                map.update(&i.to_ne_bytes(), &value, 0)?;
            }
            map.freeze()?;
            Ok(map.into())
        };
        program.jump_tables.iter().map(make).collect()
    }

    fn map(&self, ix: MapIx) -> Option<&Map> {
        self.maps.get(ix.0)?.as_ref()
    }

    fn bind(&mut self, n: usize, ix: MapIx) -> Result<(), LoadError> {
        if let (Some(program), Some(map)) = (self.programs.get(n), self.map(ix)) {
            // It only keeps constants readable for tools; the program works without.
            let _ = sys::prog_bind_map(program, map);
        }
        Ok(())
    }

    fn load(&mut self, program: &ProgPlan) -> Result<(), LoadError> {
        let part =
            |what| move |source| LoadError::ProgramPart { program: program.name.clone(), what, source };
        let modules = program.fd_array.iter().copied().chain(program.attach.iter().filter_map(|a| a.module));
        let patched = program
            .patches
            .iter()
            .filter_map(|p| if let FdOf::Module(id) = p.fd_of { Some(id) } else { None });
        for id in modules.chain(patched).collect::<Vec<_>>() {
            self.open_module(id).map_err(part("open the module's types"))?;
        }
        let onto = program.attach.as_ref().and_then(|a| a.program);
        let open = |id| sys::fd_by_id(ObjectKind::Prog, id);
        self.onto = onto.map(open).transpose().map_err(part("open the target"))?;
        let tables = self.jump_tables(program).map_err(part("make a jump table"))?;
        let insns = self.patched(program, &tables);
        let license = CString::new(program.license.as_str()).unwrap_or_default();
        let fd_array: Vec<i32> =
            std::iter::once(0).chain(program.fd_array.iter().map(|id| self.module_fd(*id))).collect();
        let parts = ProgLoadParts {
            insns: &insns,
            license: Some(&license),
            func_info: if self.btf.is_some() { &program.func_info.bytes } else { &[] },
            func_info_rec_size: if self.btf.is_some() { program.func_info.rec_size } else { 0 },
            line_info: if self.btf.is_some() { &program.line_info.bytes } else { &[] },
            line_info_rec_size: if self.btf.is_some() { program.line_info.rec_size } else { 0 },
            fd_array: if program.fd_array.is_empty() { &[] } else { &fd_array },
            ..Default::default()
        };
        let fd = self.verified(program, parts)?;
        let loaded = Program::loaded(fd, program.name.clone(), program.prog_type, program.attach_type);
        self.programs.push(loaded.in_section(program.hook.clone()));
        Ok(())
    }

    fn module_fd(&self, id: u32) -> i32 {
        self.modules.get(&id).map_or(0, AsRawFd::as_raw_fd)
    }

    /// The instructions with descriptors where the plan says so.
    fn patched(&self, program: &ProgPlan, tables: &[OwnedFd]) -> Vec<[u8; 8]> {
        let mut insns = program.insns.clone();
        for patch in &program.patches {
            let fd = match patch.fd_of {
                FdOf::Map(ix) => self.map(ix).map_or(0, |m| m.as_fd().as_raw_fd()),
                FdOf::Module(id) => self.module_fd(id),
                FdOf::JumpTable(n) => tables.get(n).map_or(0, AsRawFd::as_raw_fd),
            };
            if let Some(insn) = insns.get_mut(patch.at.0 as usize + usize::from(patch.half)) {
                insn.imm = fd;
            }
        }
        insns.into_iter().map(|i| i.to_bytes(Endian::NATIVE)).collect()
    }

    fn head<'f>(&'f self, program: &ProgPlan, log_level: u32) -> attr::ProgLoad<'f> {
        let token = self.token_fd();
        let module = program.attach.as_ref().and_then(|a| a.module).and_then(|id| self.modules.get(&id));
        attr::ProgLoad {
            prog_type: program.prog_type,
            log_level,
            kern_version: program.kern_version,
            prog_flags: program.flags | if token == Fd::NONE { 0 } else { prog_flags::TOKEN_FD },
            prog_name: if program.named { ObjName::cut(&program.name) } else { ObjName::default() },
            expected_attach_type: program.attach_type,
            prog_btf_fd: if program.func_info.is_empty() && program.line_info.is_empty() {
                Fd::NONE
            } else {
                Fd::borrow(self.btf.as_ref().map(AsFd::as_fd))
            },
            attach_btf_id: program.attach.as_ref().map_or(0, |a| a.btf_id.0),
            attach_prog_fd: Fd::borrow(self.onto.as_ref().or(module).map(AsFd::as_fd)),
            prog_token_fd: token,
            ..Default::default()
        }
    }

    /// Loads without a log; if that fails, again with one.
    fn verified(&mut self, program: &ProgPlan, parts: ProgLoadParts) -> Result<ProgFd, LoadError> {
        let mut refused = None;
        if self.plan.log_level == 0 {
            match sys::prog_load(self.head(program, 0), parts, &mut []).fd {
                Ok(fd) => return Ok(fd),
                // It was accepted, or never looked at: a log would blame the program.
                Err(source) if is_the_machines(source.errno) => {
                    let log = VerifierLog { program: program.name.clone(), text: String::new(), cut: false };
                    return Err(self.refused(program, source, None, None, log));
                }
                Err(e) => refused = Some(e),
            }
        }
        let level = self.plan.log_level.max(1);
        let (result, log) = self.logged(program, parts, level);
        match result {
            Ok(fd) => {
                self.logs.push(log);
                Ok(fd)
            }
            Err(source) => {
                // Of a log that is cut the kernel says ENOSPC, whatever it found.
                let source = refused.filter(|_| source.errno == Errno::ENOSPC).unwrap_or(source);
                let missing = reached_poison(program, &log.text).map(Box::new);
                let blamed = !is_the_machines(source.errno);
                let diagnosis =
                    blamed.then(|| self.explain(program, parts, &log, missing.as_deref())).flatten();
                Err(self.refused(program, source, missing, diagnosis, log))
            }
        }
    }

    fn refused(
        &self,
        program: &ProgPlan,
        source: SysError,
        missing: Option<Box<(Site, Poison)>>,
        diagnosis: Option<Diagnosis>,
        log: VerifierLog,
    ) -> LoadError {
        LoadError::Program {
            program: program.name.clone(),
            section: program.section.clone(),
            prog_type: program.prog_type,
            untyped: self.untyped,
            source,
            missing,
            diagnosis: diagnosis.map(Box::new),
            log: Box::new(log),
        }
    }

    /// Explains why a program was refused.
    fn explain(
        &self,
        program: &ProgPlan,
        parts: ProgLoadParts,
        log: &VerifierLog,
        missing: Option<&(Site, Poison)>,
    ) -> Option<Diagnosis> {
        /// Above this many instructions a log of level 2 is more than old kernels can return.
        const SHORT: u64 = 20_000;
        if log.text.trim().is_empty() {
            return None;
        }
        let path = verifier::Path::parse(&log.text);
        let short = path.processed.is_some_and(|n| (1..SHORT).contains(&n));
        // Before Linux 5.18 only level 2 says what registers hold.
        let detail = (short && path.is_terse()).then(|| self.logged(program, parts, 2).1.text);
        let code = program.code(self.plan.types.as_deref());
        let missing = missing.map(|(_, what)| what.to_string());
        Some(Diagnosis::new(&code, &log.text, detail.as_deref(), missing.as_deref()))
    }

    /// Loads with a log that is as long as the kernel needs it to be.
    fn logged(
        &self,
        program: &ProgPlan,
        parts: ProgLoadParts,
        level: u32,
    ) -> (Result<ProgFd, SysError>, VerifierLog) {
        /// What kernels before 5.15 allow at most.
        const OLD_MAX: usize = (u32::MAX >> 8) as usize;
        let mut size = 1 << 20;
        loop {
            let mut log = vec![0u8; size];
            let loaded = sys::prog_load(self.head(program, level), parts, &mut log);
            let short = loaded.fd.as_ref().is_err_and(|e| e.errno == Errno::ENOSPC);
            let next = match loaded.log_true_size as usize {
                0 => size.saturating_mul(4).min(OLD_MAX),
                // The end is there already; who would read more of a log of this size?
                told if told > OLD_MAX => size,
                told => told,
            };
            if short && next > size {
                size = next;
                continue;
            }
            let log = VerifierLog { program: program.name.clone(), text: text(&log), cut: short };
            return (loaded.fd, log);
        }
    }
}

/// What a machine says that has no descriptor or no memory left; no program is at fault.
fn is_the_machines(errno: Errno) -> bool {
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM].contains(&errno)
}

/// The poisoned instruction that the verifier stopped at, if it did: its log ends with the number of the
/// helper that does not exist.
fn reached_poison(program: &ProgPlan, log: &str) -> Option<(Site, Poison)> {
    let line = log.lines().rev().find(|l| l.contains("unknown#"))?;
    let number = line.split("unknown#").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
    let number: i32 = number.parse().ok()?;
    // The instruction is on the line before, as `12: (85) call unknown#195896080`.
    let at = log.lines().rev().find_map(|l| {
        let (at, rest) = l.trim_start().split_once(": (85) call")?;
        rest.contains(&number.to_string()).then(|| at.parse::<u32>().ok()).flatten()
    });
    let known = |at: InsnIx| {
        program.poisons.iter().find(|(p, _)| *p == at).map(|(at, p)| (program.site(*at), p.clone()))
    };
    at.and_then(|at| known(InsnIx(at)))
}

/// Before Linux 5.11 maps count against `RLIMIT_MEMLOCK`, 64 KiB by default. Raising it may be refused; then
/// the map that does not fit will say so.
fn raise_memlock() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

/// A kernel log up to its NUL.
fn text(log: &[u8]) -> String {
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    String::from_utf8_lossy(log.get(..end).unwrap_or_default()).into_owned()
}
