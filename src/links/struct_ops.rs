//! struct_ops: a table of programs that takes the place of a kernel's table of functions: a congestion
//! control, a scheduler, a queueing discipline.
//!
//! What is attached is not a program but the map that holds the table. Its value is the kernel's own struct,
//! with the descriptors of programs where the functions are.
//!
//! ```text
//!   .struct_ops         writing the element registers the table; deleting it takes it away
//!   .struct_ops.link    writing only fills the map; a link registers it, and can be given another map. Linux 6.4.
//! ```

use std::os::fd::{AsFd, OwnedFd};

use super::hook_kind::Needs;
use super::{Link, Undo};
use crate::maps::Map;
use crate::sys::attr::{Fd, LinkCreate};
use crate::sys::map::{MapFd, flags};
use crate::sys::{self, Errno, SysError};
use crate::uapi::AttachType;

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: Needs = &[("struct_ops", "its struct_ops map is what is attached")];

/// The only element.
const KEY: [u8; 4] = [0; 4];

/// Registers the table that a struct_ops map holds, whose value shall be `value`, the kernel's struct. Linux 5.6.
///
/// Without a link (`BPF_F_LINK` is not among the map's flags) the table stays registered until the
/// [`Link`] is dropped or detached; such an attachment cannot be pinned, but the map can.
///
/// # Errors
/// `EINVAL` if the kernel's own check of the table refuses it, `EEXIST` if one of that name is registered.
pub fn register(map: &Map, value: &[u8]) -> Result<Link, SysError> {
    let by_link = map.info().flags & flags::LINK != 0;
    match map.set(&KEY, value, 0) {
        // The map was filled before: only a link can be made of it again.
        Err(e) if by_link && e.errno == Errno::EBUSY => {}
        other => other?,
    }
    if by_link {
        let fd = sys::link_create(&LinkCreate {
            prog_fd: Fd::of(map),
            attach_type: AttachType::StructOps,
            ..Default::default()
        })?;
        return Ok(Link::new(fd));
    }
    let own = map.as_fd().try_clone_to_owned().map_err(|e| SysError::other("dup", e))?;
    Ok(Link::undone_by(Registered { map: Some(own) }))
}

/// Takes away a table that was registered without a link, whoever did it. The map can be filled again. Linux 5.6.
///
/// # Errors
/// `EOPNOTSUPP` for a map that is registered by a link.
pub fn unregister(map: &Map) -> Result<(), SysError> {
    map.delete(&KEY).map(drop)
}

impl Link {
    /// Puts another struct_ops map behind the link, in one step. Linux 6.4.
    #[doc(alias = "bpf_link__update_map")]
    pub fn update_map(&self, map: &Map, value: &[u8]) -> Result<(), SysError> {
        match map.set(&KEY, value, 0) {
            Err(e) if e.errno == Errno::EBUSY => {}
            other => other?,
        }
        sys::link_update(self.object()?, map, None)
    }
}

/// A table that was registered by writing it.
#[derive(Debug)]
struct Registered {
    map: Option<OwnedFd>,
}

impl Undo for Registered {
    fn undo(&mut self) -> Result<(), SysError> {
        let Some(map) = self.map.take() else { return Ok(()) };
        MapFd::new(map)?.0.delete(&KEY).map(drop)
    }
}
