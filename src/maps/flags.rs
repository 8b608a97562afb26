//! How an element is to be read or written.

use std::fmt;
use std::ops::BitOr;

/// `BPF_ANY` and its kin: the flags of one access. They can be joined with `|`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ElemFlags(pub u64);

impl ElemFlags {
    /// Create or replace.
    #[doc(alias = "BPF_ANY")]
    pub const ANY: ElemFlags = ElemFlags(0);
    /// Create only: `EEXIST` if the element is there.
    #[doc(alias = "BPF_NOEXIST")]
    pub const NOEXIST: ElemFlags = ElemFlags(1);
    /// Replace only: `ENOENT` if the element is not there. For queues and stacks: drop the oldest if full.
    #[doc(alias = "BPF_EXIST")]
    pub const EXIST: ElemFlags = ElemFlags(2);
    /// Hold the value's `struct bpf_spin_lock` meanwhile, so that no half-written value is seen. The map needs
    /// BTF that says where the lock is. Linux 5.1.
    #[doc(alias = "BPF_F_LOCK")]
    pub const LOCK: ElemFlags = ElemFlags(4);
    /// Write one value to every CPU's slot. Linux 7.0.
    #[doc(alias = "BPF_F_ALL_CPUS")]
    pub const ALL_CPUS: ElemFlags = ElemFlags(16);

    /// Read or write the slot of this CPU only. Linux 7.0.
    #[doc(alias = "BPF_F_CPU")]
    pub const fn cpu(cpu: u32) -> ElemFlags {
        ElemFlags((cpu as u64) << 32 | 8)
    }

    /// True if the access is to the value of one CPU.
    pub const fn is_one_slot(self) -> bool {
        self.0 & (8 | 16) != 0
    }
}

impl BitOr for ElemFlags {
    type Output = ElemFlags;
    fn bitor(self, other: ElemFlags) -> ElemFlags {
        ElemFlags(self.0 | other.0)
    }
}

impl From<ElemFlags> for u64 {
    fn from(flags: ElemFlags) -> u64 {
        flags.0
    }
}

impl fmt::Debug for ElemFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(1, "NOEXIST"), (2, "EXIST"), (4, "LOCK"), (8, "CPU"), (16, "ALL_CPUS")];
        let set: Vec<&str> =
            names.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| *name).collect();
        f.write_str(if set.is_empty() { "ANY" } else { "" })?;
        f.write_str(&set.join("|"))
    }
}
