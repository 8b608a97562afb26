//! A bound on how much a hostile object can make a [`Relocator`](super::Relocator) do.

use super::CoreFault;

/// How many types, members and values may still be looked at for one object.
///
/// Types can hold types many times over, so that a small BTF describes a tree without end, and each of many
/// relocations can walk it. The largest real objects need less than a hundredth of the limit, which takes
/// well under a second to use up.
pub(super) struct Work(u32);

impl Default for Work {
    fn default() -> Work {
        Work(1 << 27)
    }
}

impl Work {
    /// Takes the cost of a step off what is left.
    pub(super) fn spend(&mut self, cost: usize) -> Result<(), CoreFault> {
        let left = u32::try_from(cost).ok().and_then(|cost| self.0.checked_sub(cost));
        self.0 = left.ok_or(CoreFault::TooMuch)?;
        Ok(())
    }
}
