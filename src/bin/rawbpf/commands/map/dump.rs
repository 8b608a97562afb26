//! `rawbpf map dump`: every element, as it comes. Nothing is kept but the first page, of which the widths of the
//! columns are taken: the memory is the same for ten elements and for a million.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::maps::Map;
use rawbpf::sys::SysError;
use rawbpf::uapi::MapType;

use crate::commands::map::list::MapRow;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::style::count;
use crate::values::Codec;
use crate::values::json::{plain, sum};
use crate::values::printer::Printer;

#[derive(Debug, ClapArgs)]
pub(crate) struct DumpArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// Of per-CPU maps, print only the sum over all CPUs where values are numbers
    #[arg(long)]
    pub(crate) sum: bool,
}

/// How many rows are looked at for the widths of the columns.
const PAGE: usize = 256;
/// Bytes that are gathered before they are written.
const CHUNK: usize = 1 << 16;

pub(crate) fn run(args: &DumpArgs, out: &Output) -> Result<(), CliError> {
    let map = map_select::find(&args.map)?;
    let codec = Codec::of(&map);
    let mut elements = map.elements_ahead();
    let fail =
        |e| unreadable(&map, e).unwrap_or_else(|| CliError::sys(format!("read map `{}`", map.name()))(e));
    let mut dump = Dump {
        key: codec.key_printer(),
        value: codec.value_printer(),
        codec: &codec,
        map: &map,
        sum_only: args.sum && map.info().is_per_cpu(),
        buffer: Vec::with_capacity(CHUNK * 2),
        page: Some(Vec::new()),
        widths: [0; 2],
        shown: 0,
    };
    // What cannot be read at all is said before anything is printed.
    let mut next = elements.next_entry().map_err(fail)?.is_some();
    let mut stdout = io::stdout().lock();
    let json = out.is_json();
    if json {
        out.begin(
            "map dump",
            &[("map", serde_json::to_value(MapRow::with_pins(&map)).unwrap_or_default())],
            "elements",
            &mut dump.buffer,
        );
    }
    while next {
        let Some((key, value)) = elements.current() else { break };
        match json {
            true => dump.json(key, value),
            false => dump.text(key, value),
        }
        if dump.buffer.len() >= CHUNK && !flush(&mut stdout, &mut dump.buffer)? {
            return Ok(());
        }
        match elements.next_entry() {
            Ok(element) => next = element.is_some(),
            Err(e) => {
                // The document is ended, so that what was read is not lost to a parser.
                dump.end(json, false);
                flush(&mut stdout, &mut dump.buffer)?;
                return Err(CliError::Told(Box::new(fail(e))));
            }
        }
    }
    dump.end(json, elements.complete());
    flush(&mut stdout, &mut dump.buffer).map(drop)
}

/// Writes what was gathered; false if the reader has gone away.
fn flush(out: &mut impl Write, buffer: &mut Vec<u8>) -> Result<bool, CliError> {
    let written = out.write_all(buffer).and_then(|()| out.flush());
    buffer.clear();
    match written {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(CliError::io("write to standard output")(e)),
    }
}

struct Dump<'m> {
    key: Printer,
    value: Printer,
    codec: &'m Codec,
    map: &'m Map,
    sum_only: bool,
    buffer: Vec<u8>,
    /// The first rows, until the widths are known.
    page: Option<Vec<[Vec<u8>; 3]>>,
    /// Of the key, and of the CPU.
    widths: [usize; 2],
    shown: u64,
}

impl Dump<'_> {
    /// One element as JSON, on a line of its own.
    fn json(&mut self, key: &[u8], value: &[u8]) {
        let out = &mut self.buffer;
        out.extend_from_slice(if self.shown == 0 { b"\n    {\"key\":" } else { b",\n    {\"key\":" });
        self.key.json(key, out);
        if self.map.info().is_per_cpu() {
            let sum = self.sum_of(value);
            let out = &mut self.buffer;
            if !self.sum_only || sum.is_none() {
                out.extend_from_slice(b",\"values\":[");
                for (nth, (_, slot)) in self.map.slots(value).enumerate() {
                    if nth > 0 {
                        out.push(b',');
                    }
                    self.value.json(slot, out);
                }
                out.push(b']');
            }
            if let Some(sum) = sum {
                let _ = write!(out, ",\"sum\":{sum}");
            }
        } else {
            out.extend_from_slice(b",\"value\":");
            self.value.json(value, out);
        }
        self.buffer.push(b'}');
        self.shown += 1;
    }

    /// One element as a row, or as one for each CPU.
    fn text(&mut self, key: &[u8], value: &[u8]) {
        self.shown += 1;
        if !self.map.info().is_per_cpu() {
            return self.plain_row(key, value);
        }
        let mut key_text = Vec::new();
        self.key.text(key, &mut key_text);
        let sum = self.sum_of(value);
        if !self.sum_only || sum.is_none() {
            let map = self.map;
            for (cpu, slot) in map.slots(value) {
                let mut text = Vec::new();
                self.value.text(slot, &mut text);
                self.row([key_text.clone(), cpu.to_string().into_bytes(), text]);
            }
        }
        if let Some(sum) = sum {
            self.row([key_text, b"sum".to_vec(), plain(&sum).into_bytes()]);
        }
    }

    /// A row of key and value, straight into the buffer once the widths are known.
    fn plain_row(&mut self, key: &[u8], value: &[u8]) {
        if self.page.is_some() {
            let (mut k, mut v) = (Vec::new(), Vec::new());
            self.key.text(key, &mut k);
            self.value.text(value, &mut v);
            return self.row([k, Vec::new(), v]);
        }
        let start = self.buffer.len();
        self.key.text(key, &mut self.buffer);
        pad(&mut self.buffer, start, self.widths[0]);
        self.value.text(value, &mut self.buffer);
        self.buffer.push(b'\n');
    }

    fn sum_of(&self, value: &[u8]) -> Option<serde_json::Value> {
        let values: Vec<_> = self.map.slots(value).map(|(_, slot)| self.codec.value(slot).1).collect();
        sum(&values)
    }

    fn row(&mut self, row: [Vec<u8>; 3]) {
        match &mut self.page {
            Some(page) => {
                page.push(row);
                if page.len() >= PAGE {
                    self.end_page();
                }
            }
            None => self.write_row(&row),
        }
    }

    /// Takes the widths from the rows so far, and prints them.
    fn end_page(&mut self) {
        let Some(page) = self.page.take() else { return };
        let per_cpu = self.map.info().is_per_cpu();
        let head: [&str; 3] = if per_cpu { ["KEY", "CPU", "VALUE"] } else { ["KEY", "", "VALUE"] };
        let head = head.map(|h| h.as_bytes().to_vec());
        for row in page.iter().chain([&head]) {
            let [key, cpu, _] = row;
            self.widths = [self.widths[0].max(width(key)), self.widths[1].max(width(cpu))];
        }
        for row in [&head].into_iter().chain(&page) {
            self.write_row(row);
        }
    }

    fn write_row(&mut self, [key, cpu, value]: &[Vec<u8>; 3]) {
        let out = &mut self.buffer;
        let start = out.len();
        out.extend_from_slice(key);
        pad(out, start, self.widths[0]);
        if self.widths[1] > 0 {
            let start = out.len();
            out.extend_from_slice(cpu);
            pad(out, start, self.widths[1]);
        }
        out.extend_from_slice(value);
        out.push(b'\n');
    }

    fn end(&mut self, json: bool, complete: bool) {
        if json {
            let _ = write!(self.buffer, "\n  ],\n  \"complete\": {complete}\n}}\n");
            return;
        }
        self.end_page();
        let _ = writeln!(self.buffer, "{}", count(self.shown as usize, "element"));
        if !complete {
            let _ = writeln!(self.buffer, "the map changed too fast to be read whole");
        }
    }
}

/// How many characters a text has.
fn width(text: &[u8]) -> usize {
    text.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

/// Blanks up to the next column, at least two.
fn pad(out: &mut Vec<u8>, start: usize, to: usize) {
    let have = width(out.get(start..).unwrap_or_default());
    let blanks = to.saturating_sub(have) + 2;
    out.resize(out.len() + blanks, b' ');
}

/// Types without elements that could be walked.
pub(super) fn unreadable(map: &Map, e: SysError) -> Option<CliError> {
    let instead = instead(map.info().map_type).filter(|_| !e.errno.is_permission())?;
    Some(CliError::Option(format!("map `{}` cannot be dumped: {instead}", map.name())))
}

/// What to do with a map whose elements cannot be walked over.
pub(super) fn instead(map_type: MapType) -> Option<&'static str> {
    Some(match map_type.name()? {
        "ringbuf" => "a ring buffer has no elements: it is a stream of records; read it with `rawbpf events`",
        "user_ringbuf" => "a user ring buffer has no elements: it is a stream of records for programs",
        "queue" | "stack" => "a queue or stack has no keys; look with `map peek`, take out with `map pop`",
        "bloom_filter" => "a bloom filter cannot be listed; ask about a value with `map peek`",
        "perf_event_array" => "a perf event array holds channels, not data; read it with `rawbpf events`",
        "sk_storage" | "task_storage" | "inode_storage" | "cgrp_storage" => {
            "a local storage has no table; ask for the value of one owner with `map get`"
        }
        "arena" => "an arena has no elements: it is memory",
        "cgroup_array" | "xskmap" | "sockmap" | "sockhash" | "reuseport_sockarray" => {
            "what is in it cannot be read from user space"
        }
        _ => return None,
    })
}
