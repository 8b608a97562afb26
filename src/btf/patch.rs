//! Small changes to BTF that leave every record where it is.
//!
//! What the ELF file knows and BTF does not (how long a section is, where its variables stand, who can see a function)
//! are numbers that the records have room for. So they are written over the old ones in a copy of the bytes: neither
//! type numbers nor strings nor the place of any record change, and nothing has to be read again.

use super::kind::HEAD;
use super::{Btf, FuncLinkage, Secinfo, StrOff, TypeId, VarLinkage};
use crate::bytes::Endian;

/// The length of an entry of a `DATASEC`: type, offset, size.
const ENTRY: usize = 12;

/// A copy of some BTF, being changed.
pub(crate) struct Patch<'b> {
    of: &'b Btf,
    /// Made with the first change.
    bytes: Option<Vec<u8>>,
}

impl<'b> Patch<'b> {
    pub(crate) fn new(of: &'b Btf) -> Patch<'b> {
        Patch { of, bytes: None }
    }

    /// The length of a `DATASEC`, and its variables, which must be as many as it has.
    pub(crate) fn section(&mut self, id: TypeId, size: u32, vars: &[Secinfo]) {
        self.put(id, 8, size);
        for (n, var) in vars.iter().enumerate() {
            let at = HEAD.saturating_add(n.saturating_mul(ENTRY));
            for (field, value) in [(0, var.ty.0), (4, var.offset), (8, var.size)] {
                self.put(id, at.saturating_add(field), value);
            }
        }
    }

    /// Who can see a `VAR`.
    pub(crate) fn var_linkage(&mut self, id: TypeId, linkage: VarLinkage) {
        self.put(id, HEAD, linkage.0);
    }

    /// Who can see a `FUNC`: the low bits of the word with its kind.
    pub(crate) fn func_linkage(&mut self, id: TypeId, linkage: FuncLinkage) {
        if let Some(head) = self.of.head(id) {
            self.put(id, size_of::<StrOff>(), head.info & !0xff_ffff | linkage.0 & 0xff_ffff);
        }
    }

    /// Writes a word of a record; what is behind its end is left alone.
    fn put(&mut self, id: TypeId, at: usize, value: u32) {
        let of = self.of;
        let Some(record) = of.record_at(id).filter(|r| at.saturating_add(4) <= r.len()) else { return };
        let start = record.start.saturating_add(at);
        let value = match of.endian() {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        };
        let bytes = self.bytes.get_or_insert_with(|| of.bytes().to_vec());
        if let Some(word) = bytes.get_mut(start..start.saturating_add(4)) {
            word.copy_from_slice(&value);
        }
    }

    /// The changed BTF; `None` if nothing was changed.
    pub(crate) fn finish(self) -> Option<Btf> {
        self.bytes.map(|bytes| self.of.with_bytes(bytes))
    }
}
