//! Watching the system calls that are made: all that `rawbpf --explain` is.

use std::sync::atomic::{AtomicBool, Ordering};

use std::sync::{Arc, PoisonError, RwLock};

use super::errno::{Call, Errno};

type Observer = Box<dyn Fn(&Observed) + Send + Sync>;

static OBSERVED: AtomicBool = AtomicBool::new(false);
static OBSERVER: RwLock<Option<Arc<Observer>>> = RwLock::new(None);

/// What a call was given: names and values.
pub(super) type Fields = Vec<(&'static str, String)>;

/// One system call that was made, as an observer sees it: every command of `bpf(2)`, and those calls by which
/// programs are attached without it: perf events and netlink.
#[derive(Debug)]
pub struct Observed {
    /// The call.
    pub call: Call,
    /// The fields that were set, by their UAPI names, as they stood before the call.
    pub fields: Fields,
    /// What the kernel returned: a descriptor, 0, or an error number.
    pub result: Result<i32, Errno>,
    /// The kernel's own words, if it has any: netlink answers with a sentence.
    pub said: String,
}

/// Calls `observer` after every such call of this process; `None` stops it. An observer may make such calls itself,
/// of which it is told too, and may set another observer.
///
/// Costs one relaxed load a call while nothing observes.
pub fn observe(observer: Option<Observer>) {
    OBSERVED.store(observer.is_some(), Ordering::Relaxed);
    let mut slot = OBSERVER.write().unwrap_or_else(PoisonError::into_inner);
    // The one before is dropped after the lock is let go: its drop may do anything.
    let before = std::mem::replace(&mut *slot, observer.map(Arc::new));
    drop(slot);
    drop(before);
}

/// The fields of a call that is about to be made, if somebody observes.
pub(super) fn before(fields: impl FnOnce() -> Fields) -> Option<Fields> {
    OBSERVED.load(Ordering::Relaxed).then(fields)
}

/// Tells of a call that was made; nothing if nobody observed before it.
pub(super) fn after(call: Call, fields: Option<Fields>, result: Result<i32, Errno>, said: &str) {
    let Some(fields) = fields else { return };
    // Called without the lock, so that it may call `observe`.
    let observer = OBSERVER.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(observer) = observer {
        observer(&Observed { call, fields, result, said: said.into() });
    }
}
