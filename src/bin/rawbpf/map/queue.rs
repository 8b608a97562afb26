//! `rawbpf map push`, `pop` and `peek`: maps whose elements have no keys.

use rawbpf::maps::{ElemFlags, Map};
use rawbpf::uapi::MapType;
use serde_json::Value as Json;

use super::args::{MapOnly, PeekArgs, PushArgs};
use super::edit::{Done, Element, element, failed, no_more};
use super::{find, selector};
use crate::error::CliError;
use crate::output::Output;
use crate::values::Codec;

pub(crate) fn push(args: &PushArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = selector(&args.words);
    let map = find(map)?;
    keyless(&map)?;
    let value = Codec::of(&map).value_shape().take(&mut words)?;
    no_more(words)?;
    let flags = if args.over { ElemFlags::EXIST } else { ElemFlags::ANY };
    map.set(&[], &value, flags.0).map_err(failed(&map, "put a value into"))?;
    let text = format!("put a value into map `{}`", map.name());
    out.report("map push", &Done { map: map.name().into(), elements: 1, text })
}

pub(crate) fn pop(args: &MapOnly, out: &Output) -> Result<(), CliError> {
    let map = find(&args.map)?;
    keyless(&map)?;
    let value = map.take(&[]).map_err(failed(&map, "take a value out of"))?;
    let value = value.ok_or_else(|| empty(&map))?;
    out.report("map pop", &element(&Codec::of(&map), &map, None, &value))
}

pub(crate) fn peek(args: &PeekArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = selector(&args.words);
    let map = find(map)?;
    keyless(&map)?;
    let codec = Codec::of(&map);
    if map.info().map_type != MapType::BloomFilter {
        no_more(words)?;
        let value = map.get(&[]).map_err(failed(&map, "look into"))?;
        return out.report("map peek", &element(&codec, &map, None, &value.ok_or_else(|| empty(&map))?));
    }
    let mut value = codec.value_shape().take(&mut words)?;
    no_more(words)?;
    let found = map.get_into(&[], &mut value, ElemFlags::ANY).map_err(failed(&map, "ask"))?;
    let text =
        if found { "perhaps: it was put in, or looks like what was" } else { "no: it was never put in" };
    out.report(
        "map peek",
        &Element { key: None, value: Some(Json::Bool(found)), values: None, sum: None, text: text.into() },
    )
}

fn keyless(map: &Map) -> Result<(), CliError> {
    match map.info().map_type {
        MapType::Queue | MapType::Stack | MapType::BloomFilter => Ok(()),
        other => Err(CliError::Option(format!(
            "map `{}` is of type {other}, whose elements have keys; use `map get`, `map set` and `map del`",
            map.name()
        ))),
    }
}

fn empty(map: &Map) -> CliError {
    CliError::NoElement { map: map.name().into(), key: "now: it is empty".into() }
}
