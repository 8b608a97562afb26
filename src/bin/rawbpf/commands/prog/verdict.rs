//! What a return value means, by the type of the program.

use rawbpf::uapi::ProgType;

const XDP: &[(i32, &str)] =
    &[(0, "XDP_ABORTED"), (1, "XDP_DROP"), (2, "XDP_PASS"), (3, "XDP_TX"), (4, "XDP_REDIRECT")];
const TC: &[(i32, &str)] = &[
    (-1, "TC_ACT_UNSPEC"),
    (0, "TC_ACT_OK"),
    (1, "TC_ACT_RECLASSIFY"),
    (2, "TC_ACT_SHOT"),
    (3, "TC_ACT_PIPE"),
    (4, "TC_ACT_STOLEN"),
    (5, "TC_ACT_QUEUED"),
    (6, "TC_ACT_REPEAT"),
    (7, "TC_ACT_REDIRECT"),
    (8, "TC_ACT_TRAP"),
];
const LWT: &[(i32, &str)] = &[(0, "BPF_OK"), (2, "BPF_DROP"), (7, "BPF_REDIRECT"), (128, "BPF_LWT_REROUTE")];
const SK: &[(i32, &str)] = &[(0, "SK_DROP"), (1, "SK_PASS")];
const NETFILTER: &[(i32, &str)] = &[(0, "NF_DROP"), (1, "NF_ACCEPT")];
const DISSECTOR: &[(i32, &str)] = &[(0, "BPF_OK"), (2, "BPF_DROP"), (129, "BPF_FLOW_DISSECTOR_CONTINUE")];
const CGROUP: &[(i32, &str)] =
    &[(0, "refused"), (1, "allowed"), (2, "refused, congested"), (3, "allowed, congested")];

/// The name of a return value; `None` where it is just a number.
pub(super) fn name(prog_type: ProgType, value: u32) -> Option<&'static str> {
    let names = match prog_type {
        ProgType::Xdp => XDP,
        ProgType::SchedCls | ProgType::SchedAct => TC,
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => LWT,
        ProgType::SkSkb | ProgType::SkMsg | ProgType::SkLookup | ProgType::SkReuseport => SK,
        ProgType::Netfilter => NETFILTER,
        ProgType::FlowDissector => DISSECTOR,
        ProgType::CgroupSkb => CGROUP,
        _ => return None,
    };
    names.iter().find(|(n, _)| *n == value as i32).map(|(_, name)| *name)
}
