//! A place in a set of types: where a relocation's path leads.
//!
//! The same place has two spellings. The compiler's counts every member it goes through, anonymous ones
//! too; C's names the members and says nothing of the anonymous ones around them. The first is for one
//! layout of the types. The second is what two layouts have in common.
//!
//! ```text
//!   struct sample {                    struct sample *s = ...;   &s[0].a[3]
//!       int x;
//!       struct {                       raw:   0 : 1 : 2 : 3
//!           int y, z;                  path:  [0]  .a  [3]
//!           int a[7];                               └─ member 2 of the anonymous struct
//!       };
//!   };
//! ```

use std::fmt;

use super::fault::{CoreFault, Side};
use super::work::Work;
use crate::btf::{Btf, BtfKind, CoreRelo, CoreReloKind, Enumerator, Kind, Member, Name, Type, TypeId};

/// How many elements a path may have; libbpf's limit.
#[doc(alias = "BPF_CORE_SPEC_MAX_LEN")]
pub(super) const MAX_PATH: usize = 64;

/// What sort of thing a relocation asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Field,
    Type,
    Value,
}

impl Subject {
    /// `None` for a kind that is newer than this crate.
    pub(super) fn of(kind: CoreReloKind) -> Option<Subject> {
        match kind {
            CoreReloKind::FieldByteOffset
            | CoreReloKind::FieldByteSize
            | CoreReloKind::FieldExists
            | CoreReloKind::FieldSigned
            | CoreReloKind::FieldLshiftU64
            | CoreReloKind::FieldRshiftU64 => Some(Subject::Field),
            CoreReloKind::TypeIdLocal
            | CoreReloKind::TypeIdTarget
            | CoreReloKind::TypeExists
            | CoreReloKind::TypeSize
            | CoreReloKind::TypeMatches => Some(Subject::Type),
            CoreReloKind::EnumvalExists | CoreReloKind::EnumvalValue => Some(Subject::Value),
            _ => None,
        }
    }
}

/// A place: of the program's types, as a relocation gives it, or of the kernel's, as a search found it.
#[derive(Clone)]
pub(super) struct Spec<'b> {
    /// Whose types these are.
    pub(super) side: Side,
    pub(super) btf: &'b Btf,
    /// What is asked about the place.
    pub(super) kind: CoreReloKind,
    pub(super) subject: Subject,
    /// The type that the path starts from, which may be a typedef of the struct.
    pub(super) root: TypeId,
    /// The compiler's spelling.
    pub(super) raw: Vec<u32>,
    /// C's spelling. Empty when the relocation asks about the type as a whole.
    pub(super) path: Vec<Step<'b>>,
    /// Where the place is, in bits from the start of the type; below 2^35.
    pub(super) bit_offset: u64,
}

/// An element of a path as C spells it.
#[derive(Clone, Copy)]
pub(super) enum Step<'b> {
    /// `[index]`. The first step of a path to a field is always one, on the pointer to the struct.
    Index { elem: TypeId, index: u32 },
    /// `.member`
    Member { member: Member<'b>, last: bool },
    /// `::VALUE`, the only step of its path.
    Value { of: TypeId, value: Enumerator<'b> },
}

impl Step<'_> {
    /// Whether an array that this step leads to may be indexed past its length: it has none, and is the
    /// last member of its struct.
    pub(super) fn may_be_flexible(&self) -> bool {
        matches!(self, Step::Member { last: true, .. })
    }
}

impl<'b> Spec<'b> {
    /// A place at the start of a type, with nothing known of the rest.
    pub(super) fn start(
        side: Side,
        btf: &'b Btf,
        kind: CoreReloKind,
        subject: Subject,
        root: TypeId,
    ) -> Spec<'b> {
        Spec { side, btf, kind, subject, root, raw: Vec::new(), path: Vec::new(), bit_offset: 0 }
    }

    /// Follows the path of a relocation through the program's types.
    pub(super) fn parse(btf: &'b Btf, relo: &CoreRelo, work: &mut Work) -> Result<Spec<'b>, CoreFault> {
        let subject = Subject::of(relo.kind).ok_or(CoreFault::Kind { kind: relo.kind.0 })?;
        let mut spec = Spec::start(Side::Program, btf, relo.kind, subject, relo.type_id);
        btf.ty(relo.type_id).map_err(spec.side.fault())?;
        let text = btf.name(relo.access_str).map_err(spec.side.fault())?;
        let raw = numbers(text)?;
        match subject {
            Subject::Type if text == "0" => {}
            Subject::Type => return Err(bad_path(text, "it must be `0` for a whole type")),
            Subject::Value => spec.value(&raw, work)?,
            Subject::Field => spec.field(&raw, work)?,
        }
        Ok(spec)
    }

    /// The type without qualifiers and typedefs, at the cost of reading it.
    pub(super) fn resolve(&self, id: TypeId, work: &mut Work) -> Result<Type<'b>, CoreFault> {
        let ty = self.btf.skip_mods_and_typedefs(id).map_err(self.side.fault())?;
        let members = ty.members().map_or(0, |m| m.len());
        let values = ty.enumerators().map_or(0, |v| v.len());
        work.spend(members.max(values).saturating_add(Work::TYPE))?;
        Ok(ty)
    }

    /// Moves on by `index` elements of type `elem`.
    pub(super) fn push_index(&mut self, elem: TypeId, index: u32) -> Result<(), CoreFault> {
        let size = self.btf.size_of(elem).map_err(self.side.fault())?;
        self.advance(u64::from(index).saturating_mul(size.into()).saturating_mul(8))?;
        self.push_raw(index)?;
        self.path.push(Step::Index { elem, index });
        Ok(())
    }

    pub(super) fn push_raw(&mut self, index: u32) -> Result<(), CoreFault> {
        if self.raw.len() >= MAX_PATH {
            return Err(CoreFault::TooDeep { limit: MAX_PATH });
        }
        self.raw.push(index);
        Ok(())
    }

    pub(super) fn advance(&mut self, bits: u64) -> Result<(), CoreFault> {
        const LIMIT: u64 = 8 << 32;
        self.bit_offset = self.bit_offset.saturating_add(bits);
        if self.bit_offset < LIMIT { Ok(()) } else { Err(CoreFault::TooFar) }
    }

    fn value(&mut self, raw: &[u32], work: &mut Work) -> Result<(), CoreFault> {
        let ty = self.resolve(self.root, work)?;
        let bad = |why| CoreFault::Step { nth: 0, why };
        let values = ty.enumerators().ok_or_else(|| bad("the type is no enumeration"))?;
        let &[index] = raw else {
            return Err(CoreFault::Step { nth: 1, why: "nothing can follow the number of a value" });
        };
        let value = values.get(index as usize).ok_or_else(|| bad("the enumeration has fewer values"))?;
        self.push_raw(index)?;
        self.path.push(Step::Value { of: ty.id, value });
        Ok(())
    }

    fn field(&mut self, raw: &[u32], work: &mut Work) -> Result<(), CoreFault> {
        let mut at = self.resolve(self.root, work)?;
        let (&first, rest) = raw.split_first().ok_or(CoreFault::Step { nth: 0, why: "there is none" })?;
        self.push_index(at.id, first)?;
        for (nth, &index) in (1..).zip(rest) {
            let next = self.field_step(&at, index).map_err(|fault| match fault {
                CoreFault::Step { why, .. } => CoreFault::Step { nth, why },
                other => other,
            })?;
            at = self.resolve(next, work)?;
        }
        Ok(())
    }

    /// One element of the path after the first, in a type; returns the type that it leads to.
    fn field_step(&mut self, at: &Type<'b>, index: u32) -> Result<TypeId, CoreFault> {
        let bad = |why| CoreFault::Step { nth: 0, why };
        match at.kind {
            Kind::Struct(members) | Kind::Union(members) => {
                let member =
                    members.get(index as usize).ok_or_else(|| bad("the struct has fewer members"))?;
                self.advance(member.bit_offset.into())?;
                self.push_raw(index)?;
                if !member.name.is_empty() {
                    let last = (index as usize).saturating_add(1) == members.len();
                    self.path.push(Step::Member { member, last });
                }
                Ok(member.ty)
            }
            Kind::Array(array) => {
                let flexible = array.len == 0 && self.path.last().is_some_and(Step::may_be_flexible);
                if !flexible && index >= array.len {
                    return Err(bad("the array has fewer elements"));
                }
                let elem = self.btf.skip_mods_and_typedefs(array.elem).map_err(self.side.fault())?.id;
                self.push_index(elem, index)?;
                Ok(elem)
            }
            _ => Err(bad("the type is not a struct, union or array")),
        }
    }
}

fn bad_path(path: Name<'_>, why: &'static str) -> CoreFault {
    CoreFault::Path { path: path.to_string(), why }
}

/// The numbers of a path such as `0:1:2`.
fn numbers(path: Name<'_>) -> Result<Vec<u32>, CoreFault> {
    let text = path.to_str();
    let mut out = Vec::new();
    for part in text.split(':') {
        let number = part.parse().ok().filter(|&n| n <= i32::MAX as u32 && !part.starts_with('+'));
        let number = number.ok_or_else(|| bad_path(path, "its elements must be numbers"))?;
        if out.len() >= MAX_PATH {
            return Err(bad_path(path, "it has more than 64 elements"));
        }
        out.push(number);
    }
    Ok(out)
}

/// The keyword of a kind of type, as libbpf writes it.
pub(super) fn kind_word(kind: BtfKind) -> String {
    match kind {
        BtfKind::Void => "void".into(),
        kind => kind.name().map_or("unknown".into(), str::to_lowercase),
    }
}

/// As libbpf writes it: `<byte_off> [7] struct task_struct.pid (0:3 @ offset 24)`.
impl fmt::Display for Spec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ty = self.btf.ty(self.root).map_err(|_| fmt::Error)?;
        let name = if ty.name.is_empty() { "<anon>".into() } else { ty.name.to_str() };
        write!(f, "<{}> [{}] {} {name}", self.kind, self.root, kind_word(ty.tag()))?;
        for (nth, step) in self.path.iter().enumerate() {
            match step {
                Step::Index { index: 0, .. } if nth == 0 => {}
                Step::Index { index, .. } => write!(f, "[{index}]")?,
                Step::Member { member, .. } => write!(f, ".{}", member.name)?,
                Step::Value { value, .. } => write!(f, "::{} = {}", value.name, value.value)?,
            }
        }
        if self.subject != Subject::Field {
            return Ok(());
        }
        let raw: Vec<String> = self.raw.iter().map(u32::to_string).collect();
        write!(f, " ({} @ offset {}", raw.join(":"), self.bit_offset / 8)?;
        match self.bit_offset % 8 {
            0 => f.write_str(")"),
            bits => write!(f, ".{bits})"),
        }
    }
}
