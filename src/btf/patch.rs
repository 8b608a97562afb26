//! Small changes to BTF that leave every record where it is.
//!
//! What the ELF file knows and BTF does not (how long a section is, where its variables stand, who can see a function)
//! are numbers that the records have room for. So they are written over the old ones: neither type numbers nor strings
//! nor the place of any record change, and nothing has to be read again.

use super::kind::HEAD;
use super::{Btf, FuncLinkage, Secinfo, StrOff, TypeId, VarLinkage};

/// The length of an entry of a `DATASEC`: type, offset, size.
const ENTRY: usize = 12;

/// Changes to be made: where in a type's record, and the word to put there.
#[derive(Default)]
pub(crate) struct Patch(Vec<(TypeId, usize, u32)>);

impl Patch {
    /// The length of a `DATASEC`, and its variables, which must be as many as it has.
    pub(crate) fn section(&mut self, id: TypeId, size: u32, vars: &[Secinfo]) {
        self.0.push((id, 8, size));
        for (n, var) in vars.iter().enumerate() {
            let at = HEAD.saturating_add(n.saturating_mul(ENTRY));
            for (field, value) in [(0, var.ty.0), (4, var.offset), (8, var.size)] {
                self.0.push((id, at.saturating_add(field), value));
            }
        }
    }

    /// Who can see a `VAR`.
    pub(crate) fn var_linkage(&mut self, id: TypeId, linkage: VarLinkage) {
        self.0.push((id, HEAD, linkage.0));
    }

    /// Who can see a `FUNC` of `btf`: the low bits of the word with its kind.
    pub(crate) fn func_linkage(&mut self, btf: &Btf, id: TypeId, linkage: FuncLinkage) {
        if let Some(head) = btf.head(id) {
            self.0.push((id, size_of::<StrOff>(), head.info & !0xff_ffff | linkage.0 & 0xff_ffff));
        }
    }

    /// Makes the changes; what is behind the end of a record is left alone.
    pub(crate) fn apply(self, btf: &mut Btf) {
        for (id, at, value) in self.0 {
            btf.overwrite(id, at, value);
        }
    }
}
