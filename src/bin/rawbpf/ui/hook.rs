//! A hook as JSON: the kernel's own fields, by the names that bpftool gives them where it shows them.

use rawbpf::links::{Attachment, Hook, IterOver, PerfHook};
use rawbpf::sys::LinkTargets;
use serde_json::{Value, json};

/// The fields of an attachment's hook.
pub(crate) fn json(a: &Attachment) -> Value {
    let mut value = of(&a.hook);
    if let (Value::Object(fields), Some(path), Some(share)) = (&mut value, &a.cgroup, a.share) {
        fields.insert("path".into(), json!(path));
        fields.insert("share".into(), json!(share.to_string()));
    }
    value
}

/// The fields of a hook.
pub(crate) fn of(hook: &Hook) -> Value {
    match hook {
        Hook::Xdp { ifindex } => json!({ "ifindex": ifindex }),
        Hook::Tcx { ifindex, attach_type } | Hook::Netkit { ifindex, attach_type } => {
            json!({ "ifindex": ifindex, "attach_type": attach_type.to_string() })
        }
        Hook::Cgroup { cgroup_id, attach_type } => {
            json!({ "cgroup_id": cgroup_id, "attach_type": attach_type.to_string() })
        }
        Hook::Netns { inode, attach_type } => {
            json!({ "netns_ino": inode, "attach_type": attach_type.to_string() })
        }
        Hook::Sockmap { map_id, attach_type } => {
            json!({ "map_id": map_id, "attach_type": attach_type.to_string() })
        }
        Hook::Netfilter { pf, hook, priority, flags } => {
            json!({ "pf": pf, "hook": hook, "prio": priority, "flags": flags })
        }
        Hook::Tracing { attach_type, target_obj_id, target_btf_id, cookie } => json!({
            "attach_type": attach_type.to_string(), "target_obj_id": target_obj_id,
            "target_btf_id": target_btf_id, "cookie": cookie,
        }),
        Hook::TracingMulti { attach_type, target_obj_id, targets } => json!({
            "attach_type": attach_type.to_string(), "target_obj_id": target_obj_id,
            "func_cnt": targets.places.len(), "funcs": list(targets, "target_btf_id"),
        }),
        Hook::RawTracepoint { name, cookie } => json!({ "tp_name": name, "cookie": cookie }),
        Hook::Iter { name, over } => match over {
            IterOver::All => json!({ "target_name": name }),
            IterOver::Map(id) => json!({ "target_name": name, "map_id": id }),
            IterOver::Cgroup { id, order } => {
                json!({ "target_name": name, "cgroup_id": id, "order": order })
            }
            IterOver::Task { tid, pid } => json!({ "target_name": name, "tid": tid, "pid": pid }),
        },
        Hook::PerfEvent(event) => perf(event),
        Hook::KprobeMulti { is_return, count, missed, targets } => json!({
            "retprobe": is_return, "func_cnt": count, "missed": missed, "funcs": list(targets, "addr"),
        }),
        Hook::UprobeMulti { is_return, path, pid, count, targets } => json!({
            "retprobe": is_return, "path": path, "func_cnt": count, "pid": pid,
            "funcs": list(targets, "offset"),
        }),
        Hook::StructOps { map_id } => json!({ "map_id": map_id }),
        Hook::Filter { ifindex, parent, priority, handle, direct_action } => json!({
            "ifindex": ifindex, "parent": parent, "priority": priority, "handle": handle,
            "direct_action": direct_action,
        }),
        Hook::Route { destination } => json!({ "destination": destination }),
        _ => json!({}),
    }
}

fn perf(event: &PerfHook) -> Value {
    match event {
        PerfHook::Kprobe { is_return, function, offset, address, missed, cookie } => json!({
            "event": "kprobe", "retprobe": is_return, "func": function, "offset": offset, "addr": address,
            "missed": missed, "cookie": cookie,
        }),
        PerfHook::Uprobe { is_return, path, offset, cookie, ref_ctr_offset } => json!({
            "event": "uprobe", "retprobe": is_return, "file": path, "offset": offset, "cookie": cookie,
            "ref_ctr_offset": ref_ctr_offset,
        }),
        PerfHook::Tracepoint { name, cookie } => {
            json!({ "event": "tracepoint", "tracepoint": name, "cookie": cookie })
        }
        PerfHook::Event { kind, config, cookie } => {
            json!({ "event": "event", "event_type": kind, "event_config": config, "cookie": cookie })
        }
        PerfHook::Unknown => json!({ "event": null }),
    }
}

/// The targets one by one.
fn list(targets: &LinkTargets, place: &str) -> Value {
    let at = |list: &[u64], n: usize| list.get(n).copied();
    let one = |(n, value): (usize, &u64)| {
        let mut fields = serde_json::Map::new();
        fields.insert(place.into(), json!(value));
        let more = [("ref_ctr_offset", at(&targets.ref_ctr_offsets, n)), ("cookie", at(&targets.cookies, n))];
        for (name, value) in more {
            if let Some(value) = value {
                fields.insert(name.into(), json!(value));
            }
        }
        Value::Object(fields)
    };
    Value::Array(targets.places.iter().enumerate().map(one).collect())
}
