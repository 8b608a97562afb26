//! Values by their types: as text, and as JSON.

use std::sync::Arc;

use rawbpf::btf::{Btf, TypeId, Value, decode};
use serde_json::{Map as JsonMap, Number, Value as Json, json};

/// A value of a type, for people and for programs; in hex, if there is no type.
pub(crate) fn read(btf: Option<&Arc<Btf>>, ty: TypeId, bytes: &[u8]) -> (String, Json) {
    let typed = btf.filter(|_| ty.0 != 0).and_then(|btf| decode(btf, ty, bytes).ok());
    match typed {
        Some(value) => (value.to_string(), json_of(&value)),
        None => {
            let hex = hex(bytes);
            (hex.clone(), Json::String(hex))
        }
    }
}

/// Bytes as pairs of hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 3);
    hex_into(bytes, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The same at the end of a buffer.
pub(crate) fn hex_into(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |n: u8| n + if n < 10 { b'0' } else { b'a' - 10 };
    for (nth, byte) in bytes.iter().enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// A value as JSON: numbers as numbers where JSON can hold them exactly, else as text.
pub(crate) fn json_of(value: &Value) -> Json {
    let fields = |members: &[(rawbpf::btf::Name, Value)]| {
        let pairs = members.iter().map(|(name, value)| (name.to_string(), json_of(value)));
        Json::Object(pairs.collect::<JsonMap<_, _>>())
    };
    match value {
        Value::Int(n) => i64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n)),
        Value::Uint(n) => u64::try_from(*n).map_or_else(|_| json!(n.to_string()), |n| json!(n)),
        Value::Bool(b) => json!(b),
        Value::Enum { name: Some(name), .. } => json!(name.to_string()),
        Value::Enum { value, .. } => {
            i64::try_from(*value).map_or_else(|_| json!(value.to_string()), |n| json!(n))
        }
        Value::Text(text) => json!(text),
        Value::Float(f) => Number::from_f64(*f).map_or_else(|| json!(f.to_string()), Json::Number),
        Value::Struct(members) | Value::Vars(members) => fields(members),
        Value::Array(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Bytes(bytes) => json!(hex(bytes)),
        other => json!(other.to_string()),
    }
}

/// The sum of the values of all CPUs: of numbers, and of structs and arrays of numbers, member by member.
/// `None` if there is something in them that has no sum.
pub(crate) fn sum(values: &[Json]) -> Option<Json> {
    let (first, rest) = values.split_first()?;
    rest.iter().try_fold(first.clone(), |total, value| add(&total, value)).filter(is_number)
}

fn is_number(value: &Json) -> bool {
    match value {
        Json::Number(_) => true,
        Json::Object(fields) => fields.values().all(is_number),
        Json::Array(items) => items.iter().all(is_number),
        _ => false,
    }
}

fn add(a: &Json, b: &Json) -> Option<Json> {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => match (a.as_u64(), b.as_u64(), a.as_i64(), b.as_i64()) {
            (Some(a), Some(b), ..) => Some(json!(a.wrapping_add(b))),
            (_, _, Some(a), Some(b)) => Some(json!(a.wrapping_add(b))),
            _ => Some(json!(a.as_f64()? + b.as_f64()?)),
        },
        (Json::Object(a), Json::Object(b)) => {
            let pairs = a.iter().map(|(name, value)| Some((name.clone(), add(value, b.get(name)?)?)));
            Some(Json::Object(pairs.collect::<Option<JsonMap<_, _>>>()?))
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            Some(Json::Array(a.iter().zip(b).map(|(a, b)| add(a, b)).collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

/// JSON in the style in which values are shown to people: no quotes around names.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::Object(fields) => {
            let inner: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
            format!("{{{}}}", inner.join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
