//! `rawbpf map export` and `import`: a map as JSON lines, one element each.
//!
//! ```text
//!   {"key":80,"value":{"packets":7,"last":"V_DROP"}}
//!   {"key":1,"values":[3,0]}                            a per-CPU map: one value for each CPU
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::maps::{ElemFlags, Map};
use rawbpf::sys;
use serde::Serialize;
use serde_json::Value as Json;

use super::dump::unreadable;
use super::object::reopened;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::progress::Progress;
use crate::ui::style::count;
use crate::values::Codec;

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// File with the lines [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Only add keys that do not exist
    #[arg(long)]
    pub(crate) new: bool,
}

pub(crate) fn export(args: &ExportArgs, out: &Output) -> Result<(), CliError> {
    let map = map_select::find(&args.map)?;
    let codec = Codec::of(&map);
    let (key_printer, value_printer) = (codec.key_printer(), codec.value_printer());
    let fail =
        |e| unreadable(&map, e).unwrap_or_else(|| CliError::sys(format!("read map `{}`", map.name()))(e));
    let mut elements = map.elements_ahead();
    let mut stdout = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut line = Vec::new();
    while let Some((key, value)) = elements.next_entry().map_err(fail)? {
        line.clear();
        line.extend_from_slice(b"{\"key\":");
        key_printer.json(key, &mut line);
        match map.info().is_per_cpu() {
            false => {
                line.extend_from_slice(b",\"value\":");
                value_printer.json(value, &mut line);
            }
            true => {
                line.extend_from_slice(b",\"values\":");
                for (nth, (_, slot)) in map.slots(value).enumerate() {
                    line.push(if nth == 0 { b'[' } else { b',' });
                    value_printer.json(slot, &mut line);
                }
                line.push(b']');
            }
        }
        line.extend_from_slice(b"}\n");
        match stdout.write_all(&line) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(CliError::io("write to standard output"))?,
        }
    }
    match stdout.flush() {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            return Err(CliError::io("write to standard output")(e));
        }
        _ => {}
    }
    if !elements.complete() {
        out.note("the map changed too fast to be read whole");
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Imported {
    map: String,
    elements: usize,
}

impl Report for Imported {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "wrote {} to map `{}`", count(self.elements, "element"), self.map)
    }
}

/// How many elements are written at a time.
const BATCH: usize = 1024;

pub(crate) fn import(args: &ImportArgs, out: &Output) -> Result<(), CliError> {
    let map = map_select::find(&args.map)?;
    let codec = Codec::of(&map);
    let input: Box<dyn BufRead> = match &args.from {
        Some(path) => {
            let file = File::open(path).map_err(CliError::io(format!("open {}", path.display())))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(io::stdin().lock()),
    };
    let (mut keys, mut values, mut done) = (Vec::new(), Vec::new(), 0);
    let mut progress = Progress::new(out);
    for (nth, line) in input.lines().enumerate() {
        let line = line.map_err(CliError::io("read the input"))?;
        progress.at(|| format!("{done} elements"));
        if line.trim().is_empty() {
            continue;
        }
        let at = |e: CliError| CliError::Line { line: nth + 1, source: Box::new(e) };
        let (key, mut value) = element(&map, &codec, &line).map_err(at)?;
        // Maps and programs are read as ids and written as descriptors.
        let object = reopened(&map, &value).map_err(at)?;
        if let Some(object) = &object {
            value.clone_from(&object.value);
        }
        if args.new || object.is_some() {
            let flags = if args.new { ElemFlags::NOEXIST } else { ElemFlags::ANY };
            map.set(&key, &value, flags.0)
                .map_err(|e| at(CliError::sys(format!("write an element of map `{}`", map.name()))(e)))?;
            done += 1;
            continue;
        }
        keys.extend(key);
        values.extend(value);
        if keys.len() >= BATCH * map.key_len().max(1) {
            done += write(&map, &mut keys, &mut values)?;
        }
    }
    done += write(&map, &mut keys, &mut values)?;
    drop(progress);
    out.report("map import", &Imported { map: map.name().into(), elements: done })
}

fn write(map: &Map, keys: &mut Vec<u8>, values: &mut Vec<u8>) -> Result<usize, CliError> {
    let count = keys.len() / map.key_len().max(1);
    map.set_many(keys, values, ElemFlags::ANY)
        .map_err(|e| CliError::sys(format!("write the elements of map `{}`", map.name()))(e.source))?;
    keys.clear();
    values.clear();
    Ok(count)
}

/// The bytes of one line's key and value.
fn element(map: &Map, codec: &Codec, line: &str) -> Result<(Vec<u8>, Vec<u8>), CliError> {
    let bad = |problem: String| CliError::Value { what: "line", problem };
    let json: Json = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
    let field = |name: &str| json.get(name);
    let key = field("key").ok_or_else(|| bad("it has no `key`".into()))?;
    let key = codec.key_shape().of_json(key)?;
    if !map.info().is_per_cpu() {
        let value = field("value").ok_or_else(|| bad("it has no `value`".into()))?;
        return Ok((key, codec.value_shape().of_json(value)?));
    }
    let cpus = sys::possible_cpus().map_err(CliError::sys("tell how many CPUs this machine can have"))?;
    let slots: Vec<&Json> = match (field("values"), field("value")) {
        (Some(Json::Array(list)), _) if list.len() == cpus => list.iter().collect(),
        (Some(Json::Array(list)), _) => {
            return Err(bad(format!(
                "it has values for {}, and this machine has {cpus}",
                count(list.len(), "CPU")
            )));
        }
        (_, Some(one)) => vec![one; cpus],
        _ => return Err(bad("it has neither `values` nor `value`".into())),
    };
    let mut value = Vec::with_capacity(map.value_len());
    for slot in slots {
        let mut bytes = codec.value_shape().of_json(slot)?;
        bytes.resize(map.value_len() / cpus, 0);
        value.extend(bytes);
    }
    Ok((key, value))
}
