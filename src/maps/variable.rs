//! The global variables of a loaded program: parts of the one value of a data map.
//!
//! Where the map can be mapped (`BPF_F_MMAPABLE`, Linux 5.5) a variable is read and written in place. Elsewhere the
//! whole value is read, changed and written back, so that a change that a program makes in between is lost.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{ElemFlags, Map, MapError, Plain};
use crate::sys::SharedMapping;
use crate::sys::map::flags;
use crate::sys::ring::page_size;

/// A data map whose variables are reached one by one.
#[derive(Debug, Clone)]
pub struct Section {
    map: Map,
    memory: Option<Arc<SharedMapping>>,
}

/// A global variable of a loaded program.
#[derive(Debug, Clone)]
pub struct Variable<V> {
    section: Section,
    offset: usize,
    types: PhantomData<fn() -> V>,
}

impl Section {
    /// Takes a data map, and maps it where that is possible.
    pub fn new(map: &Map) -> Section {
        let bytes = (map.info().value_size as usize).next_multiple_of(page_size());
        let mapped = map.info().flags & flags::MMAPABLE != 0;
        let memory = mapped.then(|| SharedMapping::new(map, 0, bytes, true).ok()).flatten();
        Section { map: map.clone(), memory: memory.map(Arc::new) }
    }

    /// The variable that begins so many bytes from the start of the section.
    ///
    /// # Errors
    /// It would end behind the section.
    pub fn variable<V: Plain>(&self, offset: u32) -> Result<Variable<V>, MapError> {
        let size = self.map.info().value_size as usize;
        let offset = offset as usize;
        match offset.checked_add(size_of::<V>()) {
            Some(end) if end <= size => Ok(Variable { section: self.clone(), offset, types: PhantomData }),
            _ => Err(MapError::argument(
                &self.map,
                format!("a variable of {} bytes at {offset} ends behind its {size} bytes", size_of::<V>()),
            )),
        }
    }
}

impl<V: Plain> Variable<V> {
    /// A copy of its value.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn get(&self) -> Result<V, MapError> {
        let mut value = V::zeroed();
        if self.section.memory.as_ref().is_some_and(|m| m.copy_out(self.offset, value.bytes_mut())) {
            return Ok(value);
        }
        let whole = self.whole()?;
        let missing = || MapError::argument(&self.section.map, "its value is too short");
        whole.get(self.offset..).and_then(V::read).ok_or_else(missing)
    }

    /// Writes its value.
    ///
    /// # Errors
    /// The map cannot be written: `EPERM` if it is frozen.
    pub fn set(&self, value: &V) -> Result<(), MapError> {
        if self.section.memory.as_ref().is_some_and(|m| m.copy_in(self.offset, value.bytes())) {
            return Ok(());
        }
        let mut whole = self.whole()?;
        let end = self.offset.saturating_add(size_of::<V>());
        match whole.get_mut(self.offset..end) {
            Some(place) => place.copy_from_slice(value.bytes()),
            None => return Err(MapError::argument(&self.section.map, "its value is too short")),
        }
        let map = &self.section.map;
        map.set(&0u32.to_ne_bytes(), &whole, ElemFlags::ANY.0)
            .map_err(MapError::sys(map, "write a variable of"))
    }

    fn whole(&self) -> Result<Vec<u8>, MapError> {
        let map = &self.section.map;
        let found = map.get(&0u32.to_ne_bytes()).map_err(MapError::sys(map, "read a variable of"))?;
        Ok(found.unwrap_or_default())
    }
}
