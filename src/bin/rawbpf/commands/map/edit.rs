//! `rawbpf map get`, `set`, `del`, `freeze`, `pin`: elements by their keys, and the map itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};

use clap::Args as ClapArgs;
use rawbpf::maps::{ElemFlags, Map, Plain as _};
use rawbpf::sys::{self, Errno, SysError};
use rawbpf::uapi::MapType;
use serde::Serialize;
use serde_json::Value as Json;

use super::dump::instead;
use super::list::MapOnly;
use super::object::object;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::style::count;
use crate::values::Codec;
use crate::values::json::{plain, sum};

#[derive(Debug, ClapArgs)]
pub(crate) struct GetArgs {
    /// The map and the key; not `hex` alone, but `hex 01 02`
    #[arg(required = true, num_args = 2.., value_names = ["MAP", "KEY"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Hold the value's lock while it is read
    #[arg(long)]
    pub(crate) lock: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SetArgs {
    /// The map, the key and the value
    #[arg(required = true, num_args = 3.., value_names = ["MAP", "KEY", "VALUE"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Only if the key does not exist
    #[arg(long, conflicts_with = "existing")]
    pub(crate) new: bool,
    /// Only if the key exists
    #[arg(long)]
    pub(crate) existing: bool,
    /// Hold the value's lock while it is written
    #[arg(long)]
    pub(crate) lock: bool,
    /// Write this CPU's value only (Linux 7.0)
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<u32>,
    /// Change only the named members, and keep the others
    #[arg(long)]
    pub(crate) merge: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DelArgs {
    /// The map and one or several keys
    #[arg(required_unless_present = "all", num_args = 1.., value_names = ["MAP", "KEY"], allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Delete all elements
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinArgs {
    /// The map, and the path in a bpffs
    #[arg(required = true, num_args = 2..=3, value_names = ["MAP", "PATH"])]
    pub(crate) words: Vec<String>,
}

/// One element.
#[derive(Debug, Serialize)]
pub(super) struct Element {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<Vec<Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sum: Option<Json>,
    #[serde(skip)]
    pub(super) text: String,
}

impl Report for Element {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.text)
    }
}

/// What was done to how many elements.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) map: String,
    pub(super) elements: usize,
    #[serde(skip)]
    pub(super) text: String,
}

impl Report for Done {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.text)
    }
}

pub(super) fn element(codec: &Codec, map: &Map, key: Option<&[u8]>, value: &[u8]) -> Element {
    let key = key.map(|key| codec.key(key).1);
    if !map.info().is_per_cpu() {
        let (text, json) = codec.value(value);
        return Element { key, value: Some(json), values: None, sum: None, text };
    }
    let slots: Vec<(u32, (String, Json))> =
        map.slots(value).map(|(cpu, slot)| (cpu, codec.value(slot))).collect();
    let values: Vec<Json> = slots.iter().map(|(_, (_, json))| json.clone()).collect();
    let sum = sum(&values);
    let mut lines: Vec<String> = slots.iter().map(|(cpu, (text, _))| format!("cpu {cpu}: {text}")).collect();
    lines.extend(sum.as_ref().map(|sum| format!("sum: {}", plain(sum))));
    Element { key, value: None, values: Some(values), sum, text: lines.join("\n") }
}

/// The owner of a local storage's value, which its key stands for; held open while the key is used.
enum Key {
    Bytes(Vec<u8>),
    Owner(OwnedFd),
}

impl Key {
    /// Takes the key off the words: bytes by the map's type, or for local storages an owner: a process's number, a
    /// file's or a cgroup's path.
    fn take(map: &Map, codec: &Codec, words: &mut &[String]) -> Result<Key, CliError> {
        let of_path = |words: &mut &[String]| {
            let (path, rest) = words.split_first().ok_or_else(|| missing("the path of the owner"))?;
            *words = rest;
            let file = File::open(path).map_err(CliError::io(format!("open {path}")))?;
            Ok(Key::Owner(file.into()))
        };
        match map.info().map_type {
            MapType::InodeStorage | MapType::CgrpStorage => of_path(words),
            MapType::TaskStorage => {
                let (pid, rest) = words.split_first().ok_or_else(|| missing("the number of the process"))?;
                *words = rest;
                let pid = pid.parse().map_err(|_| missing("the number of the process"))?;
                let fd = sys::pidfd_open(pid).map_err(CliError::sys(format!("open process {pid}")))?;
                Ok(Key::Owner(fd))
            }
            MapType::SkStorage => Err(CliError::Option(
                "a socket's value can only be reached by the process that has the socket".into(),
            )),
            MapType::Queue | MapType::Stack | MapType::BloomFilter => Err(CliError::Option(format!(
                "map `{}` has no keys; use `map push`, `map pop` and `map peek`",
                map.name()
            ))),
            MapType::Ringbuf | MapType::UserRingbuf | MapType::Arena => Err(without_keys(map)),
            _ => codec.key_shape().take(words).map(Key::Bytes),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Key::Bytes(bytes) => bytes.clone(),
            Key::Owner(fd) => fd.as_raw_fd().bytes().to_vec(),
        }
    }
}

/// For the maps that are no tables at all.
pub(super) fn without_keys(map: &Map) -> CliError {
    let instead = instead(map.info().map_type).unwrap_or("it has no keys");
    CliError::Option(format!("map `{}` has no keys: {instead}", map.name()))
}

/// What lookups in maps of channels and sockets end with, which the error number does not tell.
fn unreadable(map: &Map, e: SysError) -> CliError {
    let opaque = matches!(
        map.info().map_type,
        MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::ReuseportSockarray
    );
    match instead(map.info().map_type) {
        Some(instead) if opaque && [Errno::ENOTSUPP, Errno::EOPNOTSUPP, Errno::ENOSPC].contains(&e.errno) => {
            CliError::Option(format!("map `{}` cannot be read: {instead}", map.name()))
        }
        _ => failed(map, "read an element of")(e),
    }
}

/// The words that are in `all` and not in `rest`, which is its end.
fn taken(all: &[String], rest: &[String]) -> String {
    all.get(..all.len() - rest.len()).unwrap_or_default().join(" ")
}

fn missing(what: &str) -> CliError {
    CliError::Value { what: "key", problem: format!("{what} is expected") }
}

pub(super) fn no_more(words: &[String]) -> Result<(), CliError> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(CliError::Option(format!(
            "`{word}` is one word too many; write it in quotes if it is one value"
        ))),
    }
}

pub(super) fn failed(map: &Map, doing: &str) -> impl FnOnce(SysError) -> CliError {
    CliError::sys(format!("{doing} map `{}`", map.name()))
}

pub(crate) fn get(args: &GetArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = map_select::selector(&args.words);
    let map = map_select::find(map)?;
    let codec = Codec::of(&map);
    let shown = words.join(" ");
    let key = Key::take(&map, &codec, &mut words)?;
    no_more(words)?;
    let flags = if args.lock { ElemFlags::LOCK } else { ElemFlags::ANY };
    let value = match args.lock {
        true => map.get_with(&key.bytes(), flags),
        false => map.get(&key.bytes()),
    };
    let value = value.map_err(|e| unreadable(&map, e))?;
    let value = value.ok_or_else(|| CliError::NoElement { map: map.name().into(), key: shown.clone() })?;
    let mut element = match &key {
        Key::Bytes(bytes) => element(&codec, &map, Some(bytes), &value),
        Key::Owner(_) => element(&codec, &map, None, &value),
    };
    element.key.get_or_insert(Json::String(shown));
    out.report("map get", &element)
}

pub(crate) fn set(args: &SetArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = map_select::selector(&args.words);
    let map = map_select::find(map)?;
    let codec = Codec::of(&map);
    let all = words;
    let key = Key::take(&map, &codec, &mut words)?;
    let shown = taken(all, words);
    let mut flags = match (args.new, args.existing) {
        (true, _) => ElemFlags::NOEXIST,
        (_, true) => ElemFlags::EXIST,
        _ => ElemFlags::ANY,
    };
    if args.lock {
        flags = flags | ElemFlags::LOCK;
    }
    if words.is_empty() {
        return Err(CliError::Value { what: "value", problem: "it is missing".into() });
    }
    let key_bytes = key.bytes();
    let write = || failed(&map, "write an element of");
    if args.cpu.is_some() && !map.info().is_per_cpu() {
        return Err(CliError::Option(format!(
            "map `{}` has one value for all CPUs: leave --cpu out",
            map.name()
        )));
    }
    if let Some(object) = object(&map, words)? {
        map.set(&key_bytes, &object.value, flags.0).map_err(write())?;
    } else if map.info().is_per_cpu() {
        set_per_cpu(&map, &codec, &key_bytes, &mut words, args, flags)?;
    } else {
        let value = match args.merge {
            true => merged(&map, &codec, &key_bytes, &mut words)?,
            false => codec.value_shape().take(&mut words)?,
        };
        no_more(words)?;
        map.set(&key_bytes, &value, flags.0).map_err(write())?;
    }
    let text = format!("set {shown} in map `{}`", map.name());
    out.report("map set", &Done { map: map.name().into(), elements: 1, text })
}

fn merged(map: &Map, codec: &Codec, key: &[u8], words: &mut &[String]) -> Result<Vec<u8>, CliError> {
    let old = map.get(key).map_err(failed(map, "read an element of"))?;
    let mut value = old.unwrap_or_else(|| vec![0; map.value_len()]);
    if let Some((word, rest)) = words.split_first() {
        codec.value_shape().merge(word, &mut value)?;
        *words = rest;
    }
    Ok(value)
}

/// One value for all CPUs, a list with one for each, or one CPU's.
fn set_per_cpu(
    map: &Map,
    codec: &Codec,
    key: &[u8],
    words: &mut &[String],
    args: &SetArgs,
    flags: ElemFlags,
) -> Result<(), CliError> {
    if args.merge {
        let name = map.name();
        return Err(CliError::Option(format!(
            "map `{name}` has a value for each CPU; `--merge` changes single values"
        )));
    }
    let write = || failed(map, "write an element of");
    let cpus = sys::possible_cpus().map_err(write())?;
    let list = words.first().filter(|_| words.len() == 1 && args.cpu.is_none()).and_then(|w| split_list(w));
    if let Some(list) = list.filter(|list| list.len() == cpus && cpus > 1) {
        let slot = map.value_len() / cpus;
        let mut all = Vec::with_capacity(map.value_len());
        for word in &list {
            let mut value = codec.value_shape().parse(word)?;
            value.resize(slot, 0);
            all.extend(value);
        }
        return map.set(key, &all, flags.0).map_err(write());
    }
    let value = codec.value_shape().take(words)?;
    no_more(words)?;
    let Some(cpu) = args.cpu else {
        return map.set_slot(key, &value, flags | ElemFlags::ALL_CPUS).map_err(write());
    };
    if !sys::possible_cpu_list().map_err(write())?.contains(&cpu) {
        return Err(CliError::Option(format!(
            "there is no CPU {cpu}: this machine can have {cpus}, from 0 on"
        )));
    }
    map.set_slot(key, &value, flags | ElemFlags::cpu(cpu)).map_err(|e| match e.errno {
        Errno::EINVAL => CliError::Unsupported(format!(
            "this kernel writes the values of all CPUs at once (of one: Linux 7.0); write a list of {cpus} values"
        )),
        _ => write()(e),
    })
}

/// The parts of a list in brackets, as they were typed.
fn split_list(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (mut parts, mut depth, mut part, mut quoted) = (Vec::new(), 0u32, String::new(), false);
    for c in inner.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if depth == 0 && !quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if !part.trim().is_empty() {
        parts.push(part);
    }
    Some(parts.iter().map(|p| p.trim().to_string()).collect())
}

pub(crate) fn del(args: &DelArgs, out: &Output) -> Result<(), CliError> {
    let (map, mut words) = map_select::selector(&args.words);
    let map = map_select::find(map)?;
    let codec = Codec::of(&map);
    let mut removed = 0;
    if args.all {
        no_more(words)?;
        removed = delete_all(&map)?;
    }
    while !words.is_empty() {
        let all = words;
        let key = Key::take(&map, &codec, &mut words)?;
        let deleted = match map.delete(&key.bytes()) {
            // So a sockmap says that there is nothing at this index.
            Err(e) if e.errno == Errno::EINVAL && map.info().map_type == MapType::Sockmap => false,
            other => other.map_err(failed(&map, "delete an element of"))?,
        };
        if !deleted {
            return Err(CliError::NoElement { map: map.name().into(), key: taken(all, words) });
        }
        removed += 1;
    }
    let text = format!("deleted {} of map `{}`", count(removed, "element"), map.name());
    out.report("map del", &Done { map: map.name().into(), elements: removed, text })
}

/// Deletes what a walk shows, a batch of keys at a time. While somebody fills the map it is never empty, so this
/// ends when as many are gone as the map can hold.
fn delete_all(map: &Map) -> Result<usize, CliError> {
    const AT_A_TIME: usize = 4096;
    let most = AT_A_TIME.max(map.info().max_entries as usize);
    let mut removed = 0;
    loop {
        let mut keys = Vec::new();
        let mut elements = map.elements();
        while let Some((key, _)) = elements.next_entry().map_err(failed(map, "read"))? {
            keys.extend_from_slice(key);
            if keys.len() >= AT_A_TIME * map.key_len() {
                break;
            }
        }
        let done = map.delete_many(&keys).map_err(|e| failed(map, "delete elements of")(e.source))?;
        removed += done;
        if done == 0 || removed >= most {
            return Ok(removed);
        }
    }
}

pub(crate) fn freeze(args: &MapOnly, out: &Output) -> Result<(), CliError> {
    let map = map_select::find(&args.map)?;
    map.freeze().map_err(failed(&map, "freeze"))?;
    let text = format!("map `{}` takes no more writes from user space", map.name());
    out.report("map freeze", &Done { map: map.name().into(), elements: 0, text })
}

pub(crate) fn pin(args: &PinArgs, out: &Output) -> Result<(), CliError> {
    let (map, rest) = map_select::selector(&args.words);
    let [path] = rest else {
        return Err(CliError::Option("`map pin` takes a map and a path in a bpffs".into()));
    };
    let map = map_select::find(map)?;
    map.pin(path).map_err(CliError::sys(format!("pin map `{}` at {path}", map.name())))?;
    let text = format!("pinned map `{}` at {path}", map.name());
    out.report("map pin", &Done { map: map.name().into(), elements: 0, text })
}
