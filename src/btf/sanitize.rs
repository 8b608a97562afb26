//! Making the BTF of an object acceptable to an older kernel.
//!
//! A kernel checks BTF strictly: one record of a kind it does not know and all of it is refused. But
//! compilers write what is new. So before BTF is loaded, each type that the kernel is too old for is
//! replaced by an older one that takes its place: same number, and a size that the kernel cannot object
//! to. What is lost is only meaning that such a kernel could not have used.
//!
//! | the kernel lacks | since | what becomes of it |
//! |---|---|---|
//! | `datasec` | 5.2 | `VAR` → `INT` of 1 byte; `DATASEC` → `STRUCT`, with `_` for `.` and `?` in its name |
//! | `decl_tag` | 5.16 | `DECL_TAG` → `INT` of 1 byte |
//! | `qmark_datasec` | 6.9 | a `?` at the start of the name of a `DATASEC` → `_` |
//! | `func` | 5.0 | `FUNC_PROTO` → `ENUM` of 4 bytes; `FUNC` → `TYPEDEF` |
//! | `global_func` | 5.6 | `FUNC` → a static one |
//! | `float` | 5.13 | `FLOAT` → an anonymous, empty `STRUCT` of the same size |
//! | `type_tag` | 5.17 | `TYPE_TAG` → `CONST` |
//! | `enum64` | 6.0 | `ENUM` → unsigned; `ENUM64` → `UNION` of 1-byte integers |
//! | `layout` | 7.2 | the layout section is left out |
//!
//! Where two rows fit a type, the upper one is used.

use super::build::BtfBuilder;
use super::def::{Composite, Def, MemberDef, Values};
use super::kind::FuncLinkage;
use super::types::Int;
use super::{Btf, BtfError, BtfKind, IntEncoding, KindSet, StrOff, TypeId};
use crate::bytes::Cursor;
use std::borrow::Cow;

/// What the BTF of a kernel may contain beyond that of Linux 4.18, one field for each thing that can be
/// probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// `FUNC` and `FUNC_PROTO` (Linux 5.0).
    pub func: bool,
    /// `VAR` and `DATASEC` (Linux 5.2).
    pub datasec: bool,
    /// Linkage of functions (Linux 5.6).
    pub global_func: bool,
    /// `FLOAT` (Linux 5.13).
    pub float: bool,
    /// `DECL_TAG` (Linux 5.16).
    pub decl_tag: bool,
    /// `TYPE_TAG` (Linux 5.17).
    pub type_tag: bool,
    /// `ENUM64`, and the sign of `ENUM` (Linux 6.0).
    pub enum64: bool,
    /// A `?` at the start of a section's name (Linux 6.9).
    pub qmark_datasec: bool,
    /// The layout section (Linux 7.2).
    pub layout: bool,
}

impl Support {
    /// A kernel that takes everything.
    pub const ALL: Support = Support {
        func: true,
        datasec: true,
        global_func: true,
        float: true,
        decl_tag: true,
        type_tag: true,
        enum64: true,
        qmark_datasec: true,
        layout: true,
    };

    /// The first kernel with BTF, Linux 4.18.
    pub const NONE: Support = Support {
        func: false,
        datasec: false,
        global_func: false,
        float: false,
        decl_tag: false,
        type_tag: false,
        enum64: false,
        qmark_datasec: false,
        layout: false,
    };

    /// The kinds in which something may have to be replaced.
    fn suspects(&self) -> KindSet {
        let rows: [(bool, &[BtfKind]); 8] = [
            (self.datasec, &[BtfKind::Var, BtfKind::Datasec]),
            (self.decl_tag, &[BtfKind::DeclTag]),
            (self.qmark_datasec, &[BtfKind::Datasec]),
            (self.func, &[BtfKind::FuncProto, BtfKind::Func]),
            (self.global_func, &[BtfKind::Func]),
            (self.float, &[BtfKind::Float]),
            (self.type_tag, &[BtfKind::TypeTag]),
            (self.enum64, &[BtfKind::Enum, BtfKind::Enum64]),
        ];
        let missing = rows.into_iter().filter(|(supported, _)| !supported);
        missing.fold(KindSet::of(&[]), |all, (_, kinds)| all.union(KindSet::of(kinds)))
    }
}

/// The bytes of `btf` with everything replaced that the kernel is too old for. Type numbers and string
/// offsets stay what they are; types and strings may be added at the end.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, BtfKind, Def, Support, sanitize};
/// let mut b = BtfBuilder::new();
/// b.add("double", Def::Float { size: 8 });
/// let btf = Btf::parse(b.to_bytes()?)?;
/// let old = Support { float: false, ..Support::ALL };
/// let replaced = Btf::parse(sanitize(&btf, &old)?.into_owned())?;
/// assert_eq!(replaced.raw(replaced.iter().next().unwrap()?).to_string(), "[1] STRUCT '(anon)' size=8 vlen=0");
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
///
/// # Errors
/// A type that cannot be read.
#[doc(alias = "bpf_object__sanitize_btf")]
pub fn sanitize<'b>(btf: &'b Btf, support: &Support) -> Result<Cow<'b, [u8]>, BtfError> {
    let suspects = support.suspects();
    let strip = !support.layout && mentions_layout(btf);
    let ids = || (btf.first_id().0..btf.type_count()).map(TypeId);
    let suspect = |id: TypeId| btf.head(id).is_some_and(|head| suspects.contains(head.kind()));
    if !strip && !ids().any(suspect) {
        return Ok(Cow::Borrowed(btf.bytes()));
    }
    let mut out = BtfBuilder::edit(btf)?;
    if !support.layout {
        out.clear_layout();
    }
    let mut placeholder = None;
    for id in ids().filter(|id| suspect(*id)) {
        let Some((name, def)) = out.get(id).cloned() else { continue };
        if let Some(new) = replace(&mut out, &mut placeholder, name, def, support) {
            if let Some(place) = out.get_mut(id) {
                *place = new;
            }
        }
    }
    out.to_bytes().map(Cow::Owned)
}

/// Whether the header has fields for a layout section, and they are not zero.
fn mentions_layout(btf: &Btf) -> bool {
    let c = Cursor::new(btf.bytes(), btf.endian());
    let field = |at: usize| c.at(at).u32().unwrap_or(0);
    field(4) >= 32 && (field(24) != 0 || field(28) != 0)
}

/// An integer of 1 byte: it fits wherever the type that it replaces did.
const BYTE: Def = Def::Int(Int { size: 1, bits: 8, bit_offset: 0, encoding: IntEncoding::UNSIGNED });

/// What takes the place of a type; `None` when it can stay.
fn replace(
    out: &mut BtfBuilder,
    placeholder: &mut Option<TypeId>,
    name: StrOff,
    def: Def,
    support: &Support,
) -> Option<(StrOff, Def)> {
    Some(match def {
        Def::Var { .. } if !support.datasec => (name, BYTE),
        Def::DeclTag { .. } if !support.decl_tag => (name, BYTE),
        Def::Datasec { size, vars } if !support.datasec => {
            let name = rename(out, name, |b, _| matches!(b, b'.' | b'?'));
            let member = |var: super::Secinfo| MemberDef {
                name: out.get(var.ty).map_or(StrOff::NONE, |(name, _)| *name),
                ty: var.ty,
                bit_offset: var.offset.wrapping_mul(8),
                bit_size: 0,
            };
            let members = vars.into_iter().map(member).collect();
            (name, Def::Struct(Composite { size, bitfields: false, members }))
        }
        Def::Datasec { .. } if !support.qmark_datasec => {
            (rename(out, name, |b, at| b == b'?' && at == 0), def)
        }
        Def::FuncProto { params, .. } if !support.func => {
            // A parameter and an enumerator are both two words; the type's number becomes the value.
            let values = params.into_iter().map(|(name, ty)| (name, ty.0.into())).collect();
            (name, Def::Enum(Values { size: 4, signed: false, values }))
        }
        Def::Func { proto, .. } if !support.func => (name, Def::Typedef(proto)),
        Def::Func { proto, .. } if !support.global_func => {
            (name, Def::Func { proto, linkage: FuncLinkage::Static })
        }
        Def::Float { size } if !support.float => {
            (StrOff::NONE, Def::Struct(Composite { size, ..Composite::default() }))
        }
        Def::TypeTag { ty, .. } if !support.type_tag => (StrOff::NONE, Def::Const(ty)),
        Def::Enum(values) if !support.enum64 => (name, Def::Enum(Values { signed: false, ..values })),
        Def::Enum64(values) if !support.enum64 => {
            let ty = *placeholder.get_or_insert_with(|| out.add("enum64_placeholder", BYTE));
            let member = |(name, _)| MemberDef { name, ty, bit_offset: 0, bit_size: 0 };
            let members = values.values.into_iter().map(member).collect();
            (name, Def::Union(Composite { size: values.size, bitfields: false, members }))
        }
        _ => return None,
    })
}

/// A name with `_` for the bytes (at their places) that `bad` picks.
fn rename(out: &mut BtfBuilder, name: StrOff, bad: impl Fn(u8, usize) -> bool) -> StrOff {
    let old = out.name(name).map(|n| n.as_bytes().to_vec()).unwrap_or_default();
    let new: Vec<u8> = old.iter().enumerate().map(|(at, &b)| if bad(b, at) { b'_' } else { b }).collect();
    if new == old { name } else { out.string(new) }
}
