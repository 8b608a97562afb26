//! Stack traces that programs took with `bpf_get_stackid`. Linux 4.6.
//!
//! The id that the helper returned is the key; the value is up to 127 frames, the innermost first: addresses, or,
//! in a map made with `BPF_F_STACK_BUILD_ID`, places in files. [`crate::symbolize`] turns both into names.

use super::typed::{self, typed_map};
use super::{BuildIdFrame, MapError, Plain};
use crate::sys::map::flags;

typed_map! {
    /// A table of stack traces. A trace that is not deleted takes its place until another one with the same hash
    /// comes.
    #[doc(alias = "BPF_MAP_TYPE_STACK_TRACE")]
    StackTraces<>: [StackTrace], key: Exactly(4), value: Any
}

/// The frames of one trace, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frames {
    /// Addresses, in the kernel or in the process that was running.
    Addresses(Vec<u64>),
    /// Places in files.
    BuildIds(Vec<BuildIdFrame>),
}

impl Frames {
    /// Reads the value of a stack trace map.
    pub fn parse(value: &[u8], build_ids: bool) -> Frames {
        match build_ids {
            false => Frames::Addresses(
                value.chunks_exact(8).filter_map(u64::read).take_while(|a| *a != 0).collect(),
            ),
            true => {
                let frames = value.chunks_exact(size_of::<BuildIdFrame>()).filter_map(BuildIdFrame::read);
                Frames::BuildIds(frames.take_while(|f| f.status != 0).collect())
            }
        }
    }
}

impl StackTraces {
    /// The frames of a trace; `None` if it is not there (any more).
    pub fn get(&self, id: u32) -> Result<Option<Frames>, MapError> {
        let value = self.map().get(id.bytes()).map_err(MapError::sys(self.map(), "read a trace of"))?;
        let build_ids = self.map().info().flags & flags::STACK_BUILD_ID != 0;
        Ok(value.map(|value| Frames::parse(&value, build_ids)))
    }

    /// Removes a trace, so that its place can be used again; false if it was not there.
    pub fn delete(&self, id: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), id.bytes())
    }

    /// The ids of all traces.
    pub fn ids(&self) -> Result<Vec<u32>, MapError> {
        let mut ids: Vec<u32> = Vec::new();
        loop {
            let next = self.map().next_key(ids.last().map(Plain::bytes));
            match next
                .map_err(MapError::sys(self.map(), "list the traces of"))?
                .as_deref()
                .and_then(u32::read)
            {
                // The keys are places in a table, so they go up; what does not has begun anew.
                Some(id) if ids.last().is_none_or(|last| *last < id) => ids.push(id),
                _ => return Ok(ids),
            }
        }
    }
}
