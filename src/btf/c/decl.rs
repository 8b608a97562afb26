//! Declarations: `int (*fn[4])(struct sock *, const char *)`.
//!
//! C writes a type around the name: part of it to the left, part to the right. A pointer adds `*` on the
//! left, an array `[n]` on the right, a function its arguments on the right; and where a pointer leads to
//! an array or a function, parentheses keep them apart. So a declaration is what stands left of the name,
//! the name, and what stands right of it.

use super::Printer;
use crate::btf::list::Params;
use crate::btf::resolve::MODIFIERS;
use crate::btf::types::Kind;
use crate::btf::{BtfError, BtfKind, TypeId};
use std::fmt::Write;

impl Printer<'_> {
    /// Writes the declaration of `name` with this type; `level` is how far the lines of anonymous
    /// structs are indented.
    pub(super) fn decl(&mut self, id: TypeId, name: &str, level: usize) -> Result<(), BtfError> {
        self.left(id, level)?;
        if !name.is_empty() {
            self.gap();
            self.out.push_str(name);
        }
        self.right(id, level)
    }

    /// A space, unless what comes next may follow directly.
    pub(super) fn gap(&mut self) {
        if !self.out.ends_with(['*', '(', ' ', '\n', '\t']) && !self.out.is_empty() {
            self.out.push(' ');
        }
    }

    fn kind_of(&self, id: TypeId) -> BtfKind {
        self.btf.head(id).map_or(BtfKind::Void, |head| head.kind())
    }

    /// The type under qualifiers and tags.
    fn under(&self, id: TypeId) -> Result<TypeId, BtfError> {
        Ok(self.written(self.btf.skip_id(id, MODIFIERS)?))
    }

    /// The type that is written for this one: itself, but for `__builtin_va_list`.
    fn written(&self, id: TypeId) -> TypeId {
        match self.btf.head(id) {
            Some(head) if self.is_va_list(id) => TypeId(head.word),
            _ => id,
        }
    }

    /// Whether a pointer to this type needs parentheses.
    fn is_suffixed(&self, id: TypeId) -> Result<bool, BtfError> {
        Ok(matches!(self.kind_of(self.under(id)?), BtfKind::Array | BtfKind::FuncProto))
    }

    pub(super) fn left(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        self.enter(id)?;
        let id = self.written(id);
        let to = TypeId(self.btf.head(id).map_or(0, |head| head.word));
        match self.kind_of(id) {
            BtfKind::Ptr => {
                self.left(to, level)?;
                self.gap();
                self.out.push_str(if self.is_suffixed(to)? { "(*" } else { "*" });
            }
            BtfKind::Array => {
                if let Kind::Array(array) = self.btf.ty(id)?.kind {
                    self.left(array.elem, level)?;
                }
            }
            BtfKind::FuncProto => self.left(to, level)?,
            BtfKind::Const => self.qualified(to, "const", level)?,
            BtfKind::Volatile => self.qualified(to, "volatile", level)?,
            BtfKind::Restrict => self.qualified(to, "restrict", level)?,
            BtfKind::TypeTag => {
                self.left(to, level)?;
                let tag = self.btf.ty(id)?;
                let text = tag.name.to_str().replace(['"', '\\', '\n'], "_");
                self.gap();
                let _ = match tag.kind {
                    Kind::TypeTag { attribute: true, .. } => write!(self.out, "__attribute__(({text}))"),
                    _ => write!(self.out, "__attribute__((btf_type_tag(\"{text}\")))"),
                };
            }
            _ => self.base(id, level)?,
        }
        self.leave();
        Ok(())
    }

    /// Qualifiers stand right of the `*` that they are about, and left of anything else. On an array or
    /// a function they mean nothing (gcc writes such BTF), and are left out.
    fn qualified(&mut self, to: TypeId, word: &str, level: usize) -> Result<(), BtfError> {
        match self.kind_of(self.under(to)?) {
            BtfKind::Ptr => {
                self.left(to, level)?;
                self.gap();
                self.out.push_str(word);
            }
            BtfKind::Array | BtfKind::FuncProto => self.left(to, level)?,
            _ => {
                self.out.push_str(word);
                self.out.push(' ');
                self.left(to, level)?;
            }
        }
        Ok(())
    }

    /// A type that is one word, or a struct written out.
    fn base(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        let Some(head) = self.btf.head(id) else {
            self.out.push_str("void");
            return self.btf.ty(id).map(drop);
        };
        let anonymous = head.name.0 == 0;
        match head.kind() {
            BtfKind::Int | BtfKind::Float => {
                let name = self.btf.name(head.name)?;
                let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b' ';
                self.out.extend(name.as_bytes().iter().map(|&b| if letter(b) { char::from(b) } else { '_' }));
            }
            BtfKind::Typedef => self.ident(id)?,
            BtfKind::Struct | BtfKind::Union if anonymous && self.inline => self.composite_def(id, level)?,
            BtfKind::Enum | BtfKind::Enum64 if anonymous && self.inline => self.enum_def(id, level)?,
            BtfKind::Struct | BtfKind::Union | BtfKind::Enum | BtfKind::Enum64 | BtfKind::Fwd => {
                self.tag(id)?;
                if anonymous {
                    self.out.push_str(" {...}");
                }
            }
            _ => return Err(self.btf.wrong_kind(&self.btf.ty(id)?, "place in a declaration")),
        }
        Ok(())
    }

    pub(super) fn right(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        self.enter(id)?;
        let id = self.written(id);
        let to = TypeId(self.btf.head(id).map_or(0, |head| head.word));
        match self.kind_of(id) {
            BtfKind::Ptr => {
                if self.is_suffixed(to)? {
                    self.out.push(')');
                }
                self.right(to, level)?;
            }
            BtfKind::Array => {
                if let Kind::Array(array) = self.btf.ty(id)?.kind {
                    let _ = write!(self.out, "[{}]", array.len);
                    self.right(array.elem, level)?;
                }
            }
            BtfKind::FuncProto => {
                if let Kind::FuncProto(params) = self.btf.ty(id)?.kind {
                    self.params(params, level)?;
                    self.right(to, level)?;
                }
            }
            BtfKind::Const | BtfKind::Volatile | BtfKind::Restrict | BtfKind::TypeTag => {
                self.right(to, level)?
            }
            _ => {}
        }
        self.leave();
        Ok(())
    }

    fn params(&mut self, params: Params<'_>, level: usize) -> Result<(), BtfError> {
        let last = params.len().saturating_sub(1);
        self.out.push('(');
        for (nth, p) in params.iter().enumerate() {
            if nth > 0 {
                self.out.push_str(", ");
            }
            // `void` in last place is `...`; alone, it says that there are no arguments.
            match (p.ty, nth) {
                (TypeId::VOID, n) if n == last && n > 0 => self.out.push_str("..."),
                _ => self.decl(p.ty, &p.name.to_str(), level)?,
            }
        }
        self.out.push_str(if params.is_empty() { "void)" } else { ")" });
        Ok(())
    }
}
