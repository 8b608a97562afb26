//! The same place in other types: from the program's path to the kernel's.
//!
//! The search goes along the path as C spells it. A member is found by its name, wherever in the struct it
//! is, and in anonymous structs within; an array may have another length, but must have the element. At
//! each member the types of the two sides must be of one sort ([`fields_fit`]): an integer for an integer,
//! of whatever size, a pointer for a pointer, to whatever.

use super::candidates::same_sort;
use super::compat;
use super::fault::{CoreFault, Side};
use super::spec::{MAX_PATH, Spec, Step, Subject};
use super::types_match;
use super::work::Work;
use crate::btf::{Btf, BtfKind, CoreReloKind, Kind, Member, Type, TypeId, essential_name};

/// What came of looking at a candidate.
pub(super) enum Match<'b> {
    Yes(Spec<'b>),
    No(Mismatch<'b>),
}

/// Why a type of the kernel is not what a relocation asks for.
#[derive(Clone, Copy)]
pub(super) enum Mismatch<'b> {
    /// The type as a whole is of another sort, or not as described.
    Type,
    /// A struct or union without the member; `nth` is the step of the path.
    NoMember { nth: usize, of: Type<'b> },
    /// It has the member, as something else.
    MemberType { nth: usize, of: Type<'b>, is: TypeId },
    /// The path has a member or an element of something that has none.
    NoParts { nth: usize, is: TypeId },
    /// An array that is too short.
    Length { nth: usize, len: u32 },
    /// An enumeration without the value.
    NoValue { of: Type<'b> },
}

/// Looks for the place `local` in a type of the kernel.
pub(super) fn find<'b>(
    local: &Spec<'_>,
    btf: &'b Btf,
    id: TypeId,
    work: &mut Work,
) -> Result<Match<'b>, CoreFault> {
    let mut target = Spec::start(Side::Kernel, btf, local.kind, local.subject, id);
    let mismatch = match local.subject {
        Subject::Type => whole_type(local, &target, work)?,
        Subject::Value => value(local, &mut target, work)?,
        Subject::Field => field(local, &mut target, work)?,
    };
    Ok(match mismatch {
        None => Match::Yes(target),
        Some(why) => Match::No(why),
    })
}

/// `None` stands for a match, here and below.
type Found<'b> = Result<Option<Mismatch<'b>>, CoreFault>;

fn whole_type<'b>(local: &Spec<'_>, target: &Spec<'b>, work: &mut Work) -> Found<'b> {
    let (ours, theirs) = ((local.btf, local.root), (target.btf, target.root));
    let same = match local.kind {
        CoreReloKind::TypeMatches => types_match::types_match(ours, theirs, work)?,
        _ => compat::compatible(ours, theirs, work)?,
    };
    Ok((!same).then_some(Mismatch::Type))
}

fn value<'b>(local: &Spec<'_>, target: &mut Spec<'b>, work: &mut Work) -> Found<'b> {
    let of = target.resolve(target.root, work)?;
    let (Some(values), Some(Step::Value { value: wanted, .. })) = (of.enumerators(), local.path.first())
    else {
        return Ok(Some(Mismatch::NoParts { nth: 0, is: of.id }));
    };
    let wanted = wanted.name.essential();
    let same = values
        .iter()
        .zip(0..)
        .find(|(v, _)| v.name.as_bytes().starts_with(wanted) && v.name.essential() == wanted);
    let Some((value, index)) = same else { return Ok(Some(Mismatch::NoValue { of })) };
    target.push_raw(index)?;
    target.path.push(Step::Value { of: of.id, value });
    Ok(None)
}

fn field<'b>(local: &Spec<'_>, target: &mut Spec<'b>, work: &mut Work) -> Found<'b> {
    let mut at = target.resolve(target.root, work)?;
    for (nth, step) in local.path.iter().enumerate() {
        let next = match *step {
            Step::Index { index, .. } if nth == 0 => {
                target.push_index(at.id, index)?;
                Ok(at.id)
            }
            Step::Index { index, .. } => element(nth, index, &at, target)?,
            Step::Member { member, .. } => self::member(nth, (local.btf, member), at, target, work)?,
            Step::Value { .. } => Err(Mismatch::Type),
        };
        match next {
            Ok(id) => at = target.resolve(id, work)?,
            Err(why) => return Ok(Some(why)),
        }
    }
    Ok(None)
}

/// A step: to this type, or nowhere.
type Stepped<'b> = Result<Result<TypeId, Mismatch<'b>>, CoreFault>;

fn element<'b>(nth: usize, index: u32, at: &Type<'b>, target: &mut Spec<'b>) -> Stepped<'b> {
    let Kind::Array(array) = at.kind else { return Ok(Err(Mismatch::NoParts { nth, is: at.id })) };
    let flexible = array.len == 0 && target.path.last().is_some_and(Step::may_be_flexible);
    if !flexible && index >= array.len {
        return Ok(Err(Mismatch::Length { nth, len: array.len }));
    }
    let elem = target.btf.skip_mods_and_typedefs(array.elem).map_err(Side::Kernel.fault())?.id;
    target.push_index(elem, index)?;
    Ok(Ok(elem))
}

fn member<'b>(
    nth: usize,
    (local, wanted): (&Btf, Member<'_>),
    at: Type<'b>,
    target: &mut Spec<'b>,
    work: &mut Work,
) -> Stepped<'b> {
    if at.members().is_none() {
        return Ok(Err(Mismatch::NoParts { nth, is: at.id }));
    }
    let Some(found) = search(wanted.name.as_bytes(), &at, target, work)? else {
        return Ok(Err(Mismatch::NoMember { nth, of: at }));
    };
    let is = found.member.ty;
    if !fields_fit((local, wanted.ty), (target.btf, is))? {
        return Ok(Err(Mismatch::MemberType { nth, of: at, is }));
    }
    target.path.push(Step::Member { member: found.member, last: found.last });
    Ok(Ok(is))
}

/// A member, and whether it is the last one of the struct that it is in.
struct FoundMember<'b> {
    member: Member<'b>,
    last: bool,
}

/// Finds a member by its name, also in anonymous structs. When found, the offset and the raw path of
/// `target` lead to it; else they are what they were.
fn search<'b>(
    name: &[u8],
    at: &Type<'b>,
    target: &mut Spec<'b>,
    work: &mut Work,
) -> Result<Option<FoundMember<'b>>, CoreFault> {
    let Some(members) = at.members() else { return Ok(None) };
    if target.raw.len() >= MAX_PATH {
        return Err(CoreFault::TooDeep { limit: MAX_PATH });
    }
    for (member, index) in members.iter().zip(0u32..) {
        let anonymous = member.name.is_empty();
        if !anonymous && !member.name.is(name) {
            continue;
        }
        let (offset, depth) = (target.bit_offset, target.raw.len());
        target.advance(member.bit_offset.into())?;
        target.push_raw(index)?;
        if !anonymous {
            let last = (index as usize).saturating_add(1) == members.len();
            return Ok(Some(FoundMember { member, last }));
        }
        let inner = target.resolve(member.ty, work)?;
        if let Some(found) = search(name, &inner, target, work)? {
            return Ok(Some(found));
        }
        target.bit_offset = offset;
        target.raw.truncate(depth);
    }
    Ok(None)
}

/// How many arrays of arrays are looked through.
const MAX_ARRAYS: usize = 64;

/// Whether a load of a member of one type can become a load of a member of the other.
#[doc(alias = "bpf_core_fields_are_compat")]
fn fields_fit((local, ours): (&Btf, TypeId), (target, theirs): (&Btf, TypeId)) -> Result<bool, CoreFault> {
    let (mut ours, mut theirs) = (ours, theirs);
    for _ in 0..MAX_ARRAYS {
        let a = local.skip_mods_and_typedefs(ours).map_err(Side::Program.fault())?;
        let b = target.skip_mods_and_typedefs(theirs).map_err(Side::Kernel.fault())?;
        if a.members().is_some() && b.members().is_some() {
            return Ok(true);
        }
        if !same_sort(a.tag()).contains(b.tag()) {
            return Ok(false);
        }
        match (a.kind, b.kind) {
            (Kind::Array(a), Kind::Array(b)) => (ours, theirs) = (a.elem, b.elem),
            (Kind::Int(a), Kind::Int(b)) => return Ok(a.bit_offset == 0 && b.bit_offset == 0),
            _ => {
                return Ok(match a.tag() {
                    BtfKind::Ptr | BtfKind::Float => true,
                    BtfKind::Fwd | BtfKind::Enum | BtfKind::Enum64 => {
                        let (a, b) = (a.name.to_str(), b.name.to_str());
                        a.is_empty() || b.is_empty() || essential_name(&a) == essential_name(&b)
                    }
                    _ => false,
                });
            }
        }
    }
    Err(CoreFault::TooDeep { limit: MAX_ARRAYS })
}
