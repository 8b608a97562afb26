//! Types of C as types of Rust that have the same bytes.
//!
//! A map's keys and values cross to the kernel as bytes, so each struct here is [`Plain`](crate::maps::Plain): C's
//! padding has names, and what Rust cannot say so (bitfields, unions, misaligned members) are bytes, with the C
//! declaration above them. That size and offsets are C's is asserted when the generated code is compiled.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Names, camel, ident};
use crate::btf::{Btf, BtfError, Enumerators, Kind, Member, Members, Type, TypeId};

/// A type of Rust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rust {
    pub(super) name: String,
    pub(super) size: u32,
    pub(super) align: u32,
}

impl Rust {
    fn number(name: &str, size: u32) -> Rust {
        Rust { name: name.into(), size, align: size.max(1) }
    }

    /// So many bytes of nothing in particular, at addresses that are multiples of `align`.
    pub(super) fn bytes(size: u32, align: u32) -> Rust {
        let align = [8, 4, 2, 1].into_iter().find(|a| *a <= align.max(1) && size % a == 0).unwrap_or(1);
        Rust { name: format!("[u{}; {}]", align * 8, size / align), size, align }
    }
}

/// The types that are written so far.
pub(super) struct Types<'b> {
    btf: Option<&'b Btf>,
    done: HashMap<TypeId, Rust>,
    names: Names,
    text: String,
}

/// Structs in structs are followed so far.
const DEPTH: u32 = 32;

/// A field of a struct that is being laid out.
struct Field {
    name: String,
    ty: Rust,
    at: u32,
    comment: Option<String>,
}

impl<'b> Types<'b> {
    pub(super) fn new(btf: Option<&'b Btf>) -> Types<'b> {
        Types { btf, done: HashMap::new(), names: Names::default(), text: String::new() }
    }

    /// A type by its number; so many bytes where there is none.
    pub(super) fn of(&mut self, id: Option<TypeId>, size: u32) -> Result<Rust, BtfError> {
        let Some(id) = id.filter(|id| self.btf.is_some() && *id != TypeId::VOID) else {
            return Ok(match size {
                1 | 2 | 4 | 8 => Rust::number(&format!("u{}", size * 8), size),
                size => Rust::bytes(size, 1),
            });
        };
        let ty = self.ty(id, "", 0)?;
        // A map may say another size than its types do; then it is the map that counts.
        Ok(if size != 0 && ty.size != size { Rust::bytes(size, 1) } else { ty })
    }

    /// Everything that was made.
    pub(super) fn write(self, out: &mut String) {
        out.push_str("/// The types of keys, values and variables, as the object has them.\n");
        out.push_str(
            "#[allow(missing_docs, dead_code, non_upper_case_globals, clippy::all)]\npub mod types {\n",
        );
        for line in self.text.lines() {
            let _ = writeln!(out, "{}{line}", if line.is_empty() { "" } else { "    " });
        }
        out.push_str("}\n");
    }

    fn ty(&mut self, id: TypeId, outer: &str, depth: u32) -> Result<Rust, BtfError> {
        let Some(btf) = self.btf else { return Ok(Rust::bytes(0, 1)) };
        if depth > DEPTH {
            return Err(BtfError::TooDeep { id, limit: DEPTH });
        }
        if let Some(known) = self.done.get(&id) {
            return Ok(known.clone());
        }
        let network = network_order(btf, id);
        let ty = btf.resolve(id)?;
        let rust = match ty.kind {
            _ if network.is_some() => {
                let name = network.unwrap_or_default();
                Rust {
                    name: format!("rawbpf::maps::{name}"),
                    size: btf.size_of(id)?,
                    align: btf.align_of(id)?,
                }
            }
            Kind::Int(int) => {
                let sign = if int.encoding.is_signed() && !int.encoding.is_bool() { 'i' } else { 'u' };
                Rust::number(&format!("{sign}{}", int.size.saturating_mul(8)), int.size)
            }
            Kind::Float { size: size @ (4 | 8) } => Rust::number(&format!("f{}", size * 8), size),
            Kind::Ptr(_) => Rust::number("u64", 8),
            Kind::Array(array) => {
                let inner = self.ty(array.elem, outer, depth.saturating_add(1))?;
                let size = inner.size.saturating_mul(array.len);
                Rust { name: format!("[{}; {}]", inner.name, array.len), size, align: inner.align }
            }
            Kind::Enum(values) | Kind::Enum64(values) => self.enumeration(&ty, values, outer),
            Kind::Struct(members) => self.composite(btf, &ty, members, outer, depth)?,
            _ => Rust::bytes(btf.size_of(id)?, btf.align_of(id).unwrap_or(1)),
        };
        self.done.insert(id, rust.clone());
        Ok(rust)
    }

    /// A name for a type: its own, or that of where it is used.
    fn name(&mut self, ty: &Type<'_>, outer: &str) -> String {
        let own = ty.name.to_str();
        let name = if own.is_empty() { camel(outer) } else { camel(&own) };
        self.names.take(name)
    }

    /// A struct of one number, with a constant for each name.
    fn enumeration(&mut self, ty: &Type<'_>, values: Enumerators<'_>, outer: &str) -> Rust {
        let name = self.name(ty, if outer.is_empty() { "enumeration" } else { outer });
        let sign = if values.is_signed() { 'i' } else { 'u' };
        let number = format!("{sign}{}", values.size.saturating_mul(8));
        let size = values.size;
        let _ = writeln!(
            self.text,
            "rawbpf::plain! {{\n    /// `enum {}`\n    #[derive(Debug, PartialEq, Eq, Hash)]\n    pub struct {name} {{ \
             pub value: {number} }}\n}}\nimpl {name} {{",
            ty.name
        );
        let mut taken = Names::default();
        for v in values {
            let constant = taken.take(ident(&v.name.to_str()));
            let _ =
                writeln!(self.text, "    pub const {constant}: {name} = {name} {{ value: {} }};", v.value);
        }
        let _ =
            writeln!(self.text, "}}\nconst _: () = assert!(::core::mem::size_of::<{name}>() == {size});\n");
        Rust { name: format!("types::{name}"), size, align: size.max(1) }
    }

    fn composite(
        &mut self,
        btf: &Btf,
        ty: &Type<'_>,
        members: Members<'_>,
        outer: &str,
        depth: u32,
    ) -> Result<Rust, BtfError> {
        let name = self.name(ty, outer);
        let mut fields = Vec::new();
        self.fields(btf, members, 0, &name, depth, &mut fields)?;
        let size = members.size;
        let aligned = |fields: &[Field]| {
            let align = fields.iter().map(|f| f.ty.align).max().unwrap_or(1);
            size % align.max(1) == 0 && fields.iter().all(|f| f.at % f.ty.align.max(1) == 0)
        };
        if !aligned(&fields) {
            // A packed struct: of what does not lie where Rust would put it, only the bytes are left.
            for f in fields.iter_mut().filter(|f| f.ty.align > 1) {
                let was = std::mem::replace(&mut f.ty, Rust::bytes(0, 1));
                f.ty = Rust { name: format!("[u8; {}]", was.size), size: was.size, align: 1 };
                f.comment.get_or_insert_with(|| format!("a `{}` that is not aligned", inside(&was.name)));
            }
        }
        let align = fields.iter().map(|f| f.ty.align).max().unwrap_or(1);
        self.write_struct(ty, &name, size, fields);
        Ok(Rust { name: format!("types::{name}"), size, align })
    }

    /// The fields of a struct; those of anonymous structs in it are its own, as in C.
    fn fields(
        &mut self,
        btf: &Btf,
        members: Members<'_>,
        base: u32,
        name: &str,
        depth: u32,
        out: &mut Vec<Field>,
    ) -> Result<(), BtfError> {
        if depth > DEPTH {
            return Err(BtfError::TooDeep { id: TypeId::VOID, limit: DEPTH });
        }
        let all: Vec<Member<'_>> = members.iter().collect();
        let mut rest = all.as_slice();
        while let Some((m, after)) = rest.split_first() {
            rest = after;
            if m.is_bitfield() {
                let bits = rest.iter().take_while(|m| m.is_bitfield()).count();
                let (run, behind) = rest.split_at(bits);
                rest = behind;
                out.extend(bitfields(btf, m, run, base));
                continue;
            }
            let at = base.saturating_add(m.bit_offset / 8);
            let inner = btf.resolve(m.ty)?;
            if let (true, Kind::Struct(inner)) = (m.name.is_empty(), inner.kind) {
                self.fields(btf, inner, at, name, depth.saturating_add(1), out)?;
                continue;
            }
            let own = m.name.to_str();
            let field = if own.is_empty() { format!("anonymous_{at}") } else { ident(&own) };
            let ty = self.ty(m.ty, &format!("{name}_{field}"), depth.saturating_add(1))?;
            let opaque = matches!(inner.kind, Kind::Union(_));
            let comment = opaque.then(|| btf.render_decl(m.ty, &own).unwrap_or_default());
            out.push(Field { name: field, ty, at, comment });
        }
        Ok(())
    }

    fn write_struct(&mut self, ty: &Type<'_>, name: &str, size: u32, fields: Vec<Field>) {
        let (mut body, mut asserts, mut at, mut taken) =
            (String::new(), String::new(), 0u32, Names::default());
        let pad = |body: &mut String, from: u32, to: u32| {
            if to > from {
                let _ = writeln!(body, "        pub pad_{from}: [u8; {}],", to - from);
            }
        };
        for f in fields {
            // What overlaps its neighbour is a damaged type; the assertions below would not hold.
            if f.at < at {
                continue;
            }
            pad(&mut body, at, f.at);
            let field = taken.take(f.name);
            if let Some(comment) = f.comment {
                let _ = writeln!(body, "        /// `{}`", comment.replace(['`', '\n'], " "));
            }
            let _ = writeln!(body, "        pub {field}: {},", inside(&f.ty.name));
            let _ = writeln!(asserts, "    assert!(::core::mem::offset_of!({name}, {field}) == {});", f.at);
            at = f.at.saturating_add(f.ty.size);
        }
        pad(&mut body, at, size);
        let what =
            if ty.name.is_empty() { "an anonymous struct".into() } else { format!("`struct {}`", ty.name) };
        let _ = writeln!(
            self.text,
            "rawbpf::plain! {{\n    /// {what}\n    #[derive(Debug, PartialEq)]\n    pub struct {name} {{\n{body}    }}\n}}\n\
             const _: () = {{\n    assert!(::core::mem::size_of::<{name}>() == {size});\n{asserts}}};\n"
        );
    }
}

/// A name as it is inside of the module of types.
fn inside(name: &str) -> String {
    name.replace("types::", "")
}

/// The bytes that a run of bitfields lies in.
fn bitfields(btf: &Btf, first: &Member<'_>, more: &[Member<'_>], base: u32) -> Option<Field> {
    let bits = std::iter::once(first).chain(more);
    let end = bits.clone().map(|m| m.bit_offset.saturating_add(m.bit_size)).max()?;
    let start = first.bit_offset / 8;
    let size = end.div_ceil(8).saturating_sub(start);
    let words: Vec<String> = bits
        .map(|m| format!("{}:{}", btf.render_decl(m.ty, &m.name.to_str()).unwrap_or_default(), m.bit_size))
        .collect();
    let at = base.saturating_add(start);
    Some(Field {
        name: format!("bits_{at}"),
        ty: Rust { name: format!("[u8; {size}]"), size, align: 1 },
        at,
        comment: Some(words.join("; ")),
    })
}

/// The typedefs that say that a number is in network order.
fn network_order(btf: &Btf, id: TypeId) -> Option<&'static str> {
    let mut at = id;
    for _ in 0..DEPTH {
        let ty = btf.ty(at).ok()?;
        at = match ty.kind {
            Kind::Typedef(_) if ty.name == "__be16" => return Some("Be16"),
            Kind::Typedef(_) if ty.name == "__be32" => return Some("Be32"),
            Kind::Typedef(_) if ty.name == "__be64" => return Some("Be64"),
            Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) => to,
            Kind::TypeTag { ty: to, .. } => to,
            _ => return None,
        };
    }
    None
}
