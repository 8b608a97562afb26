//! The bodies of structs, unions and enumerations.

use super::Printer;
use super::layout::Place;
use crate::btf::list::Member;
use crate::btf::resolve::ALIASES;
use crate::btf::types::{Head, Kind};
use crate::btf::{BtfError, BtfKind, TypeId};
use std::fmt::Write;

/// What gaps are filled with, largest first: unnamed bitfields, which take space and nothing else.
const FILLERS: [(&str, u64); 4] = [("long", 64), ("int", 32), ("short", 16), ("char", 8)];

impl Printer<'_> {
    fn newline(&mut self, level: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n('\t', level.min(64)));
    }

    /// `struct name { ... }`, without the semicolon.
    pub(super) fn composite_def(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        self.tag(id)?;
        self.composite_body(id, level)
    }

    /// The type of a member without a name, when it is a struct or union that has one. Kernels from 6.19 on
    /// have such members (`-fms-extensions`), and C as most people compile it takes them for nothing.
    fn embedded(&self, m: &Member<'_>) -> Result<Option<TypeId>, BtfError> {
        if !m.name.is_empty() || m.is_bitfield() {
            return Ok(None);
        }
        let id = self.btf.skip_id(m.ty, ALIASES)?;
        let named = |head: Head| head.name.0 != 0 && matches!(head.kind(), BtfKind::Struct | BtfKind::Union);
        Ok(self.btf.head(id).is_some_and(named).then_some(id))
    }

    /// ` { ... }` and the attributes after it.
    fn composite_body(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        self.enter(id)?;
        let ty = self.btf.ty(id)?;
        let Some(members) = ty.members() else { return Ok(()) };
        let layout = self.layouts.of(id, 0)?;
        let is_struct = ty.tag() == BtfKind::Struct;
        let mut place = Place { end: 0, packed: layout.packed };
        let inner = level.saturating_add(1);
        self.out.push_str(" {");
        for m in members {
            let space = self.layouts.space(m.ty, 0)?;
            if is_struct {
                self.fill(&mut place, m.bit_offset.into(), inner, |p| p.natural(&m, space));
            }
            self.newline(inner);
            match self.embedded(&m)? {
                Some(body) => {
                    let is_union = self.btf.head(body).is_some_and(|h| h.kind() == BtfKind::Union);
                    self.out.push_str(if is_union { "union" } else { "struct" });
                    self.composite_body(body, inner)?;
                }
                None => self.decl(m.ty, &m.name.to_str(), inner)?,
            }
            if m.is_bitfield() {
                let _ = write!(self.out, ": {}", m.bit_size);
            }
            self.out.push(';');
            place.put(&m, space);
        }
        let size = u64::from(members.size) * 8;
        if is_struct {
            let align = u64::from(layout.align) * 8;
            self.fill(&mut place, size, inner, |p| p.end.next_multiple_of(align));
        }
        if !members.is_empty() || members.size != 0 {
            self.newline(level);
        }
        self.out.push('}');
        if layout.packed {
            self.out.push_str(" __attribute__((packed))");
        }
        if layout.aligned != 0 {
            let _ = write!(self.out, " __attribute__((aligned({})))", layout.aligned);
        }
        self.leave();
        Ok(())
    }

    /// Fills a gap until the next thing, which goes to `natural`, goes to `want`.
    fn fill(&mut self, place: &mut Place, want: u64, level: usize, natural: impl Fn(&Place) -> u64) {
        while place.end < want && natural(place) != want && self.left > 0 {
            // A bitfield up to the next boundary of its type is where it should be and nowhere else.
            let boundary = |bits: u64| (place.end + 1).next_multiple_of(bits);
            let filler = FILLERS.into_iter().find(|(_, bits)| boundary(*bits) <= want);
            let (word, end) = filler.map_or(("char", want), |(word, bits)| (word, boundary(bits)));
            self.left = self.left.saturating_sub(1);
            self.newline(level);
            let _ = write!(self.out, "{word}: {};", end - place.end);
            place.end = end;
        }
    }

    /// `enum name { ... }`, without the semicolon.
    pub(super) fn enum_def(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        let ty = self.btf.ty(id)?;
        let Some(values) = ty.enumerators() else { return Ok(()) };
        self.tag(id)?;
        if values.is_empty() {
            return Ok(());
        }
        self.out.push_str(" {");
        let wide = matches!(ty.kind, Kind::Enum64(_));
        let unit = match (wide, values.is_signed()) {
            (false, _) => "",
            (true, true) => "LL",
            (true, false) => "ULL",
        };
        for v in values {
            self.left = self.left.saturating_sub(1);
            self.newline(level.saturating_add(1));
            let number = self.idents.count(v.name.as_bytes());
            self.name(v.name, number);
            let _ = write!(self.out, " = {}{unit},", v.value);
        }
        self.newline(level);
        self.out.push('}');
        let fits_32 = values.iter().all(|v| i32::try_from(v.value).is_ok() || u32::try_from(v.value).is_ok());
        match values.size {
            1 => self.out.push_str(" __attribute__((mode(byte)))"),
            2 => self.out.push_str(" __attribute__((mode(HI)))"),
            8 if fits_32 => self.out.push_str(" __attribute__((mode(word)))"),
            _ => {}
        }
        Ok(())
    }
}
