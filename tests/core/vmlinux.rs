//! Against the types of the kernel that is running, with the BTF library's own search for fields as a second
//! opinion.

use std::sync::Arc;

use super::{kernel_of, outcome, programs};
use crate::gate::{BTF, HOST, require};
use rawbpf::btf::{Btf, BtfKind};
use rawbpf::bytes::Endian;

/// Small excerpts of the kernel's structs, as programs that want no vmlinux.h have them.
const OURS: &str = "
struct s { int unused; };
struct list_head { struct list_head *next; };
struct pid_namespace { unsigned int level; };
struct nsproxy { struct pid_namespace *pid_ns_for_children; };
struct task_struct { int pid; struct task_struct *real_parent; int tgid; struct nsproxy *nsproxy; char comm[16];
                     int no_such_member; struct list_head tasks; };
struct sk_buff { unsigned int len; unsigned short protocol; unsigned char *data; unsigned char pkt_type:3; };
struct sock_common { unsigned short skc_family; unsigned int skc_daddr; };
struct sock { struct sock_common __sk_common; int sk_sndbuf; };
struct qstr { const unsigned char *name; };
struct dentry { struct qstr d_name; };
struct path { struct dentry *dentry; };
struct file { struct path f_path; unsigned int f_flags; };
struct bpf_no_such_struct { int x; };
enum bpf_map_type { BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_NO_SUCH };";

fn running() -> Result<Arc<Btf>, String> {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").map_err(|e| e.to_string())?;
    Ok(Arc::new(Btf::parse(bytes).expect("the kernel's BTF parses")))
}

#[test]
fn fields_are_where_the_kernel_has_them() {
    require!(HOST);
    let btf = require!(BTF, running());
    let fields = [
        ("task_struct", "pid"),
        ("task_struct", "tgid"),
        ("task_struct", "real_parent"),
        ("task_struct", "comm"),
        ("task_struct", "comm[3]"),
        ("task_struct", "tasks.next"),
        ("sk_buff", "len"),
        ("sk_buff", "protocol"),
        ("sock", "__sk_common.skc_daddr"),
        ("sock", "__sk_common.skc_family"),
        ("file", "f_path.dentry"),
        ("dentry", "d_name.name"),
    ];
    let expressions: Vec<String> =
        fields.iter().map(|(ty, path)| format!("BYTE_OFF(((struct {ty} *)p)->{path})")).collect();
    let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let object = programs(OURS, &expressions, Endian::Little);
    let kernel = kernel_of(btf.clone());
    for (i, (ty, path)) in fields.iter().enumerate() {
        let root = btf.find(ty, BtfKind::Struct).expect("every kernel has it");
        let want = btf.field(root, path).expect("every kernel has it").bit_offset / 8;
        assert_eq!(outcome(&object, &format!("p{i}"), &kernel), want.to_string(), "{ty}.{path}");
    }
}

#[test]
fn what_the_kernel_lacks_is_poisoned_or_0() {
    require!(HOST);
    let btf = require!(BTF, running());
    let table = [
        ("((struct task_struct *)p)->no_such_member", "poison"),
        ("EXISTS(((struct task_struct *)p)->no_such_member)", "0"),
        ("TYPE_EXISTS(struct bpf_no_such_struct)", "0"),
        ("TYPE_EXISTS(struct task_struct)", "1"),
        ("VALUE_EXISTS(enum bpf_map_type, BPF_MAP_TYPE_NO_SUCH)", "0"),
        ("VALUE(enum bpf_map_type, BPF_MAP_TYPE_NO_SUCH)", "poison"),
    ];
    let expressions: Vec<&str> = table.iter().map(|row| row.0).collect();
    let object = programs(OURS, &expressions, Endian::Little);
    let kernel = kernel_of(btf);
    for (i, (expression, want)) in table.into_iter().enumerate() {
        assert_eq!(outcome(&object, &format!("p{i}"), &kernel), want, "{expression}");
    }
}
