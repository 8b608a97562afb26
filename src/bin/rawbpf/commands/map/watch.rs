//! `rawbpf map watch`: elements as they change, with rates.
//!
//! At a terminal the screen is drawn anew each time, the fastest elements first. In a pipe a line is printed for
//! each element that changed.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use rawbpf::events::RingBuf;
use rawbpf::maps::Map;
use rawbpf::uapi::MapType;
use serde_json::{Value as Json, json};

use super::dump::unreadable;
use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::screen;
use crate::ui::stop::Stop;
use crate::ui::table::Table;
use crate::values::Codec;
use crate::values::json::{plain, sum};

#[derive(Debug, ClapArgs)]
pub(crate) struct WatchArgs {
    /// Which map: NAME, `id N`, or the path of its pin
    #[arg(required = true, num_args = 1..=2, value_name = "MAP")]
    pub(crate) map: Vec<String>,
    /// Seconds between two updates
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) interval: f64,
    /// Stop after N updates
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// More elements than that are not watched: nobody could look at them.
const MOST: usize = 10_000;

pub(crate) fn run(args: &WatchArgs, out: &Output) -> Result<(), CliError> {
    let interval =
        Duration::try_from_secs_f64(args.interval).ok().filter(|i| !i.is_zero()).ok_or_else(|| {
            CliError::Option(format!("{} is not a number of seconds between two updates", args.interval))
        })?;
    let map = map_select::find(&args.map)?;
    let stop = Stop::new()?;
    let mut looks = 0;
    let mut again = || {
        looks += 1;
        args.count.is_none_or(|count| looks < count) && !stop.wait_all(interval)
    };
    match map.info().map_type {
        MapType::Ringbuf => ring(&map, out, &mut again),
        _ => elements(&map, out, &mut again),
    }
}

/// An element at one look.
struct Seen {
    key: (String, Json),
    value: (String, Json),
    /// Change a second, of numbers and of members that are numbers.
    rate: Option<Json>,
    changed: bool,
}

fn elements(map: &Map, out: &Output, again: &mut dyn FnMut() -> bool) -> Result<(), CliError> {
    let codec = Codec::of(map);
    let fail =
        |e| unreadable(map, e).unwrap_or_else(|| CliError::sys(format!("read map `{}`", map.name()))(e));
    let screen = io::stdout().is_terminal() && !out.is_json();
    let mut before: HashMap<Vec<u8>, Json> = HashMap::new();
    let (mut last, mut first, begin) = (Instant::now(), true, Instant::now());
    loop {
        let (now, mut seen) = (Instant::now(), Vec::new());
        let (seconds, mut after) = ((now - last).as_secs_f64(), HashMap::new());
        let mut elements = map.elements();
        while let Some((key, value)) = elements.next_entry().map_err(fail)? {
            let value = value_of(&codec, map, value);
            let old = before.get(key);
            let rate = old.and_then(|old| rate(old, &value.1, seconds));
            let changed = old != Some(&value.1);
            after.insert(key.to_vec(), value.1.clone());
            seen.push(Seen { key: codec.key(key), value, rate, changed });
            if seen.len() >= MOST {
                break;
            }
        }
        seen.sort_by(|a, b| speed(b).total_cmp(&speed(a)).then_with(|| a.key.0.cmp(&b.key.0)));
        let shown = match screen {
            true => draw(map, &seen, now - begin),
            false => lines(out, &seen, now - begin, first)?,
        };
        if !shown || !again() {
            return Ok(());
        }
        (before, last, first) = (after, now, false);
    }
}

/// The value, of a per-CPU map the sum where there is one.
fn value_of(codec: &Codec, map: &Map, value: &[u8]) -> (String, Json) {
    if !map.info().is_per_cpu() {
        return codec.value(value);
    }
    let values: Vec<Json> = map.slots(value).map(|(_, slot)| codec.value(slot).1).collect();
    let value = sum(&values).unwrap_or(Json::Array(values));
    (plain(&value), value)
}

/// The change a second, of numbers and of members that are numbers.
fn rate(old: &Json, new: &Json, seconds: f64) -> Option<Json> {
    match (old, new) {
        (Json::Number(a), Json::Number(b)) => {
            let change = match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => b.wrapping_sub(a) as f64,
                _ => b.as_f64()? - a.as_f64()?,
            };
            Some(json!((change / seconds.max(1e-9)).round() as i64))
        }
        (Json::Object(a), Json::Object(b)) => {
            let rates =
                b.iter().filter_map(|(name, new)| Some((name.clone(), rate(a.get(name)?, new, seconds)?)));
            let rates: serde_json::Map<_, _> = rates.collect();
            (!rates.is_empty()).then_some(Json::Object(rates))
        }
        (Json::Array(a), Json::Array(b)) => {
            let rates =
                a.iter().zip(b).map(|(old, new)| rate(old, new, seconds)).collect::<Option<Vec<_>>>()?;
            (!rates.is_empty()).then_some(Json::Array(rates))
        }
        _ => None,
    }
}

/// By what the elements are sorted: the greatest change in it.
fn speed(seen: &Seen) -> f64 {
    fn greatest(rate: &Json) -> f64 {
        match rate {
            Json::Number(n) => n.as_f64().unwrap_or(0.0).abs(),
            Json::Object(fields) => fields.values().map(greatest).fold(0.0, f64::max),
            Json::Array(items) => items.iter().map(greatest).fold(0.0, f64::max),
            _ => 0.0,
        }
    }
    seen.rate.as_ref().map_or(0.0, greatest)
}

/// Draws the screen; false if it is gone.
fn draw(map: &Map, seen: &[Seen], time: Duration) -> bool {
    let (rows, _) = screen::size();
    let mut table = Table::new(&["KEY", "VALUE", "CHANGE/S"]);
    for s in seen.iter().take(usize::from(rows).saturating_sub(4)) {
        let rate = s.rate.as_ref().map_or_else(|| "-".into(), plain);
        table.row(vec![s.key.0.clone(), s.value.0.clone(), rate]);
    }
    screen::draw(&format!("map `{}`, {} element(s), {} s", map.name(), seen.len(), time.as_secs()), &table)
}

/// Prints what changed; at the first look, everything.
fn lines(out: &Output, seen: &[Seen], time: Duration, first: bool) -> Result<bool, CliError> {
    let seconds = (time.as_secs_f64() * 10.0).round() / 10.0;
    for s in seen.iter().filter(|s| first || s.changed) {
        let json =
            || json!({"time": seconds, "key": s.key.1, "value": s.value.1, "change_per_second": s.rate});
        let rate = || s.rate.as_ref().map_or(String::new(), |r| format!("  ({}/s)", plain(r)));
        if !out.line(json, || format!("{seconds:.1}  {}: {}{}", s.key.0, s.value.0, rate()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How full a ring buffer is, and how fast it is filled and read. Nothing is taken out.
fn ring(map: &Map, out: &Output, again: &mut dyn FnMut() -> bool) -> Result<(), CliError> {
    let (mut before, mut last) = (None, Instant::now());
    loop {
        // Mapped anew each time: what another process reads is seen.
        let now = RingBuf::new(map.clone())?.positions();
        let seconds = last.elapsed().as_secs_f64().max(1e-9);
        last = Instant::now();
        let rates = before.map(|b: rawbpf::events::Positions| {
            let per_second = |new: u64, old: u64| (new.wrapping_sub(old) as f64 / seconds) as u64;
            [per_second(now.producer, b.producer), per_second(now.consumer, b.consumer)]
        });
        let json = || {
            json!({"size": now.size, "waiting": now.lag(), "fill": now.fill(),
                "written": now.producer, "read": now.consumer,
                "written_per_second": rates.map(|r| r[0]), "read_per_second": rates.map(|r| r[1])})
        };
        let text = || {
            let rate = rates.map_or(String::new(), |[w, r]| format!("  written {w} B/s  read {r} B/s"));
            format!("{:5.1}% full  {} of {} bytes wait{rate}", now.fill() * 100.0, now.lag(), now.size)
        };
        if !out.line(json, text)? || !again() {
            return Ok(());
        }
        before = Some(now);
    }
}
