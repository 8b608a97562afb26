//! Sets of kernel callbacks that programs implement. Linux 5.6.
//!
//! Such a map has one element: the struct of callbacks, after a head that says how it is doing. The struct's
//! layout is the kernel's own, by its BTF type; here it is bytes.

use super::typed::typed_map;
use super::{MapError, Plain};

typed_map! {
    /// A struct_ops map, as user space may read it.
    #[doc(alias = "BPF_MAP_TYPE_STRUCT_OPS")]
    StructOps<>: [StructOps], key: Exactly(4), value: Any
}

/// How a struct_ops map is doing (`enum bpf_struct_ops_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructOpsState {
    /// Not filled in.
    Init,
    /// The kernel calls it.
    InUse,
    /// On its way out.
    ToBeFree,
    /// Filled in, for a link to put to use. Linux 6.4.
    Ready,
    /// A state that is newer than this crate.
    Other(u32),
}

impl StructOps {
    /// The value as it is: reference count and state (4 bytes each), padding up to the alignment of the struct,
    /// and the struct, in which programs stand as their ids. `None` before it is filled in.
    pub fn value(&self) -> Result<Option<Vec<u8>>, MapError> {
        self.map().get(0u32.bytes()).map_err(MapError::sys(self.map(), "read"))
    }

    /// How it is doing.
    pub fn state(&self) -> Result<StructOpsState, MapError> {
        let state = self.value()?.and_then(|value| u32::read(value.get(4..)?));
        Ok(match state {
            None | Some(0) => StructOpsState::Init,
            Some(1) => StructOpsState::InUse,
            Some(2) => StructOpsState::ToBeFree,
            Some(3) => StructOpsState::Ready,
            Some(n) => StructOpsState::Other(n),
        })
    }
}
