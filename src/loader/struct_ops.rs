//! struct_ops: a set of callbacks, laid out as this kernel has it.
//!
//! The object's struct is the one of the kernel that it was compiled for, and may have members that this kernel
//! lacks. So members are matched by name, as fields are by CO-RE, and the value that the kernel gets is its own:
//!
//! ```text
//!   object:  struct tcp_congestion_ops___mine        kernel:  struct bpf_struct_ops_tcp_congestion_ops
//!              .ssthresh = prog                                 refcnt, state
//!              .name     = "bpf_mine"                           data: struct tcp_congestion_ops
//!              .newer    = 0   (not in this kernel:                     .name      ◄── copied
//!                              fine, as it is zero)                     .ssthresh  ◄── descriptor of prog
//! ```
//!
//! A program is verified for the one member that it stands at: the kernel takes the type's number and the
//! member's index as what it attaches to.

use std::collections::HashMap;

use super::target::AttachTarget;
use crate::btf::{Btf, BtfError, BtfKind, Kind, TypeId, TypeQuery, essential_name};
use crate::elf::{MapDef, MapIx, MapOrigin, Object, ProgIx, StructOps};
use crate::kernel::{Kernel, KernelError};
use crate::uapi::{AttachType, ProgType};

/// What a struct_ops map becomes on this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructOpsPlan {
    /// The kernel's type of the map's value (`btf_vmlinux_value_type_id`).
    pub value_type: TypeId,
    /// The module that has the type, by the id of its BTF object; `None` for the kernel itself.
    pub module: Option<u32>,
    /// The value, in the kernel's layout, without programs.
    pub value: Vec<u8>,
    /// Where descriptors of programs belong in it: byte offset and program.
    pub functions: Vec<(u32, ProgIx)>,
}

/// Why a set of callbacks does not fit this kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StructOpsError {
    /// The kernel's types are needed.
    #[error("struct_ops map `{map}` needs the kernel's types")]
    NoBtf {
        /// The map.
        map: String,
        /// Why there are none.
        source: Box<KernelError>,
    },
    /// The kernel has no such set of callbacks.
    #[error(
        "struct_ops map `{map}`: this kernel has no callbacks of type `struct {ty}` (no `{wrapper}` in its BTF)"
    )]
    Unknown {
        /// The map.
        map: String,
        /// The struct.
        ty: String,
        /// What was looked for.
        wrapper: String,
    },
    /// A member does not fit.
    #[error("struct_ops map `{map}`, member `{member}`: {why}")]
    Member {
        /// The map.
        map: String,
        /// The member.
        member: String,
        /// What is wrong.
        why: String,
    },
    /// A program that stands nowhere cannot be verified: what it gets is not known.
    #[error(
        "struct_ops program `{program}` stands at no member of a struct in .struct_ops or .struct_ops.link"
    )]
    Unused {
        /// The program.
        program: String,
    },
    /// A type is damaged.
    #[error("struct_ops map `{map}`")]
    Btf {
        /// The map.
        map: String,
        /// What is wrong.
        source: BtfError,
    },
}

/// What all struct_ops maps of an object come to.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    /// By map; those that are not created have none.
    pub(super) maps: HashMap<usize, StructOpsPlan>,
    /// What each program is verified for.
    pub(super) programs: HashMap<usize, Slot>,
    /// Programs that stand at no member any more, or only at such of maps that are not created.
    unused: Vec<ProgIx>,
    /// Programs that stand at a member of a map that is created.
    used: Vec<ProgIx>,
}

/// The place of a program: a member of a type of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) target: AttachTarget,
    /// The member's index, which the kernel takes as the attach type.
    pub(super) member: AttachType,
}

impl Callbacks {
    /// Whether a program is loaded, as far as its place decides: `None` if it is no matter of struct_ops.
    pub(super) fn autoload(&self, ix: ProgIx) -> Option<bool> {
        match (self.used.contains(&ix), self.unused.contains(&ix)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Lays out all struct_ops maps. `only`: programs that are wanted even if their map is not created.
pub(super) fn all(object: &Object, kernel: &Kernel, only: &[String]) -> Result<Callbacks, StructOpsError> {
    let mut out = Callbacks::default();
    for (i, map) in object.maps.iter().enumerate() {
        let MapOrigin::StructOps(ops) = &map.origin else { continue };
        let wanted =
            |ix: &ProgIx| object.programs.get(ix.0).is_some_and(|p| only.iter().any(|name| name == p.name()));
        if map.autocreate {
            let plan = out.lay_out(object, kernel, map, ops)?;
            out.used.extend(plan.functions.iter().map(|(_, ix)| *ix));
            // A program that was named in C and has lost its place has no other chance.
            let placed = |ix: &ProgIx| plan.functions.iter().any(|(_, used)| used == ix);
            let named = ops.programs.iter().map(|(_, ix)| ix).chain(&ops.replaced);
            out.unused.extend(named.filter(|ix| !placed(ix)).copied());
            out.maps.insert(i, plan);
        } else {
            out.unused.extend(ops.programs.iter().map(|(_, ix)| *ix));
            if ops.programs.iter().any(|(_, ix)| wanted(ix)) {
                out.lay_out(object, kernel, map, ops)?;
            }
        }
    }
    Ok(out)
}

/// A place where the kernel keeps the types of a set of callbacks.
struct Found<'k> {
    btf: &'k Btf,
    module: Option<u32>,
    wrapper: TypeId,
    ty: TypeId,
    /// Where the struct begins in its wrapper, in bytes.
    at: u32,
    size: u32,
}

impl Callbacks {
    fn lay_out(
        &mut self,
        object: &Object,
        kernel: &Kernel,
        map: &MapDef,
        ops: &StructOps,
    ) -> Result<StructOpsPlan, StructOpsError> {
        let broken = |source| StructOpsError::Btf { map: map.name.clone(), source };
        let Some(btf) = object.btf.as_deref() else {
            return Err(broken(BtfError::NoType { id: ops.type_id, last: TypeId(0).0 }));
        };
        let name = btf.ty(ops.type_id).map_err(broken)?.name.to_string();
        let name = essential_name(&name);
        let found = find(map, name, kernel)?;
        let mut layout = Layout {
            object,
            map,
            ops,
            btf,
            found: &found,
            plan: StructOpsPlan {
                value_type: found.wrapper,
                module: found.module,
                value: vec![0; found.size as usize],
                functions: Vec::new(),
            },
            callbacks: self,
        };
        let local = btf.ty(ops.type_id).map_err(broken)?;
        for member in local.members().into_iter().flatten() {
            let text = member.name.to_string();
            layout.member(member, name).map_err(|why| match why {
                Wrong::Btf(source) => broken(source),
                Wrong::Why(why) => StructOpsError::Member { map: map.name.clone(), member: text, why },
            })?;
        }
        Ok(layout.plan)
    }
}

/// Finds the kernel's type, and the one that wraps it, in the kernel or in a module.
fn find<'k>(map: &MapDef, name: &str, kernel: &'k Kernel) -> Result<Found<'k>, StructOpsError> {
    let wrapper = format!("bpf_struct_ops_{name}");
    let vmlinux = kernel
        .btf()
        .map_err(|source| StructOpsError::NoBtf { map: map.name.clone(), source: Box::new(source) })?;
    vmlinux.prefetch_types(&[&wrapper, name].map(|name| TypeQuery::named(name, BtfKind::Struct)));
    let here = vmlinux.find(&wrapper, BtfKind::Struct).ok().map(|id| (&**vmlinux, id, None));
    let found = here.or_else(|| {
        let mut modules = kernel.modules().iter();
        modules
            .find_map(|m| m.btf.find_own(&wrapper, BtfKind::Struct).map(|id| (&*m.btf, id, Some(m.btf_id))))
    });
    let lost =
        || StructOpsError::Unknown { map: map.name.clone(), ty: name.into(), wrapper: wrapper.clone() };
    let (btf, id, module) = found.ok_or_else(lost)?;
    let ty = btf.find(name, BtfKind::Struct).map_err(|_| lost())?;
    let wrapped = btf.ty(id).ok().and_then(|t| t.members()).ok_or_else(lost)?;
    let data = wrapped.iter().find(|m| m.ty == ty).and_then(|m| m.byte_offset()).ok_or_else(lost)?;
    Ok(Found { btf, module, wrapper: id, ty, at: data, size: wrapped.size })
}

/// Why a member does not fit.
enum Wrong {
    Btf(BtfError),
    Why(String),
}

impl From<BtfError> for Wrong {
    fn from(e: BtfError) -> Wrong {
        Wrong::Btf(e)
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Why(why.into()))
}

/// One map being laid out.
struct Layout<'a, 'c> {
    object: &'a Object,
    map: &'a MapDef,
    ops: &'a StructOps,
    btf: &'a Btf,
    found: &'a Found<'a>,
    plan: StructOpsPlan,
    callbacks: &'c mut Callbacks,
}

impl Layout<'_, '_> {
    fn member(&mut self, member: crate::btf::Member, type_name: &str) -> Result<(), Wrong> {
        let kernel = self.found.btf;
        let at = member.bit_offset / 8;
        let size = self.btf.size_of(member.ty)?;
        let from = at as usize..(at as usize).saturating_add(size as usize);
        let bytes = self.map.contents.as_deref().and_then(|c| c.get(from)).unwrap_or_default();
        let program = self.ops.programs.iter().find(|(offset, _)| *offset == at).map(|(_, ix)| *ix);
        let zero = bytes.iter().all(|b| *b == 0);
        let kernel_type = kernel.ty(self.found.ty)?;
        let mut theirs = kernel_type.members().into_iter().flatten().enumerate();
        let Some((index, their)) = theirs.find(|(_, m)| m.name == member.name) else {
            return match (program, zero) {
                (None, true) => Ok(()),
                (Some(_), _) => wrong(
                    "this kernel has no such member, and a program stands there; take it away before loading (set_callback(.., None))",
                ),
                (None, false) => wrong("this kernel has no such member, and its value is not zero"),
            };
        };
        if member.bit_size != 0 || their.bit_size != 0 {
            return wrong("bitfields cannot be set");
        }
        let (ours, kind) =
            (self.btf.skip_mods_and_typedefs(member.ty)?, kernel.skip_mods_and_typedefs(their.ty)?);
        if ours.tag() != kind.tag() {
            return wrong(format!("it is {:?} here and {:?} in this kernel", ours.tag(), kind.tag()));
        }
        let to = self.found.at.saturating_add(their.bit_offset / 8);
        if let Kind::Ptr(pointee) = kind.kind {
            return match program {
                None if zero => Ok(()),
                None => wrong("a pointer can only be set to a program"),
                Some(ix) if matches!(kernel.skip_mods_and_typedefs(pointee)?.kind, Kind::FuncProto(_)) => {
                    self.plan.functions.push((to, ix));
                    self.place(ix, index, type_name, &member.name.to_string())
                }
                Some(_) => wrong("in this kernel it takes no function"),
            };
        }
        let theirs = kernel.size_of(their.ty)?;
        if theirs != size {
            return wrong(format!("it has {size} bytes here and {theirs} in this kernel"));
        }
        let place = self.plan.value.get_mut(to as usize..(to as usize).saturating_add(size as usize));
        match place {
            Some(place) if place.len() == bytes.len() => place.copy_from_slice(bytes),
            _ => return wrong("it lies outside the struct"),
        }
        Ok(())
    }

    /// Notes what a program is verified for. It may stand in several maps, if it is the same place in all.
    fn place(&mut self, ix: ProgIx, index: usize, ty: &str, member: &str) -> Result<(), Wrong> {
        let is_ops = self.object.programs.get(ix.0).is_some_and(|p| p.prog_type == Some(ProgType::StructOps));
        if !is_ops {
            return wrong("what stands there is no struct_ops program");
        }
        let target = AttachTarget {
            name: format!("{ty}.{member}"),
            btf_id: self.found.ty,
            module: self.found.module,
            program: None,
        };
        let slot = Slot { target, member: AttachType(u32::try_from(index).unwrap_or(u32::MAX)) };
        let known = self.callbacks.programs.entry(ix.0).or_insert_with(|| slot.clone());
        if *known == slot {
            return Ok(());
        }
        wrong(format!(
            "its program stands at `{}` too, and can be verified for one member only",
            known.target.name
        ))
    }
}

/// Whether all programs of a set of callbacks are loaded.
pub(super) fn is_complete(plan: &StructOpsPlan, loaded: impl Fn(ProgIx) -> bool) -> bool {
    plan.functions.iter().all(|(_, ix)| loaded(*ix))
}

/// The maps that are filled once their programs are loaded, and put to use by a link later.
pub(super) fn filled(object: &Object, out: &Callbacks) -> Vec<MapIx> {
    let by_link = |i: &usize| matches!(object.maps.get(*i).map(|m| &m.origin), Some(MapOrigin::StructOps(ops)) if ops.by_link);
    let mut all: Vec<usize> = out.maps.keys().copied().filter(by_link).collect();
    all.sort_unstable();
    all.into_iter().map(MapIx).collect()
}
