//! Histograms: slots that a program counts in become buckets.
//!
//! ```text
//!   log2     slot n counts 2^n ..= 2^(n+1)-1, slot 0 also 0          log2l() of the usual BPF headers
//!   linear   slot n counts start + n*width ..= start + (n+1)*width - 1
//!
//!   slots are the elements of an array in the value:       struct hist { __u64 slots[27]; __u64 sum; }
//!   or elements of the map, with the slot in the key:      struct key { __u32 cgroup; __u32 slot; }
//! ```
//!
//! A bucket's bound is the largest number that is counted in it, and belongs to it: measured values are whole numbers,
//! so this is exact. Programs count what is too large for the last slot in the last slot, so that has no bound.

use super::amount::{Amount, scaled};
use super::cell::{Cell, MOST, Shape, Side};
use super::config::{BucketsPart, Spacing};

/// Slots of log2 whose number is in a key, if the file does not say: one for each bit.
const BITS: usize = 64;

/// Where the slots of a metric are.
#[derive(Debug)]
enum Slots {
    /// In the value, one after the other.
    Array(Vec<Cell>),
    /// Each is an element: where its number is, and its count.
    Keyed { slot: Cell, count: Cell },
}

/// How slots become buckets.
#[derive(Debug)]
pub(super) struct Buckets {
    spacing: Spacing,
    start: f64,
    width: f64,
    slots: Slots,
    /// How many slots.
    count: usize,
    sum: Option<Cell>,
}

/// What was counted for one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counts {
    pub(super) slots: Vec<u128>,
    pub(super) sum: Option<Amount>,
}

impl Buckets {
    /// `value` is the path of the metric.
    pub(super) fn new(shape: &Shape, value: Cell, part: &BucketsPart) -> Result<Buckets, String> {
        let wanted = part.count.as_ref().map(|count| *count.get_ref());
        let (slots, count) = match &part.slot {
            None => {
                let cells = value.items().ok_or(
                    "the value is no array of slots; name the array in `value`, or the number of the slot in `slot`",
                )?;
                let count = wanted.unwrap_or(cells.len());
                (Slots::Array(cells), count)
            }
            Some(path) => {
                let slot = Cell::new(shape, path.get_ref())?;
                let whole_key = path.get_ref() == "key" && slot.side == Side::Key;
                let is_array = shape.map_type.to_string().ends_with("array") && whole_key;
                let count = match wanted {
                    Some(count) => count,
                    None if is_array => shape.max_entries as usize,
                    None if part.kind == Spacing::Log2 => BITS,
                    None => return Err("how many slots? `count` says".into()),
                };
                (Slots::Keyed { slot, count: value }, count)
            }
        };
        if count == 0 || count > MOST as usize {
            return Err(format!("{count} slots: it must be 1 to {MOST}; `count` says how many"));
        }
        let width = match (part.kind, part.width) {
            (Spacing::Linear, None | Some(0)) => return Err("how wide is a slot? `width` says".into()),
            (Spacing::Log2, Some(_)) => return Err("`width` is for linear buckets".into()),
            (_, width) => width.unwrap_or(0),
        };
        let sum = part.sum.as_ref().map(|path| Cell::new(shape, path.get_ref())).transpose()?;
        let start = part.start as f64;
        Ok(Buckets { spacing: part.kind, start, width: width.into(), slots, count, sum })
    }

    /// What is wrong with the type of a slot.
    pub(super) fn not_a_number(&self) -> Option<String> {
        match &self.slots {
            Slots::Array(cells) => cells.first()?.not_a_number(),
            Slots::Keyed { slot, count } => slot.not_a_number().or_else(|| count.not_a_number()),
        }
    }

    pub(super) fn empty(&self) -> Counts {
        Counts { slots: vec![0; self.count], sum: self.sum.as_ref().map(|_| Amount::ZERO) }
    }

    /// Adds an element to what was counted; `None` if it cannot be read.
    pub(super) fn add(&self, counts: &mut Counts, key: &[u8], slots: &[&[u8]]) -> Option<()> {
        let read = |cell: &Cell| Amount::sum(cell, key, slots.iter().copied());
        let mut put = |n: usize, count: u128| {
            let last = self.count.saturating_sub(1);
            if let Some(slot) = counts.slots.get_mut(n.min(last)) {
                *slot = slot.saturating_add(count);
            }
        };
        match &self.slots {
            Slots::Array(cells) => {
                for (n, cell) in cells.iter().enumerate() {
                    put(n, read(cell)?.count());
                }
            }
            Slots::Keyed { slot, count } => {
                let first = slots.iter().copied().take(1);
                let n = usize::try_from(Amount::sum(slot, key, first)?.count()).unwrap_or(usize::MAX);
                put(n, read(count)?.count());
            }
        }
        if let (Some(cell), Some(sum)) = (&self.sum, &mut counts.sum) {
            *sum = sum.plus(read(cell)?);
        }
        Some(())
    }

    /// The bounds of all slots but the last.
    pub(super) fn bounds(&self, scale: Option<f64>) -> Vec<f64> {
        let bound = |n: usize| match self.spacing {
            Spacing::Log2 => 2f64.powi(n as i32 + 1) - 1.0,
            Spacing::Linear => self.start + (n + 1) as f64 * self.width - 1.0,
        };
        (0..self.count.saturating_sub(1)).map(|n| scale.map_or(bound(n), |s| scaled(bound(n), s))).collect()
    }
}
