//! The number that answers a relocation, for the program's types and for the kernel's.
//!
//! # Bitfields
//!
//! No instruction loads 3 bits. `BPF_CORE_READ_BITFIELD` loads the integer around them and shifts twice,
//! left to lose what is above and right to lose what is below, and four relocations tell it how:
//!
//! ```text
//!   struct { u32 a:7, b:3, c:22; }        .b: 3 bits from bit 7
//!
//!   little endian   63       32        10  7        0
//!                   ┌─────────┬────────┬───┬────────┐    byte_off   0    byte_sz      4
//!                   │    0    │   c    │ b │   a    │    lshift_u64 54   rshift_u64  61
//!                   └─────────┴────────┴───┴────────┘
//!   big endian      63       32    25  22           0
//!                   ┌─────────┬────┬───┬────────────┐    lshift_u64 39   rshift_u64  61
//!                   │    0    │ a  │ b │     c      │    bits are counted from the other end
//!                   └─────────┴────┴───┴────────────┘
//! ```
//!
//! # Loads that change their size
//!
//! When a member is a `u32` in the program's struct and a `u64` in the kernel's, the load itself must
//! change. The upper bits of the register become zeros in any case, so that is right for unsigned integers
//! and for pointers (4 bytes on a 32-bit kernel), and wrong for all else, which is therefore poisoned.

use super::fault::CoreFault;
use super::spec::{Spec, Step};
use crate::btf::{Btf, CoreReloKind, IntEncoding, Kind, Member, Type, TypeId};
use crate::bytes::Endian;

/// An answer for one set of types.
#[derive(Clone, Copy)]
pub(super) struct Answer<'b> {
    pub(super) number: u64,
    /// The number that clang put into the instruction is surely this one, for the program's types.
    checked: bool,
    /// For the offset of a field: what an access to it moves.
    access: Option<Access<'b>>,
}

/// What a load or store of a field moves.
#[derive(Clone, Copy)]
pub(super) struct Access<'b> {
    /// How many bytes; of an array, those of one element.
    pub(super) size: u32,
    /// The type of the field, and the types it is one of.
    pub(super) ty: Type<'b>,
    pub(super) btf: &'b Btf,
}

/// What an instruction has to become.
pub(super) struct Change<'b> {
    /// The number that it must have before.
    pub(super) expected: Option<u64>,
    pub(super) number: u64,
    pub(super) resize: Resize<'b>,
}

/// Whether a load or store has to move another number of bytes.
pub(super) enum Resize<'b> {
    No,
    Fits {
        from: u32,
        to: u32,
    },
    /// It would have to, and the value would be wrong.
    Unsafe {
        ours: Option<Access<'b>>,
        theirs: Option<Access<'b>>,
    },
}

impl<'b> Answer<'b> {
    fn exact(number: u64) -> Answer<'b> {
        Answer { number, checked: true, access: None }
    }
}

impl<'b> Change<'b> {
    /// A number for an instruction that may have had any.
    pub(super) fn unchecked(number: u64) -> Change<'b> {
        Change { expected: None, number, resize: Resize::No }
    }

    pub(super) fn between(ours: &Answer<'b>, theirs: &Answer<'b>) -> Change<'b> {
        let size = |access: &Option<Access<'_>>| access.map_or(0, |a| a.size);
        let (from, to) = (size(&ours.access), size(&theirs.access));
        let resize = match (ours.access, theirs.access) {
            _ if from == to => Resize::No,
            (Some(a), Some(b)) if may_resize(&a.ty, &b.ty) => Resize::Fits { from, to },
            (ours, theirs) => Resize::Unsafe { ours, theirs },
        };
        Change { expected: ours.checked.then_some(ours.number), number: theirs.number, resize }
    }
}

/// Whether a load is right for a value of the other size: zeros come in above.
fn may_resize(a: &Type<'_>, b: &Type<'_>) -> bool {
    match (a.kind, b.kind) {
        (Kind::Ptr(_), Kind::Ptr(_)) => true,
        (Kind::Int(a), Kind::Int(b)) => {
            a.encoding != IntEncoding::SIGNED && b.encoding != IntEncoding::SIGNED
        }
        _ => false,
    }
}

/// The answer when the kernel has nothing that matches; `None` if there is none.
pub(super) fn when_missing<'b>(kind: CoreReloKind) -> Option<Answer<'b>> {
    match kind {
        CoreReloKind::FieldExists
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeMatches
        | CoreReloKind::TypeSize
        | CoreReloKind::TypeIdTarget
        | CoreReloKind::EnumvalExists => Some(Answer::exact(0)),
        _ => None,
    }
}

/// Two types of the kernel that both match must give the same answer.
pub(super) fn agree(
    (one, a): (&Spec<'_>, &Answer<'_>),
    (other, b): (&Spec<'_>, &Answer<'_>),
) -> Result<(), CoreFault> {
    if one.bit_offset != other.bit_offset {
        return Err(CoreFault::AmbiguousOffset { one: one.bit_offset, other: other.bit_offset });
    }
    if a.number != b.number {
        return Err(CoreFault::AmbiguousValue { one: a.number, other: b.number });
    }
    Ok(())
}

/// The answer for a place.
pub(super) fn of<'b>(spec: &Spec<'b>) -> Result<Answer<'b>, CoreFault> {
    match spec.kind {
        CoreReloKind::FieldExists
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeMatches
        | CoreReloKind::EnumvalExists => Ok(Answer::exact(1)),
        CoreReloKind::TypeIdLocal | CoreReloKind::TypeIdTarget => {
            // Linking objects together renumbers their types, and not these numbers in their code.
            Ok(Answer { number: spec.root.0.into(), checked: false, access: None })
        }
        CoreReloKind::TypeSize => Ok(Answer::exact(size(spec, spec.root)?.into())),
        kind => match spec.path.last() {
            Some(Step::Value { of, value }) => {
                let of = spec.btf.ty(*of).map_err(spec.side.fault())?;
                let small = matches!(of.kind, Kind::Enum(_));
                // A 32-bit value has its upper half filled with its sign, even if it has none.
                let number = if small { value.value as i32 as u64 } else { value.value as u64 };
                Ok(Answer::exact(number))
            }
            Some(Step::Index { elem, .. }) => element(spec, *elem),
            Some(Step::Member { member, .. }) => self::member(spec, member),
            None => Err(CoreFault::Kind { kind: kind.0 }),
        },
    }
}

fn size(spec: &Spec<'_>, id: TypeId) -> Result<u32, CoreFault> {
    spec.btf.size_of(id).map_err(spec.side.fault())
}

/// The answer for an element of an array.
fn element<'b>(spec: &Spec<'b>, elem: TypeId) -> Result<Answer<'b>, CoreFault> {
    match spec.kind {
        CoreReloKind::FieldByteOffset => {
            Ok(Answer { number: spec.bit_offset / 8, checked: true, access: Some(access(spec, elem)?) })
        }
        CoreReloKind::FieldByteSize => Ok(Answer::exact(size(spec, elem)?.into())),
        kind => Err(CoreFault::Element { what: kind.name().unwrap_or("unknown") }),
    }
}

/// The answer for a member of a struct or union.
fn member<'b>(spec: &Spec<'b>, member: &Member<'b>) -> Result<Answer<'b>, CoreFault> {
    let ty = spec.btf.skip_mods_and_typedefs(member.ty).map_err(spec.side.fault())?;
    let bitfield = member.is_bitfield();
    let (byte_off, byte_size, bits) = if bitfield {
        let (off, size) = container(&ty, spec.bit_offset, member.bit_size)?;
        (off, size, member.bit_size)
    } else {
        let size = size(spec, ty.id)?;
        (spec.bit_offset / 8, size, size.wrapping_mul(8))
    };
    // Below 2^35 less a multiple of 8: it fits unless the member is huge, and then libbpf wraps it too.
    let start = spec.bit_offset.wrapping_sub(byte_off.wrapping_mul(8)) as u32;
    let answer = |number: u64| Answer { number, checked: !bitfield, access: None };
    Ok(match spec.kind {
        CoreReloKind::FieldByteOffset => {
            Answer { access: if bitfield { None } else { Some(access(spec, ty.id)?) }, ..answer(byte_off) }
        }
        CoreReloKind::FieldByteSize => answer(byte_size.into()),
        CoreReloKind::FieldSigned => Answer::exact(is_signed(&ty).into()),
        CoreReloKind::FieldLshiftU64 => answer(match spec.btf.endian() {
            Endian::Little => 64u32.wrapping_sub(start.wrapping_add(bits)).into(),
            Endian::Big => 8u32.wrapping_sub(byte_size).wrapping_mul(8).wrapping_add(start).into(),
        }),
        CoreReloKind::FieldRshiftU64 => Answer::exact(64u32.wrapping_sub(bits).into()),
        kind => return Err(CoreFault::Kind { kind: kind.0 }),
    })
}

fn is_signed(ty: &Type<'_>) -> bool {
    match ty.kind {
        Kind::Int(int) => int.encoding.is_signed(),
        Kind::Enum(values) | Kind::Enum64(values) => values.is_signed(),
        _ => false,
    }
}

/// The aligned integer that holds a bitfield: where it starts and how large it is, in bytes. It is the one
/// that the field is declared with, or the next larger one that holds all of it.
fn container(ty: &Type<'_>, bit_offset: u64, bits: u32) -> Result<(u64, u32), CoreFault> {
    let mut size = match ty.kind {
        Kind::Int(int) => int.size,
        Kind::Enum(values) | Kind::Enum64(values) => values.size,
        _ => 0,
    };
    let end = bit_offset.saturating_add(bits.into());
    loop {
        let index = (bit_offset / 8).checked_div(size.into()).ok_or(CoreFault::BitfieldType)?;
        let start = index.saturating_mul(size.into());
        if end.saturating_sub(start.saturating_mul(8)) <= u64::from(size).saturating_mul(8) {
            return Ok((start, size));
        }
        if size >= 8 {
            return Err(CoreFault::Bitfield { start: bit_offset, bits });
        }
        size = size.saturating_mul(2);
    }
}

/// What an access to a field of this type moves: the field, or one element if it is an array.
fn access<'b>(spec: &Spec<'b>, id: TypeId) -> Result<Access<'b>, CoreFault> {
    let ty = spec.btf.ty(id).map_err(spec.side.fault())?;
    let mut elem = spec.btf.skip_mods_and_typedefs(id).map_err(spec.side.fault())?;
    // `size_of` has seen the end of this chain already, or will say that there is none.
    for _ in 0..super::compat::MAX_DEPTH {
        let Kind::Array(array) = elem.kind else { break };
        elem = spec.btf.skip_mods_and_typedefs(array.elem).map_err(spec.side.fault())?;
    }
    Ok(Access { size: size(spec, elem.id)?, ty, btf: spec.btf })
}
