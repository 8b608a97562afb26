//! A scrape: every map is read, and all that was found becomes one page.

use rawbpf::sys::{self, ProgFd};

use super::names::Names;
use super::own;
use super::page::Family;
use super::watch::Watch;

/// Everything that is read, with open descriptors.
pub(super) struct Collector {
    pub(super) watches: Vec<Watch>,
    /// Object (empty if it was there before), name, descriptor.
    pub(super) programs: Vec<(String, String, ProgFd)>,
    /// While it is open, the kernel counts.
    pub(super) stats: Option<std::os::fd::OwnedFd>,
    pub(super) names: Names,
    pub(super) scrapes: u64,
}

impl Collector {
    /// How many maps and programs cannot be read at this moment.
    pub(super) fn unreadable(&self) -> usize {
        let maps = self.watches.iter().filter(|w| !w.is_readable()).count();
        maps + self.programs.iter().filter(|(_, _, p)| sys::prog_info(p).is_err()).count()
    }

    /// Reads everything, and says what there is, by name.
    pub(super) fn collect(&mut self) -> Vec<Family> {
        self.scrapes += 1;
        self.names.begin();
        for watch in &mut self.watches {
            watch.read(&mut self.names);
        }
        let mut families: Vec<Family> = Vec::new();
        // Of a map that could not be read to its end there is nothing to say: half a counter looks like a restart.
        for metric in self.watches.iter_mut().filter(|w| w.seen.up).flat_map(|w| &mut w.metrics) {
            families.push(metric.family());
        }
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families.extend(own::families(self));
        families
    }
}
