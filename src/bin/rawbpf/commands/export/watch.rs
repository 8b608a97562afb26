//! The maps that are read, each walked once a scrape for all its metrics.
//!
//! ```text
//!   it is written to meanwhile    Map::elements shows no key twice and comes to an end; if it had to give up,
//!                                 that is counted
//!   its pin is gone               the descriptor holds the map: it is read as before
//!   its pin is another map now    (rawbpf load --replace) that one is read from now on, if its elements are alike
//!   it cannot be read             rawbpf_map_up is 0; the other maps are served
//! ```

use std::path::PathBuf;

use rawbpf::Map;
use rawbpf::events::{RingLevel, RingWatch};
use rawbpf::sys::SysError;
use rawbpf::uapi::MapType;

use super::cell::Shape;
use super::metric::Metric;
use super::names::Names;

/// A map that is read.
pub(super) struct Watch {
    pub(super) shape: Shape,
    map: Map,
    /// Where it is pinned, if it was opened by that.
    pin: Option<PathBuf>,
    pub(super) metrics: Vec<Metric>,
    /// Count its elements though no metric needs them.
    count: bool,
    ring: Option<RingWatch>,
    pub(super) seen: Seen,
}

/// What the last scrape found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) up: bool,
    /// The pin is gone, or is a map that cannot be read in the place of this one.
    pub(super) stale: bool,
    pub(super) entries: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) ring: Option<RingLevel>,
    /// Since the start: walks that had to give up, and maps that came in the place of others.
    pub(super) incomplete: u64,
    pub(super) replaced: u64,
}

impl Watch {
    /// `count`: the number of its elements is wanted.
    pub(super) fn new(shape: Shape, map: Map, pin: Option<PathBuf>, count: bool) -> Watch {
        let ring = (map.info().map_type == MapType::Ringbuf).then(|| RingWatch::new(&map).ok()).flatten();
        Watch { shape, map, pin, metrics: Vec::new(), count, ring, seen: Seen::default() }
    }

    /// True if there is something to say of it.
    pub(super) fn matters(&self) -> bool {
        self.count || self.ring.is_some() || !self.metrics.is_empty()
    }

    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// True if a first element can be asked for.
    pub(super) fn is_readable(&self) -> bool {
        self.ring.is_some() || self.map.elements().next_entry().is_ok()
    }

    /// Reads everything.
    pub(super) fn read(&mut self, names: &mut Names) {
        self.follow();
        self.seen.memory = self.map.fd_info().memlock;
        self.seen.ring = self.ring.as_ref().map(RingWatch::level);
        self.metrics.iter_mut().for_each(|m| m.series.begin());
        self.seen.up = match self.map.info().map_type {
            MapType::Ringbuf => self.ring.is_some(),
            _ if self.metrics.is_empty() && !self.count => true,
            _ => self.walk(names).unwrap_or(false),
        };
    }

    /// False if it had to give up: half a counter would look like a restart.
    fn walk(&mut self, names: &mut Names) -> Result<bool, SysError> {
        let mut elements = self.map.elements();
        self.seen.entries = None;
        while let Some((key, value)) = elements.next_entry()? {
            self.metrics.iter_mut().for_each(|m| m.element(&self.map, key, value, names));
        }
        let walk = elements.walk();
        self.seen.incomplete += u64::from(!walk.complete);
        self.seen.entries = Some(walk.elements);
        Ok(walk.complete)
    }

    /// Goes over to the map that is behind the pin now.
    fn follow(&mut self) {
        let Some(pin) = &self.pin else { return };
        let now = Map::open_pin(pin);
        self.seen.stale = match now {
            Ok(map) if map.info().id == self.map.info().id => false,
            Ok(map) if Shape::of_map(None, "", &map).is_like(&self.shape) => {
                self.ring = self.ring.as_ref().and_then(|_| RingWatch::new(&map).ok());
                self.map = map;
                self.seen.replaced += 1;
                false
            }
            _ => true,
        };
    }
}
