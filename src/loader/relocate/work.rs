//! A bound on how much a hostile object can make a [`Relocator`](super::Relocator) do.

use super::fault::CoreFault;

/// How much may still be done for one object, in members looked at.
///
/// Types can hold types many times over, so that a small BTF describes a tree without end, and each of many
/// relocations can walk it. Real objects need a few hundred for each relocation; the limit is used up in less
/// than a second.
pub(super) struct Work(u32);

impl Default for Work {
    fn default() -> Work {
        Work(1 << 26)
    }
}

impl Work {
    /// What it costs to go from one type to the next.
    pub(super) const TYPE: usize = 16;
    /// What it costs to put a name into a table, or to look for it there.
    pub(super) const NAME: usize = 16;

    /// Takes the cost of a step off what is left.
    pub(super) fn spend(&mut self, cost: usize) -> Result<(), CoreFault> {
        let left = u32::try_from(cost).ok().and_then(|cost| self.0.checked_sub(cost));
        self.0 = left.ok_or(CoreFault::TooMuch)?;
        Ok(())
    }
}
