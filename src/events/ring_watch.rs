//! Looking at a ring buffer without reading from it.

use crate::maps::{Map, MapError, Mismatch, SharedMapping};
use crate::sys::map::flags;
use crate::sys::ring::page_size;
use crate::uapi::MapType;

/// How full a ring buffer is, for one who is not its consumer: monitoring.
///
/// It maps the two pages with the positions, to be read alone. So it disturbs no consumer, and needs no right to
/// write to the map.
#[derive(Debug)]
pub struct RingWatch {
    consumer: SharedMapping,
    producer: SharedMapping,
    size: u64,
    overwrite: bool,
}

/// How far a ring is, in bytes since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLevel {
    /// Where the producers are.
    pub produced: u64,
    /// Up to where a consumer has read and given room back.
    pub consumed: u64,
    /// Overwrite mode: up to where records were overwritten, read or not. 0 in other rings.
    pub overwritten: u64,
    /// Bytes that the ring holds.
    pub size: u64,
}

impl RingLevel {
    /// Bytes that wait to be read.
    pub fn used(&self) -> u64 {
        self.produced.wrapping_sub(self.consumed.max(self.overwritten)).min(self.size)
    }
}

impl RingWatch {
    /// Maps the positions of a `BPF_MAP_TYPE_RINGBUF`. Linux 5.8.
    ///
    /// # Errors
    /// The map is of another type, or cannot be mapped.
    pub fn new(map: &Map) -> Result<RingWatch, MapError> {
        let info = map.info();
        if info.map_type != MapType::Ringbuf {
            let mismatch = Mismatch::Type { expected: &[MapType::Ringbuf], found: info.map_type };
            return Err(MapError::Mismatch { map: map.name().into(), mismatch });
        }
        let page = page_size();
        let view = |offset| SharedMapping::new(map, offset, page, false);
        let fail = MapError::sys(map, "map the memory of");
        let (consumer, producer) = view(0).and_then(|c| Ok((c, view(page)?))).map_err(fail)?;
        let overwrite = info.flags & flags::RB_OVERWRITE != 0;
        Ok(RingWatch { consumer, producer, size: info.max_entries.into(), overwrite })
    }

    /// How far it is now.
    pub fn level(&self) -> RingLevel {
        RingLevel {
            consumed: self.consumer.position(0) as u64,
            produced: self.producer.position(0) as u64,
            overwritten: if self.overwrite { self.producer.position(2) as u64 } else { 0 },
            size: self.size,
        }
    }
}
