//! What an older kernel does not know, taken out before it sees it.
//!
//! A kernel refuses BTF with a single type of a kind that it does not know, and a program with a single
//! call of a helper that it does not have. For the kinds there are older ones that will do
//! ([`btf::sanitize`](crate::btf::sanitize)), for some helpers too.

use crate::btf::{self, Btf, BtfError, BtfKind, FuncLinkage, Kind, Support};
use crate::insn::{Helper, RawInsn};
use crate::kernel::{Feature, Kernel};

/// The object's BTF, as bytes that this kernel accepts. The kernel is asked only about what is in it.
pub(super) fn for_kernel(btf: &Btf, kernel: &Kernel) -> Result<Vec<u8>, BtfError> {
    let mut seen = [false; 32];
    let (mut global, mut qmark) = (false, false);
    for ty in btf.iter().filter_map(Result::ok) {
        if let Some(seen) = seen.get_mut(usize::from(ty.tag().0)) {
            *seen = true;
        }
        global |= matches!(ty.kind, Kind::Func { linkage, .. } if linkage != FuncLinkage::Static);
        qmark |= matches!(ty.kind, Kind::Datasec(_)) && ty.name.as_bytes().starts_with(b"?");
    }
    let has = |kind: BtfKind| seen.get(usize::from(kind.0)).copied().unwrap_or(false);
    let ok = |needed: bool, feature| !needed || kernel.has(feature).allows();
    let support = Support {
        func: ok(has(BtfKind::Func) || has(BtfKind::FuncProto), Feature::BtfFunc),
        datasec: ok(has(BtfKind::Var) || has(BtfKind::Datasec), Feature::BtfDatasec),
        global_func: ok(global, Feature::BtfGlobalFunc),
        float: ok(has(BtfKind::Float), Feature::BtfFloat),
        decl_tag: ok(has(BtfKind::DeclTag), Feature::BtfDeclTag),
        type_tag: ok(has(BtfKind::TypeTag), Feature::BtfTypeTag),
        enum64: ok(has(BtfKind::Enum) || has(BtfKind::Enum64), Feature::BtfEnum64),
        qmark_datasec: ok(qmark, Feature::BtfQmarkDatasec),
        layout: ok(btf.has_layout(), Feature::BtfLayout),
    };
    Ok(btf::sanitize(btf, &support)?.into_owned())
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
