//! Why there is not a number: the text that goes with a poisoned instruction.
//!
//! It is read by somebody whose program was refused, with the verifier's `invalid func unknown#195896080`
//! and nothing else. So it says what the program wanted, what this kernel has in its place, and what to
//! write in the program if it can do without.

use std::fmt::Write as _;

use super::candidates::Candidate;
use super::matching::Mismatch;
use super::spec::{Spec, Step, Subject, kind_word};
use super::value::{Access, Change, Resize};
use crate::btf::{Btf, BtfKind, Kind, Name, Type, TypeId, essential_name};
use crate::elf::section::distance;

/// How many candidates a text mentions.
const MOST: usize = 4;

/// For something that no type of the kernel has.
pub(super) fn missing(
    local: &Spec<'_>,
    tried: &[(Candidate<'_>, Mismatch<'_>)],
    namesakes: &[Candidate<'_>],
) -> String {
    let mut out = format!("{local}: ");
    if tried.is_empty() {
        out += &no_type(local, namesakes);
    }
    for (nth, (candidate, why)) in tried.iter().take(MOST).enumerate() {
        let sep = if nth == 0 { "" } else { "; " };
        let _ = write!(out, "{sep}{} {}", place(candidate), reason(local, candidate, why));
    }
    if let Some(more @ 1..) = tried.len().checked_sub(MOST) {
        let _ = write!(out, "; {more} more types of that name do not have it either");
    }
    let _ = write!(out, ". If the program can do without it, test for it first: {}", guard(local, tried));
    out
}

/// For a field that has another size here, which a load or store cannot make good.
pub(super) fn resized(local: &Spec<'_>, change: &Change<'_>) -> String {
    let Resize::Unsafe { ours, theirs } = &change.resize else { return local.to_string() };
    let show = |access: &Option<Access<'_>>| match access {
        Some(Access { size, ty, btf }) => format!("{size} byte(s) (`{}`)", type_name(btf, ty.id)),
        None => "a bitfield".into(),
    };
    format!(
        "{local}: it has {} in the program and {} on this kernel, and a plain load or store can be adapted \
         only for pointers and unsigned integers. Read it with BPF_CORE_READ_INTO or \
         BPF_CORE_READ_BITFIELD, or declare it in the program as the kernel does",
        show(ours),
        show(theirs)
    )
}

fn no_type(local: &Spec<'_>, namesakes: &[Candidate<'_>]) -> String {
    let name = c_name(local.btf, local.root);
    let name = essential_name(&name);
    let mut out = format!("there is no `{name}` in its BTF or in that of its modules");
    if let Some(other) = namesakes.first() {
        let _ = write!(out, ", only {}", place(other));
    }
    out
}

/// What to ask in the program before using what may be missing.
fn guard(local: &Spec<'_>, tried: &[(Candidate<'_>, Mismatch<'_>)]) -> String {
    let ty = c_name(local.btf, local.root);
    let path: String = local.path.iter().skip(1).fold(String::new(), |mut out, step| {
        let _ = match step {
            Step::Index { index, .. } => write!(out, "[{index}]"),
            Step::Member { member, .. } if out.is_empty() => write!(out, "{}", member.name),
            Step::Member { member, .. } => write!(out, ".{}", member.name),
            Step::Value { .. } => Ok(()),
        };
        out
    });
    match (local.subject, local.path.first()) {
        (Subject::Value, Some(Step::Value { value, .. })) => {
            format!("bpf_core_enum_value_exists({ty}, {})", value.name)
        }
        (Subject::Field, _) if !tried.is_empty() && !path.is_empty() => {
            format!("bpf_core_field_exists({ty}, {path})")
        }
        _ => format!("bpf_core_type_exists({ty})"),
    }
}

/// Why a candidate is not it, as the end of a sentence that begins with its name.
fn reason(local: &Spec<'_>, candidate: &Candidate<'_>, why: &Mismatch<'_>) -> String {
    let wanted = |nth: usize| match local.path.get(nth) {
        Some(Step::Member { member, .. }) => format!("`{}`", member.name),
        Some(Step::Index { index, .. }) => format!("`[{index}]`"),
        Some(Step::Value { value, .. }) => format!("`{}`", value.name),
        None => "it".into(),
    };
    let inside = |of: &Type<'_>| match of.name.is_empty() || of.id == candidate.id {
        true => "has".into(),
        false => format!("has `{}`, which has", c_name(candidate.btf, of.id)),
    };
    match why {
        Mismatch::Type => "is of another sort".into(),
        Mismatch::NoMember { nth, of } => {
            let names = of.members().into_iter().flatten().map(|m| m.name);
            let near = nearest(&wanted(*nth), names);
            format!("{} no member {}{near}", inside(of), wanted(*nth))
        }
        Mismatch::MemberType { nth, of, is } => {
            let ours = match local.path.get(*nth) {
                Some(Step::Member { member, .. }) => type_name(local.btf, member.ty),
                _ => String::new(),
            };
            let theirs = type_name(candidate.btf, *is);
            format!("{} {} as `{theirs}`, where the program has `{ours}`", inside(of), wanted(*nth))
        }
        Mismatch::NoParts { nth, is } => {
            format!("has `{}` where the program wants {}", type_name(candidate.btf, *is), wanted(*nth))
        }
        Mismatch::Length { nth, len } => {
            format!("has an array of {len} where the program wants {}", wanted(*nth))
        }
        Mismatch::NoValue { of } => {
            let names = of.enumerators().into_iter().flatten().map(|v| v.name);
            format!("has no value {}{}", wanted(0), nearest(&wanted(0), names))
        }
    }
}

/// The name that is most like `wanted`, for the end of a sentence; nothing if none is. Underscores in front
/// and behind do not count.
fn nearest<'b>(wanted: &str, names: impl Iterator<Item = Name<'b>>) -> String {
    let core = wanted.trim_matches(['`', '_']);
    let limit = (core.len() / 3 + 1).min(3).min(core.len().saturating_sub(1));
    let letters = letters(core);
    let score = |name: Name<'b>| {
        let text = name.to_str();
        let text = text.trim_matches('_');
        // What a glance tells: a change of one letter changes the length by 1, and two letters of the set.
        let near = text.len().abs_diff(core.len()) <= limit
            && (self::letters(text) ^ letters).count_ones() as usize <= 2 * limit;
        (near && !text.is_empty()).then(|| (distance(core, text), name)).filter(|(score, _)| *score <= limit)
    };
    let best = names.filter_map(score).min_by_key(|(score, _)| *score);
    best.map_or_else(String::new, |(_, name)| format!(" (the nearest is `{name}`)"))
}

/// Which letters a text has, as a set of 64.
fn letters(text: &str) -> u64 {
    text.bytes().fold(0, |set, byte| set | 1 << (byte & 63))
}

/// `struct task_struct [142]`, with the module if it is of one.
fn place(candidate: &Candidate<'_>) -> String {
    let home = candidate.module.map_or_else(String::new, |module| format!(" of module {module}"));
    format!("`{}` [{}]{home}", c_name(candidate.btf, candidate.id), candidate.id)
}

/// A type as C names it: `struct sock`, `enum bpf_cmd`, `pid_t`.
fn c_name(btf: &Btf, id: TypeId) -> String {
    btf.ty(id).map_or_else(|_| format!("type {id}"), |ty| bare(&ty))
}

fn bare(ty: &Type<'_>) -> String {
    let name = ty.name.to_str();
    match ty.tag() {
        BtfKind::Struct | BtfKind::Union | BtfKind::Enum if name.is_empty() => {
            format!("{} (anonymous)", kind_word(ty.tag()))
        }
        BtfKind::Enum64 => format!("enum {name}"),
        BtfKind::Struct | BtfKind::Union | BtfKind::Enum => format!("{} {name}", kind_word(ty.tag())),
        BtfKind::Fwd => format!("struct {name}; (without members)"),
        _ if name.is_empty() => kind_word(ty.tag()),
        _ => name.into_owned(),
    }
}

/// A type as C writes it, more or less; for messages.
fn type_name(btf: &Btf, id: TypeId) -> String {
    let (mut at, mut suffix) = (id, String::new());
    for _ in 0..8 {
        let Ok(ty) = btf.skip_mods(at) else { break };
        match ty.kind {
            Kind::Ptr(to) => (at, suffix) = (to, format!(" *{}", suffix.trim_start())),
            Kind::Array(array) => (at, suffix) = (array.elem, format!("{suffix}[{}]", array.len)),
            _ => {
                at = ty.id;
                break;
            }
        }
    }
    format!("{}{suffix}", c_name(btf, at))
}
