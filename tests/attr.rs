//! Our layout of `bpf_attr` and of the info structs against the running kernel's own types.
//!
//! The kernel's BTF says where each member of `union bpf_attr` is. Ours must agree, member by member.

use std::mem::{offset_of, size_of};

use rawbpf::Kernel;
use rawbpf::btf::BtfKind;
use rawbpf::sys::{attr, info};

use crate::gate::{BTF, require};

/// Checks that the kernel has these members at these byte offsets. A member that the kernel does not know
/// yet (it is older than this crate) is no mistake; the checked ones are counted.
fn agree(kernel: &Kernel, ty: (&str, BtfKind), members: &[(&str, usize)]) -> usize {
    let btf = kernel.btf().expect("the kernel's types");
    let id = btf.find(ty.0, ty.1).unwrap_or_else(|e| panic!("{}: {e}", ty.0));
    let mut checked = 0;
    for (path, ours) in members {
        let Ok(field) = btf.field(id, path) else { continue };
        assert_eq!(field.bit_offset, *ours as u64 * 8, "{}.{path}", ty.0);
        checked += 1;
    }
    checked
}

macro_rules! offsets {
    ($ty:ty: $($kernel:literal = $field:ident),* $(,)?) => { &[$(($kernel, offset_of!($ty, $field))),*] };
}

#[test]
fn the_attributes_of_every_command() {
    let kernel = Kernel::host();
    require!(BTF, kernel.btf());
    let union = ("bpf_attr", BtfKind::Union);
    let tables: &[(&str, &[(&str, usize)])] = &[
        (
            "MapCreate",
            offsets!(attr::MapCreate:
            "map_type" = map_type, "key_size" = key_size, "value_size" = value_size, "max_entries" = max_entries,
            "map_flags" = map_flags, "inner_map_fd" = inner_map_fd, "numa_node" = numa_node, "map_name" = map_name,
            "map_ifindex" = map_ifindex, "btf_fd" = btf_fd, "btf_key_type_id" = btf_key_type_id,
            "btf_value_type_id" = btf_value_type_id, "btf_vmlinux_value_type_id" = btf_vmlinux_value_type_id,
            "map_extra" = map_extra, "value_type_btf_obj_fd" = value_type_btf_obj_fd,
            "map_token_fd" = map_token_fd, "excl_prog_hash" = excl_prog_hash,
            "excl_prog_hash_size" = excl_prog_hash_size),
        ),
        (
            "ProgLoad",
            offsets!(attr::ProgLoad:
            "prog_type" = prog_type, "insn_cnt" = insn_cnt, "insns" = insns, "license" = license,
            "log_level" = log_level, "log_size" = log_size, "log_buf" = log_buf, "kern_version" = kern_version,
            "prog_flags" = prog_flags, "prog_name" = prog_name, "prog_ifindex" = prog_ifindex,
            "expected_attach_type" = expected_attach_type, "prog_btf_fd" = prog_btf_fd,
            "func_info_rec_size" = func_info_rec_size, "func_info" = func_info, "func_info_cnt" = func_info_cnt,
            "line_info_rec_size" = line_info_rec_size, "line_info" = line_info, "line_info_cnt" = line_info_cnt,
            "attach_btf_id" = attach_btf_id, "attach_prog_fd" = attach_prog_fd, "core_relo_cnt" = core_relo_cnt,
            "fd_array" = fd_array, "core_relos" = core_relos, "core_relo_rec_size" = core_relo_rec_size,
            "log_true_size" = log_true_size, "prog_token_fd" = prog_token_fd, "fd_array_cnt" = fd_array_cnt,
            "signature" = signature, "signature_size" = signature_size, "keyring_id" = keyring_id),
        ),
        (
            "BtfLoad",
            offsets!(attr::BtfLoad:
            "btf" = btf, "btf_log_buf" = btf_log_buf, "btf_size" = btf_size, "btf_log_size" = btf_log_size,
            "btf_log_level" = btf_log_level, "btf_log_true_size" = btf_log_true_size, "btf_flags" = btf_flags,
            "btf_token_fd" = btf_token_fd),
        ),
        (
            "MapElem",
            offsets!(attr::MapElem: "map_fd" = map_fd, "key" = key, "value" = value, "flags" = flags),
        ),
        (
            "MapBatch",
            offsets!(attr::MapBatch:
            "batch.in_batch" = in_batch, "batch.out_batch" = out_batch, "batch.keys" = keys, "batch.values" = values,
            "batch.count" = count, "batch.map_fd" = map_fd, "batch.elem_flags" = elem_flags, "batch.flags" = flags),
        ),
        (
            "ObjPin",
            offsets!(attr::ObjPin:
            "pathname" = pathname, "bpf_fd" = bpf_fd, "file_flags" = file_flags, "path_fd" = path_fd),
        ),
        (
            "ProgAttach",
            offsets!(attr::ProgAttach:
            "target_fd" = target_fd, "attach_bpf_fd" = attach_bpf_fd, "attach_type" = attach_type,
            "attach_flags" = attach_flags, "replace_bpf_fd" = replace_bpf_fd, "relative_fd" = relative_fd,
            "expected_revision" = expected_revision),
        ),
        (
            "ProgQuery",
            offsets!(attr::ProgQuery:
            "query.target_fd" = target_fd, "query.attach_type" = attach_type, "query.query_flags" = query_flags,
            "query.attach_flags" = attach_flags, "query.prog_ids" = prog_ids, "query.count" = count,
            "query.prog_attach_flags" = prog_attach_flags, "query.link_ids" = link_ids,
            "query.link_attach_flags" = link_attach_flags, "query.revision" = revision),
        ),
        (
            "ProgTestRun",
            offsets!(attr::ProgTestRun:
            "test.prog_fd" = prog_fd, "test.retval" = retval, "test.data_size_in" = data_size_in,
            "test.data_size_out" = data_size_out, "test.data_in" = data_in, "test.data_out" = data_out,
            "test.repeat" = repeat, "test.duration" = duration, "test.ctx_size_in" = ctx_size_in,
            "test.ctx_size_out" = ctx_size_out, "test.ctx_in" = ctx_in, "test.ctx_out" = ctx_out,
            "test.flags" = flags, "test.cpu" = cpu, "test.batch_size" = batch_size),
        ),
        (
            "ById",
            offsets!(attr::ById:
            "start_id" = id, "next_id" = next_id, "open_flags" = open_flags, "fd_by_id_token_fd" = fd_by_id_token_fd),
        ),
        (
            "ObjInfo",
            offsets!(attr::ObjInfo: "info.bpf_fd" = bpf_fd, "info.info_len" = info_len, "info.info" = info),
        ),
        (
            "RawTracepointOpen",
            offsets!(attr::RawTracepointOpen:
            "raw_tracepoint.name" = name, "raw_tracepoint.prog_fd" = prog_fd, "raw_tracepoint.cookie" = cookie),
        ),
        (
            "LinkCreate",
            offsets!(attr::RawLinkCreate:
            "link_create.prog_fd" = prog_fd, "link_create.target_fd" = target_fd,
            "link_create.attach_type" = attach_type, "link_create.flags" = flags,
            "link_create.iter_info" = extra),
        ),
        (
            "LinkUpdate",
            offsets!(attr::LinkUpdate:
            "link_update.link_fd" = link_fd, "link_update.new_prog_fd" = new_prog_fd, "link_update.flags" = flags,
            "link_update.old_prog_fd" = old_prog_fd),
        ),
        ("LinkDetach", offsets!(attr::LinkDetach: "link_detach.link_fd" = link_fd)),
        ("EnableStats", offsets!(attr::EnableStats: "enable_stats.type" = kind)),
        (
            "IterCreate",
            offsets!(attr::IterCreate: "iter_create.link_fd" = link_fd, "iter_create.flags" = flags),
        ),
        (
            "ProgBindMap",
            offsets!(attr::ProgBindMap:
            "prog_bind_map.prog_fd" = prog_fd, "prog_bind_map.map_fd" = map_fd, "prog_bind_map.flags" = flags),
        ),
        (
            "TokenCreate",
            offsets!(attr::TokenCreate: "token_create.flags" = flags, "token_create.bpffs_fd" = bpffs_fd),
        ),
        (
            "ProgStreamRead",
            offsets!(attr::ProgStreamRead:
            "prog_stream_read.stream_buf" = stream_buf, "prog_stream_read.stream_buf_len" = stream_buf_len,
            "prog_stream_read.stream_id" = stream_id, "prog_stream_read.prog_fd" = prog_fd),
        ),
        (
            "ProgAssocStructOps",
            offsets!(attr::ProgAssocStructOps:
            "prog_assoc_struct_ops.map_fd" = map_fd, "prog_assoc_struct_ops.prog_fd" = prog_fd,
            "prog_assoc_struct_ops.flags" = flags),
        ),
        (
            "TaskFdQuery",
            offsets!(attr::TaskFdQuery:
            "task_fd_query.pid" = pid, "task_fd_query.fd" = fd, "task_fd_query.flags" = flags,
            "task_fd_query.buf_len" = buf_len, "task_fd_query.buf" = buf, "task_fd_query.prog_id" = prog_id,
            "task_fd_query.fd_type" = fd_type, "task_fd_query.probe_offset" = probe_offset,
            "task_fd_query.probe_addr" = probe_addr),
        ),
    ];
    let mut checked = 0;
    for (name, members) in tables {
        let found = agree(&kernel, union, members);
        assert!(
            found > 0
                || ["ProgStreamRead", "ProgAssocStructOps", "TokenCreate", "ProgBindMap"].contains(name),
            "{name}"
        );
        checked += found;
    }
    // 5.10 knows 90 of them.
    assert!(checked >= 85, "only {checked} members were compared");
}

#[test]
fn the_union_of_link_create() {
    let kernel = Kernel::host();
    require!(BTF, kernel.btf());
    let at = offset_of!(attr::RawLinkCreate, extra);
    let members = [
        ("link_create.target_btf_id", at),
        ("link_create.iter_info", at),
        ("link_create.iter_info_len", at + 8),
        ("link_create.perf_event.bpf_cookie", at),
        ("link_create.kprobe_multi.flags", at),
        ("link_create.kprobe_multi.cnt", at + 4),
        ("link_create.kprobe_multi.syms", at + 8),
        ("link_create.kprobe_multi.addrs", at + 16),
        ("link_create.kprobe_multi.cookies", at + 24),
        ("link_create.tracing.cookie", at + 8),
        ("link_create.netfilter.pf", at),
        ("link_create.netfilter.hooknum", at + 4),
        ("link_create.netfilter.priority", at + 8),
        ("link_create.netfilter.flags", at + 12),
        ("link_create.tcx.relative_fd", at),
        ("link_create.tcx.expected_revision", at + 8),
        ("link_create.uprobe_multi.path", at),
        ("link_create.uprobe_multi.offsets", at + 8),
        ("link_create.uprobe_multi.ref_ctr_offsets", at + 16),
        ("link_create.uprobe_multi.cookies", at + 24),
        ("link_create.uprobe_multi.cnt", at + 32),
        ("link_create.uprobe_multi.flags", at + 36),
        ("link_create.uprobe_multi.pid", at + 40),
        ("link_create.tracing_multi.ids", at),
        ("link_create.tracing_multi.cookies", at + 8),
        ("link_create.tracing_multi.cnt", at + 16),
    ];
    assert!(agree(&kernel, ("bpf_attr", BtfKind::Union), &members) >= 3);
    assert_eq!(size_of::<attr::RawLinkCreate>(), at + 48);
}

#[test]
fn the_infos() {
    let kernel = Kernel::host();
    require!(BTF, kernel.btf());
    let prog = offsets!(info::RawProgInfo:
        "type" = prog_type, "id" = id, "tag" = tag, "jited_prog_len" = jited_prog_len,
        "xlated_prog_len" = xlated_prog_len, "jited_prog_insns" = jited_prog_insns,
        "xlated_prog_insns" = xlated_prog_insns, "load_time" = load_time, "created_by_uid" = created_by_uid,
        "nr_map_ids" = nr_map_ids, "map_ids" = map_ids, "name" = name, "ifindex" = ifindex, "netns_dev" = netns_dev,
        "netns_ino" = netns_ino, "nr_jited_ksyms" = nr_jited_ksyms, "nr_jited_func_lens" = nr_jited_func_lens,
        "jited_ksyms" = jited_ksyms, "jited_func_lens" = jited_func_lens, "btf_id" = btf_id,
        "func_info_rec_size" = func_info_rec_size, "func_info" = func_info, "nr_func_info" = nr_func_info,
        "nr_line_info" = nr_line_info, "line_info" = line_info, "jited_line_info" = jited_line_info,
        "nr_jited_line_info" = nr_jited_line_info, "line_info_rec_size" = line_info_rec_size,
        "jited_line_info_rec_size" = jited_line_info_rec_size, "nr_prog_tags" = nr_prog_tags,
        "prog_tags" = prog_tags, "run_time_ns" = run_time_ns, "run_cnt" = run_cnt,
        "recursion_misses" = recursion_misses, "verified_insns" = verified_insns,
        "attach_btf_obj_id" = attach_btf_obj_id, "attach_btf_id" = attach_btf_id);
    assert!(agree(&kernel, ("bpf_prog_info", BtfKind::Struct), prog) >= 33);
    let map = offsets!(info::RawMapInfo:
        "type" = map_type, "id" = id, "key_size" = key_size, "value_size" = value_size, "max_entries" = max_entries,
        "map_flags" = map_flags, "name" = name, "ifindex" = ifindex,
        "btf_vmlinux_value_type_id" = btf_vmlinux_value_type_id, "netns_dev" = netns_dev, "netns_ino" = netns_ino,
        "btf_id" = btf_id, "btf_key_type_id" = btf_key_type_id, "btf_value_type_id" = btf_value_type_id,
        "btf_vmlinux_id" = btf_vmlinux_id, "map_extra" = map_extra, "hash" = hash, "hash_size" = hash_size);
    assert!(agree(&kernel, ("bpf_map_info", BtfKind::Struct), map) >= 14);
    let btf = offsets!(info::RawBtfInfo: "btf" = btf, "btf_size" = btf_size, "id" = id, "name" = name,
        "name_len" = name_len, "kernel_btf" = kernel_btf);
    assert!(agree(&kernel, ("bpf_btf_info", BtfKind::Struct), btf) >= 3);
    let at = offset_of!(info::RawLinkInfo, extra);
    let link = [
        ("type", 0),
        ("id", 4),
        ("prog_id", 8),
        ("raw_tracepoint.tp_name", at),
        ("raw_tracepoint.tp_name_len", at + 8),
        ("tracing.attach_type", at),
        ("tracing.target_obj_id", at + 4),
        ("tracing.target_btf_id", at + 8),
        ("cgroup.cgroup_id", at),
        ("cgroup.attach_type", at + 8),
        ("iter.target_name", at),
        ("iter.target_name_len", at + 8),
        ("netns.netns_ino", at),
        ("netns.attach_type", at + 4),
        ("xdp.ifindex", at),
        ("struct_ops.map_id", at),
        ("netfilter.priority", at + 8),
        ("tcx.ifindex", at),
        ("tcx.attach_type", at + 4),
    ];
    assert!(agree(&kernel, ("bpf_link_info", BtfKind::Struct), &link) >= 9);
}

/// The numbers that the kernel has names for are the numbers that we have names for.
#[test]
fn the_enumerations() {
    use rawbpf::uapi::{AttachType, Cmd, LinkType, MapType, ProgType};
    let kernel = Kernel::host();
    require!(BTF, kernel.btf());
    let btf = kernel.btf().expect("the kernel's types");
    let mut ours: Vec<(&str, &str, u32)> = Vec::new();
    ours.extend(Cmd::ALL.iter().map(|v| ("bpf_cmd", v.uapi().unwrap_or(""), v.0)));
    ours.extend(MapType::ALL.iter().map(|v| ("bpf_map_type", v.uapi().unwrap_or(""), v.0)));
    ours.extend(ProgType::ALL.iter().map(|v| ("bpf_prog_type", v.uapi().unwrap_or(""), v.0)));
    ours.extend(AttachType::ALL.iter().map(|v| ("bpf_attach_type", v.uapi().unwrap_or(""), v.0)));
    ours.extend(LinkType::ALL.iter().map(|v| ("bpf_link_type", v.uapi().unwrap_or(""), v.0)));
    let mut compared = 0;
    for (list, name, number) in ours {
        let Ok(id) = btf.find(list, BtfKind::Enum) else { continue };
        let values = btf.ty(id).ok().and_then(|t| t.enumerators()).expect("an enumeration");
        if let Some(theirs) = values.iter().find(|v| v.name == name) {
            assert_eq!(theirs.value, i128::from(number), "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 120, "only {compared} names were compared");
}
