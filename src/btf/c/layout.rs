//! Where a compiler puts the members of a struct.
//!
//! BTF has offsets, and C has rules: a member goes to the next multiple of its alignment, a bitfield goes
//! where it does not cross a boundary of its type, and a struct is as long as its alignment asks. Here the
//! rules are played through for each struct, as it will be written. What comes out is whether it must
//! be packed, and which alignment it has for those that contain it.

use crate::btf::list::{Member, Members};
use crate::btf::resolve::{ALIASES, MAX_CHAIN};
use crate::btf::types::Kind;
use crate::btf::{Btf, BtfError, TypeId};

/// How a struct or union is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// With `__attribute__((packed))`.
    pub packed: bool,
    /// With `__attribute__((aligned(n)))`, unless 0.
    pub aligned: u32,
    /// What the compiler makes of that, in bytes.
    pub align: u32,
}

/// The layouts of a BTF, each made once.
pub(super) struct Layouts<'a> {
    btf: &'a Btf,
    known: Vec<Option<Layout>>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(btf: &'a Btf) -> Layouts<'a> {
        Layouts { btf, known: Vec::new() }
    }

    /// The layout of a struct or union.
    pub(super) fn of(&mut self, id: TypeId, depth: u32) -> Result<Layout, BtfError> {
        let at = id.0 as usize;
        if let Some(Some(layout)) = self.known.get(at) {
            return Ok(*layout);
        }
        if depth > MAX_CHAIN {
            return Err(BtfError::TooDeep { id, limit: MAX_CHAIN });
        }
        let ty = self.btf.ty(id)?;
        let layout = match ty.kind {
            Kind::Struct(members) => self.of_struct(members, depth)?,
            Kind::Union(members) => self.of_union(members, depth)?,
            _ => return Err(self.btf.wrong_kind(&ty, "layout")),
        };
        if self.known.len() <= at {
            self.known.resize((self.btf.type_count() as usize).max(at.saturating_add(1)), None);
        }
        if let Some(place) = self.known.get_mut(at) {
            *place = Some(layout);
        }
        Ok(layout)
    }

    fn of_struct(&mut self, members: Members<'_>, depth: u32) -> Result<Layout, BtfError> {
        let mut place = Place::default();
        let mut align = 1;
        let mut packed = false;
        for m in members {
            let space = self.space(m.ty, depth)?;
            align = align.max(space.align);
            packed |= place.natural(&m, space) > m.bit_offset.into() || !place.reaches(&m, space);
            place.put(&m, space);
        }
        let end = place.end.next_multiple_of(u64::from(align) * 8);
        packed |= end > u64::from(members.size) * 8 || members.size % align != 0;
        Ok(Layout { packed, aligned: 0, align: if packed { 1 } else { align } })
    }

    fn of_union(&mut self, members: Members<'_>, depth: u32) -> Result<Layout, BtfError> {
        let (mut align, mut bytes) = (1, 0u64);
        for m in members {
            let space = self.space(m.ty, depth)?;
            align = align.max(space.align);
            let bits = if m.is_bitfield() { m.bit_size.into() } else { u64::from(space.size) * 8 };
            bytes = bytes.max(bits.div_ceil(8));
        }
        let size = u64::from(members.size);
        let natural = bytes.next_multiple_of(align.into());
        if natural > size {
            return Ok(Layout { packed: true, aligned: 0, align: 1 });
        }
        // Longer than its members: an alignment must have made it so.
        let powers = (0..16).map(|n| 1u32 << n).skip_while(|n| *n <= align);
        let aligned = if natural == size {
            None
        } else {
            powers.into_iter().find(|n| bytes.next_multiple_of(u64::from(*n)) == size)
        };
        Ok(Layout { packed: false, aligned: aligned.unwrap_or(0), align: aligned.unwrap_or(align) })
    }

    /// The size and alignment that the compiler gives a type.
    pub(super) fn space(&mut self, id: TypeId, depth: u32) -> Result<Space, BtfError> {
        let id = self.btf.skip_id(id, ALIASES)?;
        if let (Some(Some(layout)), Some(head)) = (self.known.get(id.0 as usize), self.btf.head(id)) {
            return Ok(Space { size: head.word, align: layout.align });
        }
        let ty = self.btf.ty(id)?;
        let natural = |size: u32| Space { size, align: 1 << size.max(1).trailing_zeros().min(4) };
        Ok(match ty.kind {
            Kind::Int(int) => natural(int.size),
            Kind::Enum(values) | Kind::Enum64(values) => natural(values.size),
            Kind::Float { size } => natural(size),
            Kind::Ptr(_) => natural(self.btf.pointer_size()),
            Kind::Array(array) => Space {
                size: self.btf.size_of(ty.id)?,
                align: self.space(array.elem, depth.saturating_add(1).min(MAX_CHAIN))?.align,
            },
            Kind::Struct(m) | Kind::Union(m) => {
                Space { size: m.size, align: self.of(ty.id, depth.saturating_add(1))?.align }
            }
            _ => Space { size: 0, align: 1 },
        })
    }
}

/// The size and alignment of a type, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub size: u32,
    pub align: u32,
}

/// How far a struct is laid out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Where the last member ends, in bits.
    pub end: u64,
    /// Members follow one another without gaps.
    pub packed: bool,
}

impl Place {
    /// Where the compiler puts the next member, in bits.
    pub(super) fn natural(&self, m: &Member<'_>, space: Space) -> u64 {
        let align = u64::from(space.align) * 8;
        if !m.is_bitfield() {
            return self.end.next_multiple_of(if self.packed { 8 } else { align });
        }
        let unit = u64::from(space.size.max(1)) * 8;
        let crosses = self.end % unit + u64::from(m.bit_size) > unit;
        if crosses && !self.packed { self.end.next_multiple_of(align) } else { self.end }
    }

    /// Whether filling up can bring the next member to its offset.
    fn reaches(&self, m: &Member<'_>, space: Space) -> bool {
        let at = Place { end: m.bit_offset.into(), ..*self };
        at.natural(m, space) == u64::from(m.bit_offset)
    }

    /// Goes past a member, wherever BTF has it.
    pub(super) fn put(&mut self, m: &Member<'_>, space: Space) {
        let bits = if m.is_bitfield() { m.bit_size.into() } else { u64::from(space.size) * 8 };
        self.end = u64::from(m.bit_offset) + bits;
    }
}
