//! The series of one metric, and how many there may be.
//!
//! Keys of maps come from outside: whoever can send packets from many addresses can make a map of addresses full, and a
//! monitoring system with it. So each metric has a limit. Who came first stays: a series that was shown is shown again
//! while its element is there, and a new one gets in only where there is room, so that at the limit the graphs do
//! not flicker. What is left out is counted, and that is a metric, too.

use std::collections::{BTreeMap, HashSet};

use super::amount::Amount;
use super::buckets::Counts;

/// The values of a metric's labels, in their order.
pub(super) type Labels = Vec<String>;

/// What was added up for a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Number(Amount),
    Counts(Counts),
}

#[derive(Debug)]
struct Entry {
    reading: Reading,
    /// From how many elements.
    elements: u64,
    /// It was shown in the last scrape.
    old: bool,
}

/// All series of a metric.
#[derive(Debug)]
pub(super) struct Series {
    limit: usize,
    shown: HashSet<Labels>,
    now: BTreeMap<Labels, Entry>,
    /// How many in `now` are not old.
    fresh: usize,
    /// Elements that were left out since the start: for want of room, and because they could not be read.
    pub(super) over_limit: u64,
    pub(super) unreadable: u64,
}

impl Series {
    pub(super) fn new(limit: usize) -> Series {
        Series { limit, shown: HashSet::new(), now: BTreeMap::new(), fresh: 0, over_limit: 0, unreadable: 0 }
    }

    /// A scrape begins.
    pub(super) fn begin(&mut self) {
        self.now.clear();
        self.fresh = 0;
    }

    /// Adds what an element says to its series, which begins as `empty` if it is new; several elements may be of one.
    /// `add` says `None` if the element cannot be read.
    pub(super) fn add(
        &mut self,
        labels: Labels,
        empty: impl FnOnce() -> Reading,
        add: impl FnOnce(&mut Reading) -> Option<()>,
    ) {
        if !self.now.contains_key(&labels) {
            let old = self.shown.contains(&labels);
            if !old && self.fresh >= self.limit {
                self.over_limit += 1;
                return;
            }
            self.fresh += usize::from(!old);
            self.now.insert(labels.clone(), Entry { reading: empty(), elements: 0, old });
        }
        if let Some(entry) = self.now.get_mut(&labels) {
            match add(&mut entry.reading) {
                Some(()) => entry.elements += 1,
                None => self.unreadable += 1,
            }
        }
    }

    /// The scrape has seen all elements: those to be shown.
    pub(super) fn finish(&mut self, skip_zeros: bool) -> Vec<(Labels, Reading)> {
        let mut all = std::mem::take(&mut self.now);
        // Of which no element could be read: that is no 0.
        all.retain(|_, entry| entry.elements > 0);
        if skip_zeros {
            all.retain(|_, entry| !matches!(entry.reading, Reading::Number(n) if n.is_zero()));
        }
        let mut room = self.limit.saturating_sub(all.values().filter(|e| e.old).count());
        let (mut out, mut shown) = (Vec::new(), HashSet::new());
        for (labels, entry) in all {
            if !entry.old && room == 0 {
                self.over_limit += entry.elements;
                continue;
            }
            room -= usize::from(!entry.old);
            shown.insert(labels.clone());
            out.push((labels, entry.reading));
        }
        self.shown = shown;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(series: &mut Series, names: &[&str]) -> Vec<String> {
        series.begin();
        for name in names {
            let one = |reading: &mut Reading| {
                let Reading::Number(n) = reading else { return None };
                *n = n.plus(Amount::Whole(1));
                Some(())
            };
            series.add(vec![name.to_string()], || Reading::Number(Amount::ZERO), one);
        }
        series.finish(false).into_iter().flat_map(|(labels, _)| labels).collect()
    }

    #[test]
    fn who_came_first_stays_and_the_rest_is_counted() {
        let mut series = Series::new(2);
        assert_eq!(scrape(&mut series, &["m", "n", "n", "o", "o"]), ["m", "n"]);
        assert_eq!(series.over_limit, 2, "two elements of `o`");
        assert_eq!(scrape(&mut series, &["a", "b", "c", "m", "n"]), ["m", "n"]);
        assert_eq!(series.over_limit, 5);
        assert_eq!(scrape(&mut series, &["z", "n"]), ["n", "z"], "room is given back");
        assert_eq!(series.over_limit, 5);
    }
}
