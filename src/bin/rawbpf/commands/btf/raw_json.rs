//! A type as JSON, with the field names of bpftool's.

use rawbpf::btf::{FwdKind, IntEncoding, Kind, Type};
use serde_json::{Map, Value as Json, json};

fn encoding(encoding: IntEncoding) -> &'static str {
    match encoding {
        IntEncoding::UNSIGNED => "(none)",
        IntEncoding::SIGNED => "SIGNED",
        IntEncoding::CHAR => "CHAR",
        IntEncoding::BOOL => "BOOL",
        _ => "UNKN",
    }
}

/// A name as bpftool has it.
fn name(name: rawbpf::btf::Name<'_>) -> String {
    if name.offset().0 == 0 { "(anon)".into() } else { name.to_string() }
}

/// One type.
pub(super) fn of(ty: &Type<'_>) -> Json {
    let kind = ty.tag().name().unwrap_or("UNKNOWN");
    let mut out = Map::new();
    out.insert("id".into(), ty.id.0.into());
    out.insert("kind".into(), kind.into());
    out.insert("name".into(), name(ty.name).into());
    if let Json::Object(fields) = fields(ty) {
        out.extend(fields);
    }
    Json::Object(out)
}

fn fields(ty: &Type<'_>) -> Json {
    match ty.kind {
        Kind::Int(int) => json!({
            "size": int.size, "bits_offset": int.bit_offset, "nr_bits": int.bits, "encoding": encoding(int.encoding),
        }),
        Kind::Ptr(to) | Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => {
            json!({"type_id": to.0})
        }
        Kind::TypeTag { ty, .. } => json!({"type_id": ty.0}),
        Kind::Array(a) => json!({"type_id": a.elem.0, "index_type_id": a.index.0, "nr_elems": a.len}),
        Kind::Struct(list) | Kind::Union(list) => {
            let members: Vec<Json> = list
                .iter()
                .map(|m| {
                    let mut one =
                        json!({"name": name(m.name), "type_id": m.ty.0, "bits_offset": m.bit_offset});
                    if m.is_bitfield() {
                        one["bitfield_size"] = m.bit_size.into();
                    }
                    one
                })
                .collect();
            json!({"size": list.size, "vlen": list.len(), "members": members})
        }
        Kind::Enum(list) | Kind::Enum64(list) => {
            let values: Vec<Json> = list
                .iter()
                .map(|v| {
                    let value = i64::try_from(v.value).map_or_else(|_| json!(v.value as u64), Json::from);
                    json!({"name": name(v.name), "val": value})
                })
                .collect();
            let sign = if list.is_signed() { "SIGNED" } else { "UNSIGNED" };
            json!({"size": list.size, "encoding": sign, "vlen": list.len(), "values": values})
        }
        Kind::Fwd(kind) => json!({"fwd_kind": if kind == FwdKind::Struct { "struct" } else { "union" }}),
        Kind::Func { proto, linkage } => {
            json!({"type_id": proto.0, "linkage": linkage.name().unwrap_or("(unknown)")})
        }
        Kind::FuncProto(list) => {
            let params: Vec<Json> =
                list.iter().map(|p| json!({"name": name(p.name), "type_id": p.ty.0})).collect();
            json!({"ret_type_id": list.ret().0, "vlen": list.len(), "params": params})
        }
        Kind::Var { ty, linkage } => {
            json!({"type_id": ty.0, "linkage": linkage.name().unwrap_or("(unknown)")})
        }
        Kind::Datasec(list) => {
            let vars: Vec<Json> =
                list.iter().map(|v| json!({"type_id": v.ty.0, "offset": v.offset, "size": v.size})).collect();
            json!({"size": list.size, "vlen": list.len(), "vars": vars})
        }
        Kind::Float { size } => json!({"size": size}),
        Kind::DeclTag { ty, component, .. } => {
            json!({"type_id": ty.0, "component_idx": component.map_or(-1, i64::from)})
        }
        // Those that are newer than this command; `void` has no record.
        _ => json!({}),
    }
}
