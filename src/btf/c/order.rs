//! In which order types are written: each after what it needs.

use super::{MAX_DEPTH, Printer};
use crate::btf::types::Kind;
use crate::btf::{BtfError, BtfKind, KindSet, TypeId};
use std::collections::HashSet;

/// The kinds that have a definition of their own.
const DEFINED: KindSet = KindSet::of(&[
    BtfKind::Struct,
    BtfKind::Union,
    BtfKind::Enum,
    BtfKind::Enum64,
    BtfKind::Fwd,
    BtfKind::Typedef,
]);

impl Printer<'_> {
    /// Writes every type that has a definition of its own.
    pub(super) fn every_type(&mut self) -> Result<(), BtfError> {
        let referenced = self.referenced_enums()?;
        for id in (1..self.btf.type_count()).map(TypeId) {
            let Some(head) = self.btf.head(id) else { continue };
            let is_enum = matches!(head.kind(), BtfKind::Enum | BtfKind::Enum64);
            let anonymous_enum = is_enum && head.name.0 == 0 && !referenced.contains(&id);
            if anonymous_enum || (DEFINED.contains(head.kind()) && head.name.0 != 0) {
                self.root(id)?;
            }
        }
        Ok(())
    }

    /// The anonymous enumerations that something refers to, which writes them out. The others only
    /// exist for their constants.
    fn referenced_enums(&self) -> Result<HashSet<TypeId>, BtfError> {
        let mut out = HashSet::new();
        let mut mark = |id: TypeId| {
            let head = self.btf.head(id);
            if head.is_some_and(|h| h.name.0 == 0 && matches!(h.kind(), BtfKind::Enum | BtfKind::Enum64)) {
                out.insert(id);
            }
        };
        for ty in self.btf.iter() {
            match ty?.kind {
                Kind::Ptr(to) | Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) => mark(to),
                Kind::Restrict(to) | Kind::TypeTag { ty: to, .. } | Kind::Var { ty: to, .. } => mark(to),
                Kind::Array(array) => mark(array.elem),
                Kind::Struct(members) | Kind::Union(members) => members.iter().for_each(|m| mark(m.ty)),
                Kind::FuncProto(params) => {
                    mark(params.ret());
                    params.iter().for_each(|p| mark(p.ty));
                }
                _ => {}
            }
        }
        Ok(out)
    }

    /// Writes one type with all that it needs, or a comment that says why it cannot be written.
    pub(super) fn root(&mut self, id: TypeId) -> Result<(), BtfError> {
        let start = self.out.len();
        self.depth = 0;
        let ty = self.btf.ty(id)?;
        let result = match ty.kind {
            Kind::Func { proto: inner, .. } | Kind::Var { ty: inner, .. } => {
                self.need(inner, false, TypeId::VOID).and_then(|()| self.extern_decl(&ty.name, inner, "", ""))
            }
            _ => self.need(id, true, TypeId::VOID),
        };
        match result {
            Err(e @ BtfError::TooDeep { .. }) => {
                // What was begun is no whole definition; what came before it is.
                let whole =
                    self.out.get(start..).and_then(|t| t.rfind(";\n\n")).map_or(start, |at| start + at + 3);
                self.out.truncate(whole);
                self.out.push_str(&format!("/* {}: {} */\n\n", ty.name.to_str().replace('*', "_"), e));
                Ok(())
            }
            other => other,
        }
    }

    /// Sees to it that a type is declared, or complete. `inside` is the struct whose members are being
    /// looked at, which need no declaration of it.
    pub(super) fn need(&mut self, id: TypeId, complete: bool, inside: TypeId) -> Result<(), BtfError> {
        let Some(head) = self.btf.head(id) else {
            return self.btf.ty(id).map(drop); // `void`, or an error that says what is wrong
        };
        let to = TypeId(head.word);
        match head.kind() {
            BtfKind::Int => self.need_alias(id),
            BtfKind::Struct | BtfKind::Union => self.need_composite(id, complete, inside),
            BtfKind::Typedef => self.need_typedef(id, complete),
            BtfKind::Ptr => self.deeper(to, false, inside),
            BtfKind::Const | BtfKind::Volatile | BtfKind::Restrict | BtfKind::TypeTag => {
                self.deeper(to, complete, inside)
            }
            BtfKind::Array | BtfKind::FuncProto => {
                match self.btf.ty(id)?.kind {
                    Kind::Array(array) => self.deeper(array.elem, true, inside)?,
                    Kind::FuncProto(params) => {
                        self.deeper(params.ret(), false, inside)?;
                        for p in params {
                            self.deeper(p.ty, false, inside)?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            BtfKind::Enum | BtfKind::Enum64 => {
                let anonymous_user = head.name.0 == 0 && self.depth > 0;
                if anonymous_user || self.state(id).defined {
                    return Ok(()); // written where it is used, or before
                }
                self.state(id).defined = true;
                self.enum_def(id, 0)?;
                self.end();
                Ok(())
            }
            BtfKind::Fwd => {
                if !std::mem::replace(&mut self.state(id).declared, true) {
                    self.tag(id)?;
                    self.end();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn deeper(&mut self, id: TypeId, complete: bool, inside: TypeId) -> Result<(), BtfError> {
        self.enter(id)?;
        self.need(id, complete, inside)?;
        self.leave();
        Ok(())
    }

    fn need_composite(&mut self, id: TypeId, complete: bool, inside: TypeId) -> Result<(), BtfError> {
        let state = *self.state(id);
        if state.defined || (state.declared && !complete) {
            return Ok(());
        }
        let ty = self.btf.ty(id)?;
        let members = ty.members();
        if ty.name.is_empty() {
            for m in members.into_iter().flatten() {
                self.deeper(m.ty, true, inside)?;
            }
            return Ok(());
        }
        if !complete {
            if id != inside {
                self.state(id).declared = true;
                self.tag(id)?;
                self.end();
            }
            return Ok(());
        }
        if state.busy {
            return Err(BtfError::TooDeep { id, limit: MAX_DEPTH }); // it holds itself
        }
        self.state(id).busy = true;
        for m in members.into_iter().flatten() {
            self.deeper(m.ty, true, id)?;
        }
        self.composite_def(id, 0)?;
        self.end();
        self.state(id).finish(true);
        Ok(())
    }

    fn need_typedef(&mut self, id: TypeId, complete: bool) -> Result<(), BtfError> {
        let state = *self.state(id);
        if state.defined || (state.declared && !complete) {
            return Ok(());
        }
        if state.busy && !complete {
            return Err(BtfError::TooDeep { id, limit: MAX_DEPTH }); // it is made of itself
        }
        let Kind::Typedef(to) = self.btf.ty(id)?.kind else { return Ok(()) };
        if self.is_va_list(id) {
            return self.deeper(to, complete, TypeId::VOID);
        }
        // While a typedef waits for its struct to be complete, the struct may well need it declared.
        self.state(id).busy = !complete;
        self.deeper(to, complete, TypeId::VOID)?;
        if !self.state(id).declared {
            self.typedef_def(id, to)?;
        }
        self.state(id).finish(complete);
        Ok(())
    }

    fn typedef_def(&mut self, id: TypeId, to: TypeId) -> Result<(), BtfError> {
        let name = self.btf.ty(id)?.name;
        if to == TypeId::VOID && name == "__gnuc_va_list" {
            self.out.push_str("typedef __builtin_va_list __gnuc_va_list"); // what some gccs meant
        } else {
            self.out.push_str("typedef ");
            self.left(to, 0)?;
            self.gap();
            self.ident(id)?;
            self.right(to, 0)?;
        }
        self.end();
        Ok(())
    }

    /// Integers that only one compiler has.
    fn need_alias(&mut self, id: TypeId) -> Result<(), BtfError> {
        const ALIASES: [(&str, &str); 4] = [
            ("__Poly8_t", "unsigned char"),
            ("__Poly16_t", "unsigned short"),
            ("__Poly64_t", "unsigned long long"),
            ("__Poly128_t", "unsigned __int128"),
        ];
        if std::mem::replace(&mut self.state(id).defined, true) {
            return Ok(());
        }
        let name = self.btf.ty(id)?.name;
        if let Some((name, real)) = ALIASES.iter().find(|(alias, _)| name == *alias) {
            self.out.push_str(&format!("typedef {real} {name}"));
            self.end();
        }
        Ok(())
    }
}
