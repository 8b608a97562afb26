//! `rawbpf map push`, `pop` and `peek`: maps whose elements have no keys.

use std::time::Duration;

use clap::Args as ClapArgs;
use rawbpf::events::UserRingBuf;
use rawbpf::maps::{ElemFlags, Map};
use rawbpf::uapi::MapType;
use serde_json::Value as Json;

use super::edit::{Done, Element, element, failed, no_more, without_keys};
use crate::commands::map::list::MapOnly;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::style::count;
use crate::values::input::Shape;
use crate::values::{Codec, event_type};

#[derive(Debug, ClapArgs)]
pub(crate) struct PushArgs {
    /// The map and the value
    #[arg(required = true, num_args = 2.., value_names = ["MAP", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// If it is full, drop the oldest value
    #[arg(long)]
    pub(crate) over: bool,
    /// User ring buffers: the type of the record, as in `struct order` or `order`; detected from the object's BTF
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "over")]
    pub(crate) ty: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PeekArgs {
    /// The map, and for a bloom filter the value
    #[arg(required = true, num_args = 1.., value_names = ["MAP", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
}

pub(crate) fn push(args: &PushArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = map_select::selector(&args.words);
    let map = map_select::find(map)?;
    if map.info().map_type == MapType::UserRingbuf {
        return push_record(map, args.ty.as_deref(), words, out);
    }
    if args.ty.is_some() {
        return Err(CliError::Option(
            "--type is for user ring buffers: other maps say what they hold".into(),
        ));
    }
    keyless(&map)?;
    let value = Codec::of(&map).value_shape().take(&mut words)?;
    no_more(words)?;
    let flags = if args.over { ElemFlags::EXIST } else { ElemFlags::ANY };
    map.set(&[], &value, flags.0).map_err(failed(&map, "put a value into"))?;
    let text = format!("put a value into map `{}`", map.name());
    out.report("map push", &Done { map: map.name().into(), elements: 1, text })
}

/// Bytes of a record that is written as `hex` are as many as are given.
fn push_record(map: Map, ty: Option<&str>, mut words: &[String], out: &Output) -> Result<(), CliError> {
    const WAIT: Duration = Duration::from_secs(1);
    let ty = match words.first() {
        Some(word) if word == "hex" => None,
        _ => event_type::find(&map, ty)?,
    };
    let what = "value";
    let record = match &ty {
        Some((btf, ty)) => {
            Shape { what, size: btf.size_of(*ty)? as usize, ty: Some((btf, *ty)) }.take(&mut words)?
        }
        None if words.first().is_some_and(|word| word == "hex") => {
            let digits = |word: &String| word.strip_prefix("0x").unwrap_or(word).len();
            let size = words.iter().skip(1).map(|word| digits(word).div_ceil(2)).sum();
            Shape { what, size, ty: None }.take(&mut words)?
        }
        None => {
            let problem =
                "the type of the records is not known: name it with --type, or write `hex 01 02 ..`";
            return Err(CliError::Value { what, problem: problem.into() });
        }
    };
    no_more(words)?;
    let mut ring = UserRingBuf::new(map)?;
    let name = ring.map().name().to_string();
    let failed = CliError::sys(format!("write a record into map `{name}`"));
    let Some(mut slot) = ring.reserve_wait(record.len(), Some(WAIT)).map_err(failed)? else {
        return Err(CliError::Full { map: name });
    };
    slot.copy_from_slice(&record);
    slot.commit();
    let text = format!("put a record of {} into map `{name}`", count(record.len(), "byte"));
    out.report("map push", &Done { map: name, elements: 1, text })
}

pub(crate) fn pop(args: &MapOnly, out: &Output) -> Result<(), CliError> {
    let map = map_select::find(&args.map)?;
    keyless(&map)?;
    let value = map.take(&[]).map_err(failed(&map, "take a value out of"))?;
    let value = value.ok_or_else(|| empty(&map))?;
    out.report("map pop", &element(&Codec::of(&map), &map, None, &value))
}

pub(crate) fn peek(args: &PeekArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = map_select::selector(&args.words);
    let map = map_select::find(map)?;
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
        MapType::Ringbuf | MapType::UserRingbuf | MapType::Arena => Err(without_keys(map)),
        other => Err(CliError::Option(format!(
            "map `{}` is of type {other}, whose elements have keys; use `map get`, `map set` and `map del`",
            map.name()
        ))),
    }
}

fn empty(map: &Map) -> CliError {
    CliError::NoElement { map: map.name().into(), key: "now: it is empty".into() }
}
