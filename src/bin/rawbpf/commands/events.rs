//! `rawbpf events`: what programs send, as it comes.
//!
//! A line for each event, or a JSON line; at the end, how many came and how many were lost. Perf buffers count
//! losses themselves. Ring buffers do not: a program whose event finds no room is told so and may count it, in a
//! map that `--drops` names.

use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use rawbpf::events::{PerfBuffer, PerfOptions, PerfRecord, RingBuf};
use rawbpf::maps::Map;
use rawbpf::uapi::MapType;
use serde_json::{Value as Json, json};

use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::stop::Stop;
use crate::ui::style::count;
use crate::values::json::{plain, sum};
use crate::values::printer::Printer;
use crate::values::{Codec, event_type};

#[derive(Debug, ClapArgs)]
pub(crate) struct EventsArgs {
    /// A ring buffer or a perf event array: NAME, `id N`, or the path of its pin
    #[arg(required_unless_present = "drops", num_args = 1..=2, value_name = "MAP")]
    map: Vec<String>,
    /// The type of the events, as in `struct event` or `event`; detected from the object's BTF
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) ty: Option<String>,
    /// Stop after N events
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after SECONDS
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// Print the bytes, whatever their type
    #[arg(long, conflicts_with = "ty")]
    pub(crate) hex: bool,
    /// A map in which the program counts what it could not send: the sum of its numbers is reported at the end
    #[arg(long, num_args = 1..=2, value_name = "MAP")]
    drops: Vec<String>,
    /// Exit with status 1 if events were lost
    #[arg(long)]
    pub(crate) fail_on_loss: bool,
    /// Pages of memory for each CPU, for perf event arrays; a power of two
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) pages: usize,
}

impl EventsArgs {
    /// The words of the map of events, and those of the map that counts drops. A map is one word or `id N`, so a
    /// second word behind `--drops NAME` is the first of the other map.
    pub(crate) fn maps(&self) -> (Vec<String>, Option<Vec<String>>) {
        match self.drops.as_slice() {
            [] => (self.map.clone(), None),
            [name, next] if name != "id" => {
                let events = std::iter::once(next).chain(&self.map).cloned().collect();
                (events, Some(vec![name.clone()]))
            }
            drops => (self.map.clone(), Some(drops.to_vec())),
        }
    }
}

/// How long to wait for events before looking for a signal.
const WAIT: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &EventsArgs, out: &Output) -> Result<(), CliError> {
    let (map, drops) = args.maps();
    if map.is_empty() {
        return Err(CliError::Option("name the map of events, too".into()));
    }
    let map = map_select::find(&map)?;
    let map_type = map.info().map_type;
    if !matches!(map_type, MapType::Ringbuf | MapType::PerfEventArray) {
        let name = map.name();
        return Err(CliError::Option(format!(
            "map `{name}` is of type {map_type}; events come from ringbuf and perf_event_array"
        )));
    }
    let ty = if args.hex { None } else { event_type::find(&map, args.ty.as_deref())? };
    if ty.is_none() && !args.hex {
        out.note("the type of the events is not known, so their bytes are shown; name it with --type");
    }
    let printer = match &ty {
        Some((btf, ty)) => Printer::of(Some(btf), *ty),
        None => Printer::Bytes,
    };
    let drops = drops.map(|words| map_select::find(&words)).transpose()?;
    let before = drops.as_ref().map(total).transpose()?;
    let stop = Stop::new()?;
    let deadline = args.seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut tail = Tail { out, printer, stop, deadline, left: args.count, events: 0, lost: 0, gone: false };
    if map_type == MapType::Ringbuf {
        tail.ring(RingBuf::new(map)?)?;
    } else {
        let options = PerfOptions { pages: args.pages, ..PerfOptions::default() };
        tail.perf(PerfBuffer::new(map, options)?)?;
    }
    let dropped = match (&drops, before) {
        (Some(map), Some(before)) => Some(minus(&total(map)?, &before)),
        _ => None,
    };
    tail.end(dropped, args.fail_on_loss)
}

struct Tail<'o> {
    out: &'o Output,
    printer: Printer,
    stop: Stop,
    deadline: Option<Instant>,
    left: Option<u64>,
    events: u64,
    lost: u64,
    /// The reader of our output has gone away.
    gone: bool,
}

impl Tail<'_> {
    fn ring(&mut self, mut ring: RingBuf) -> Result<(), CliError> {
        let mut fullest: f64 = 0.0;
        while !self.done() {
            fullest = fullest.max(ring.positions().fill());
            while let Some(record) = ring.next() {
                self.event(None, &record)?;
                if self.enough() {
                    break;
                }
            }
            if !self.done() {
                ring.poll(Some(WAIT)).map_err(CliError::sys("wait for events"))?;
            }
        }
        self.lost = ring.positions().lost;
        if fullest > 0.99 {
            self.out.note("the ring buffer was full at times: the program will have dropped events");
        }
        Ok(())
    }

    fn perf(&mut self, mut buffer: PerfBuffer) -> Result<(), CliError> {
        while !self.done() {
            while let Some(event) = buffer.next() {
                match event {
                    PerfRecord::Sample { cpu, data } => self.event(Some(cpu), data)?,
                    PerfRecord::Lost { cpu, count } => self.lost(cpu, count)?,
                    PerfRecord::Other { .. } => {}
                }
                if self.enough() {
                    break;
                }
            }
            if !self.done() {
                buffer.poll(Some(WAIT))?;
            }
        }
        Ok(())
    }

    fn done(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.gone || late || self.left == Some(0) || self.stop.wait(Duration::ZERO)
    }

    /// The same between two events, where clock and signals are looked at now and then: who sends faster than we
    /// print must not keep us from ending.
    fn enough(&self) -> bool {
        self.gone || self.left == Some(0) || (self.events % 256 == 0 && self.done())
    }

    fn event(&mut self, cpu: Option<u32>, data: &[u8]) -> Result<(), CliError> {
        self.events += 1;
        self.left = self.left.map(|n| n.saturating_sub(1));
        let mut line = Vec::new();
        match (self.out.is_json(), cpu) {
            (true, None) => line.extend_from_slice(b"{\"event\":"),
            (true, Some(cpu)) => line.extend_from_slice(format!("{{\"cpu\":{cpu},\"event\":").as_bytes()),
            (false, Some(cpu)) => line.extend_from_slice(format!("cpu {cpu}  ").as_bytes()),
            (false, None) => {}
        }
        match self.out.is_json() {
            true => {
                self.printer.json(data, &mut line);
                line.push(b'}');
            }
            false => self.printer.text(data, &mut line),
        }
        self.gone = !self.out.raw_line(line)?;
        Ok(())
    }

    fn lost(&mut self, cpu: u32, n: u64) -> Result<(), CliError> {
        self.lost += n;
        let text = || format!("cpu {cpu}  lost {}", count(n as usize, "event"));
        self.gone = !self.out.line(|| json!({"cpu": cpu, "lost": n}), text)?;
        Ok(())
    }

    /// The last word: how many came, and how many did not.
    fn end(self, dropped: Option<Json>, fail_on_loss: bool) -> Result<(), CliError> {
        if self.out.is_json() {
            if !self.gone {
                let summary = json!({"events": self.events, "lost": self.lost, "dropped": dropped});
                self.out.line(|| summary, String::new)?;
            }
        } else {
            let dropped =
                dropped.as_ref().map_or(String::new(), |d| format!("; counted by the program: {}", plain(d)));
            self.out.note(&format!("{}, {} lost{dropped}", count(self.events as usize, "event"), self.lost));
        }
        let any = self.lost > 0 || dropped.as_ref().is_some_and(has_any);
        match fail_on_loss && any {
            true => Err(CliError::Told(Box::new(CliError::Lost))),
            false => Ok(()),
        }
    }
}

/// What a counting map holds, added up over all elements and CPUs.
fn total(map: &Map) -> Result<Json, CliError> {
    let codec = Codec::of(map);
    let mut values = Vec::new();
    map.for_each(|_, value| values.extend(map.slots(value).map(|(_, slot)| codec.value(slot).1)))
        .map_err(CliError::sys(format!("read map `{}`", map.name())))?;
    sum(&values).ok_or_else(|| {
        CliError::Option(format!(
            "map `{}` has no numbers that could be added up; does it have types?",
            map.name()
        ))
    })
}

fn minus(now: &Json, before: &Json) -> Json {
    match (now, before) {
        (Json::Number(a), Json::Number(b)) => match (a.as_u64(), b.as_u64()) {
            (Some(a), Some(b)) => json!(a.wrapping_sub(b)),
            _ => now.clone(),
        },
        (Json::Object(a), Json::Object(b)) => {
            let fields = a
                .iter()
                .map(|(name, now)| (name.clone(), b.get(name).map_or(now.clone(), |b| minus(now, b))));
            Json::Object(fields.collect())
        }
        _ => now.clone(),
    }
}

/// True if the program counted a loss: a number alone, or a member whose name speaks of it.
fn has_any(dropped: &Json) -> bool {
    match dropped {
        Json::Number(n) => n.as_u64() != Some(0),
        Json::Object(fields) => fields.iter().any(|(name, value)| {
            ["drop", "lost", "loss", "fail", "miss"].iter().any(|word| name.contains(word)) && has_any(value)
        }),
        _ => false,
    }
}
