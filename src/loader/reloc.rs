//! References become what the kernel expects: the last step before a program is complete.
//!
//! ```text
//!   refers to            the instruction becomes
//!   ──────────────────   ─────────────────────────────────────────────────────────────────
//!   a map                lddw, src 1, imm = fd                                   (patch)
//!   a global variable    lddw, src 2, imm = fd of the data map, imm2 = offset    (patch)
//!   a kconfig value      the same, in map `.kconfig`                             (patch)
//!   a kernel variable    lddw, src 3, imm = BTF id, imm2 = module BTF fd or 0    (patch)
//!   a kernel address     lddw of the address itself
//!   a kfunc              call, src 2, imm = BTF id, off = index in fd_array
//!   something missing    a call of a helper that does not exist; its number says what is missing
//! ```

use super::externs::Resolved;
use super::plan::{FdOf, Patch};
use super::poison::{POISON_EXTERN, POISON_MAP, Poison, poison};
use super::subprog::Assembled;
use crate::elf::{Extern, ExternKind, MapDef, MapIx, RelocTarget};
use crate::insn::raw::pseudo;
use crate::insn::{InsnIx, RawInsn};

/// What references are resolved with.
pub(super) struct Context<'a> {
    pub(super) maps: &'a [MapDef],
    /// Which maps will exist.
    pub(super) created: &'a [bool],
    pub(super) externs: &'a [Extern],
    pub(super) resolved: &'a [Resolved],
    /// The modules that the object's kfuncs are in: [`modules`].
    pub(super) modules: &'a [u32],
    pub(super) kconfig: Option<MapIx>,
    /// Where arena globals begin in their arena, in bytes.
    pub(super) arena_offset: u32,
}

/// The modules that functions of the kernel are in which an object calls, by the ids of their BTF objects.
/// The place here, from 1 on, is what a call says; all programs of an object share it, as with libbpf.
pub(super) fn modules(externs: &[Extern], resolved: &[Resolved]) -> Vec<u32> {
    let mut out = Vec::new();
    for (ext, to) in externs.iter().zip(resolved) {
        if let (ExternKind::Function(_), Resolved::Btf { module: Some(module), .. }) = (&ext.kind, to) {
            if !out.contains(module) {
                out.push(*module);
            }
        }
    }
    out
}

/// Resolves what is left in `program`; returns the slots that will hold descriptors, and the modules that
/// `fd_array` must name, from index 1 on: none if the program calls nothing in a module.
pub(super) fn resolve(program: &mut Assembled, cx: &Context) -> (Vec<Patch>, Vec<u32>) {
    let mut out = Resolution { patches: Vec::new(), calls_modules: false };
    let refs = std::mem::take(&mut program.refs);
    for (at, target) in refs {
        out.one(program, cx, at, target);
    }
    (out.patches, if out.calls_modules { cx.modules.to_vec() } else { Vec::new() })
}

struct Resolution {
    patches: Vec<Patch>,
    calls_modules: bool,
}

impl Resolution {
    fn one(&mut self, program: &mut Assembled, cx: &Context, at: InsnIx, target: RelocTarget) {
        match target {
            RelocTarget::Map(map) => self.map(program, cx, at, map, None),
            RelocTarget::MapValue { map, offset } => {
                let arena = cx.maps.get(map.0).is_some_and(|m| m.map_type == crate::uapi::MapType::Arena);
                let base = if arena { cx.arena_offset } else { 0 };
                self.map(program, cx, at, map, Some(offset.wrapping_add(base)));
            }
            RelocTarget::Extern(ix) => {
                if let (Some(ext), Some(resolved)) = (cx.externs.get(ix.0), cx.resolved.get(ix.0)) {
                    self.symbol(program, cx, at, ix.0, ext, resolved);
                }
            }
            RelocTarget::JumpTable { .. } => set(program, at, |insn| {
                (insn.src, insn.imm, insn.off) = (pseudo::MAP_VALUE, 0, 0);
            }),
            // Calls and addresses of functions were resolved when the program was assembled.
            RelocTarget::Call(_) | RelocTarget::FuncAddr(_) => {}
        }
    }

    fn map(&mut self, program: &mut Assembled, cx: &Context, at: InsnIx, map: MapIx, value: Option<u32>) {
        if !cx.created.get(map.0).copied().unwrap_or(false) {
            let name = cx.maps.get(map.0).map(|m| m.name.clone()).unwrap_or_default();
            set(program, at, |insn| *insn = poison(POISON_MAP + map.0 as i32));
            set(program, InsnIx(at.0 + 1), |insn| *insn = poison(POISON_MAP + map.0 as i32));
            program.poisons.push((at, Poison::Map(name)));
            return;
        }
        let src = if value.is_some() { pseudo::MAP_VALUE } else { pseudo::MAP_FD };
        set(program, at, |insn| (insn.src, insn.imm) = (src, 0));
        set(program, InsnIx(at.0 + 1), |insn| insn.imm = value.unwrap_or(0) as i32);
        self.patches.push(Patch { at, half: 0, fd_of: FdOf::Map(map) });
    }

    fn symbol(
        &mut self,
        program: &mut Assembled,
        cx: &Context,
        at: InsnIx,
        ix: usize,
        ext: &Extern,
        to: &Resolved,
    ) {
        let high = InsnIx(at.0 + 1);
        let is_call = program.insns.get(at.0 as usize).is_some_and(|i| i.is_call());
        match *to {
            Resolved::Kconfig { offset } => {
                if let Some(map) = cx.kconfig {
                    self.map(program, cx, at, map, Some(offset));
                }
            }
            Resolved::Address(address) => {
                set(program, at, |insn| (insn.src, insn.imm) = (0, address as u32 as i32));
                set(program, high, |insn| insn.imm = (address >> 32) as u32 as i32);
            }
            Resolved::Btf { id, module } if is_call => {
                let off = module.map_or(0, |module| self.module(cx, module));
                set(program, at, |insn| {
                    (insn.src, insn.imm, insn.off) = (pseudo::KFUNC_CALL, id.0 as i32, off);
                });
            }
            Resolved::Btf { id, module } => {
                set(program, at, |insn| (insn.src, insn.imm) = (pseudo::BTF_ID, id.0 as i32));
                set(program, high, |insn| insn.imm = 0);
                if let Some(module) = module {
                    self.patches.push(Patch { at, half: 1, fd_of: FdOf::Module(module) });
                }
            }
            Resolved::Missing if is_call => {
                set(program, at, |insn| *insn = poison(POISON_EXTERN + ix as i32));
                program.poisons.push((at, Poison::Extern(ext.name.clone())));
            }
            Resolved::Missing => {
                set(program, at, |insn| (insn.src, insn.imm) = (0, 0));
                set(program, high, |insn| insn.imm = 0);
            }
        }
    }

    /// The index of a module's BTF in `fd_array`; 0 is the kernel itself.
    fn module(&mut self, cx: &Context, id: u32) -> i16 {
        self.calls_modules = true;
        cx.modules.iter().position(|&m| m == id).map_or(0, |at| (at + 1) as i16)
    }
}

fn set(program: &mut Assembled, at: InsnIx, change: impl FnOnce(&mut RawInsn)) {
    if let Some(insn) = program.insns.get_mut(at.0 as usize) {
        change(insn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::TypeId;

    #[test]
    fn modules_are_numbered_by_the_object_and_not_by_each_program() {
        let named = |name: &str, kind| Extern { name: name.into(), weak: false, kind };
        let function = |name| named(name, ExternKind::Function(TypeId(1)));
        let externs =
            [function("a"), named("b", ExternKind::Variable(TypeId(2))), function("c"), function("d")];
        let resolved =
            [Some(7), Some(6), None, Some(5)].map(|module| Resolved::Btf { id: TypeId(9), module });
        let modules = modules(&externs, &resolved);
        // Not 6: the module of a variable is named by a descriptor in the instruction.
        assert_eq!(modules, [7, 5]);
        let cx = Context {
            maps: &[],
            created: &[],
            externs: &externs,
            resolved: &resolved,
            modules: &modules,
            kconfig: None,
            arena_offset: 0,
        };
        // A program that calls `d` alone says the same number as one that calls `a` before.
        let call = RawInsn { opcode: 0x85, dst: 0, src: 1, off: 0, imm: -1 };
        let target = RelocTarget::Extern(crate::elf::ExternIx(3));
        let mut program =
            Assembled { insns: vec![call], refs: vec![(InsnIx(0), target)], ..Assembled::default() };
        let (_, fd_array) = resolve(&mut program, &cx);
        assert_eq!((program.insns[0].off, fd_array), (2, vec![7, 5]));
        // One that calls nothing in a module needs no list, which kernels before 5.14 would not take.
        let target = RelocTarget::Extern(crate::elf::ExternIx(2));
        let mut program =
            Assembled { insns: vec![call], refs: vec![(InsnIx(0), target)], ..Assembled::default() };
        let (_, fd_array) = resolve(&mut program, &cx);
        assert_eq!((program.insns[0].off, fd_array), (0, vec![]));
    }
}
