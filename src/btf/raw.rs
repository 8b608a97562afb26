//! The raw dump: one type a line, text that can be compared with `bpftool btf dump`'s line by line.

use super::{Btf, BtfKind, FwdKind, IntEncoding, Kind, Members, Name, Type, TypeId};
use std::fmt;

/// A type in the notation of `bpftool btf dump`, without a newline at the end; made by [`Btf::raw`].
///
/// ```text
/// [20] STRUCT 'key' size=16 vlen=4
///         'saddr' type_id=8 bits_offset=0
/// ```
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    btf: &'a Btf,
    ty: Type<'a>,
}

impl Btf {
    /// Shows a type of this BTF in the notation of `bpftool btf dump`.
    pub fn raw<'a>(&'a self, ty: Type<'a>) -> Raw<'a> {
        Raw { btf: self, ty }
    }
}

/// A name as bpftool shows it: `'name'`, or `'(anon)'`.
struct Quoted<'a>(Name<'a>);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.offset().0 {
            0 => f.write_str("'(anon)'"),
            _ => write!(f, "'{}'", self.0),
        }
    }
}

/// The encoding of an integer as bpftool shows it.
fn encoding(encoding: IntEncoding) -> &'static str {
    match encoding {
        IntEncoding::UNSIGNED => "(none)",
        IntEncoding::SIGNED => "SIGNED",
        IntEncoding::CHAR => "CHAR",
        IntEncoding::BOOL => "BOOL",
        _ => "UNKN",
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Type { id, name, kind } = self.ty;
        let tag = self.ty.tag();
        write!(f, "[{id}] {} {}", tag.name().unwrap_or("UNKNOWN"), Quoted(name))?;
        match kind {
            Kind::Void | Kind::Unknown(_) => Ok(()),
            Kind::Int(int) => {
                write!(f, " size={} bits_offset={} nr_bits={}", int.size, int.bit_offset, int.bits)?;
                write!(f, " encoding={}", encoding(int.encoding))
            }
            Kind::Ptr(to) | Kind::Typedef(to) => write!(f, " type_id={to}"),
            Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => write!(f, " type_id={to}"),
            Kind::TypeTag { ty, .. } => write!(f, " type_id={ty}"),
            Kind::Array(a) => write!(f, " type_id={} index_type_id={} nr_elems={}", a.elem, a.index, a.len),
            Kind::Struct(list) | Kind::Union(list) => members(f, list),
            Kind::Enum(list) | Kind::Enum64(list) => {
                let sign = if list.is_signed() { "SIGNED" } else { "UNSIGNED" };
                let unit = match (tag, list.is_signed()) {
                    (BtfKind::Enum64, true) => "LL",
                    (BtfKind::Enum64, false) => "ULL",
                    _ => "",
                };
                write!(f, " encoding={sign} size={} vlen={}", list.size, list.len())?;
                list.iter().try_for_each(|v| write!(f, "\n\t{} val={}{unit}", Quoted(v.name), v.value))
            }
            Kind::Fwd(FwdKind::Struct) => f.write_str(" fwd_kind=struct"),
            Kind::Fwd(FwdKind::Union) => f.write_str(" fwd_kind=union"),
            Kind::Func { proto, linkage } => {
                write!(f, " type_id={proto} linkage={}", linkage.name().unwrap_or("(unknown)"))
            }
            Kind::FuncProto(list) => {
                write!(f, " ret_type_id={} vlen={}", list.ret(), list.len())?;
                list.iter().try_for_each(|p| write!(f, "\n\t{} type_id={}", Quoted(p.name), p.ty))
            }
            Kind::Var { ty, linkage } => {
                write!(f, " type_id={ty}, linkage={}", linkage.name().unwrap_or("(unknown)"))
            }
            Kind::Datasec(list) => {
                write!(f, " size={} vlen={}", list.size, list.len())?;
                list.iter().try_for_each(|v| {
                    write!(f, "\n\ttype_id={} offset={} size={}", v.ty, v.offset, v.size)?;
                    self.target(f, v.ty)
                })
            }
            Kind::Float { size } => write!(f, " size={size}"),
            Kind::DeclTag { ty, component, .. } => {
                write!(f, " type_id={ty} component_idx={}", component.map_or(-1, i64::from))
            }
        }
    }
}

impl Raw<'_> {
    /// What an entry of a section is: ` (VAR 'name')`.
    fn target(&self, f: &mut fmt::Formatter<'_>, id: TypeId) -> fmt::Result {
        match self.btf.ty(id) {
            Ok(ty) => write!(f, " ({} {})", ty.tag().name().unwrap_or("UNKNOWN"), Quoted(ty.name)),
            Err(_) => Ok(()),
        }
    }
}

fn members(f: &mut fmt::Formatter<'_>, list: Members<'_>) -> fmt::Result {
    write!(f, " size={} vlen={}", list.size, list.len())?;
    for m in list {
        write!(f, "\n\t{} type_id={} bits_offset={}", Quoted(m.name), m.ty, m.bit_offset)?;
        if m.is_bitfield() {
            write!(f, " bitfield_size={}", m.bit_size)?;
        }
    }
    Ok(())
}
