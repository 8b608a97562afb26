//! The least BTF: relocations come to the same with it as with all types of the kernel.

use std::process::Command;
use std::sync::Arc;

use rawbpf::btf::Btf;
use rawbpf::elf::Object;
use rawbpf::loader::{Options, minimal_btf};

use super::{compile, kernel_of, programs};
use crate::gate::{BTF, HOST, require};
use rawbpf::bytes::Endian;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// What stands in all programs after relocation, and what was poisoned.
fn relocated(object: &Object, btf: &Arc<Btf>) -> Vec<(String, String, usize)> {
    let plan = object.plan(&kernel_of(Arc::clone(btf)), &Options::default()).expect("it can be planned");
    let program = |p: &rawbpf::loader::ProgPlan| {
        let insns: String = p.insns.iter().map(|i| format!("{i:?};")).collect();
        (p.name.to_string(), insns, p.poisons.len())
    };
    plan.programs.iter().map(program).collect()
}

const TYPES: &str = r#"
struct list_head { struct list_head *next; };
struct mm_struct { struct { unsigned long start_code, arg_end; }; };
struct task_struct { int pid, tgid; struct task_struct *real_parent; char comm[16]; struct mm_struct *mm;
    struct list_head children; unsigned in_execve:1; int no_such_member; };
struct sk_buff { unsigned len; unsigned char cloned:1, pkt_type:3; unsigned short protocol; };
struct no_such_struct { int a; };
enum pid_type { PIDTYPE_PID, PIDTYPE_SID, PIDTYPE_NONE };
typedef int (*notifier_fn_t)(void *nb, unsigned long action, void *data);
union bpf_attr { struct { u32 map_type; }; };
struct file { struct { int unused; } f_path; u64 f_version; };
struct s { struct task_struct t; struct sk_buff skb; struct no_such_struct n; };
"#;

const EXPRESSIONS: &[&str] = &[
    "BYTE_OFF(((struct task_struct *)p)->pid)",
    "((struct task_struct *)p)->tgid",
    "((struct task_struct *)p)->real_parent->pid",
    "((struct task_struct *)p)->mm->arg_end",
    "((struct task_struct *)p)->comm[3]",
    "ADDRESS(((struct task_struct *)p)->children.next)",
    "EXISTS(((struct task_struct *)p)->no_such_member)",
    "((struct task_struct *)p)->no_such_member",
    "LSHIFT(((struct task_struct *)p)->in_execve)",
    "RSHIFT(((struct sk_buff *)p)->pkt_type)",
    "SIGNED(((struct sk_buff *)p)->len)",
    "BYTE_SZ(((struct sk_buff *)p)->protocol)",
    "EXISTS(((struct no_such_struct *)p)->a)",
    "TYPE_EXISTS(struct no_such_struct)",
    "TYPE_EXISTS(struct task_struct)",
    "TYPE_SIZE(struct sk_buff)",
    "TYPE_SIZE(union bpf_attr)",
    "TYPE_MATCHES(struct list_head)",
    "TYPE_MATCHES(struct sk_buff)",
    "TYPE_EXISTS(notifier_fn_t)",
    "VALUE(enum pid_type, PIDTYPE_SID)",
    "VALUE_EXISTS(enum pid_type, PIDTYPE_NONE)",
    "EXISTS(((struct file *)p)->f_path)",
];

#[test]
fn relocations_come_to_the_same() {
    require!(HOST);
    let kernel = require!(BTF, rawbpf::kernel::read_types(VMLINUX, None));
    let object = programs(TYPES, EXPRESSIONS, Endian::NATIVE);
    let made = minimal_btf(std::slice::from_ref(&object), &kernel).expect("it can be made");
    let small = Arc::new(Btf::parse(made.bytes.clone()).expect("it is BTF"));
    small.check().expect("it is whole");
    assert_eq!(relocated(&object, &small), relocated(&object, &kernel));
    assert_eq!(made.missing.iter().map(String::as_str).collect::<Vec<_>>(), ["no_such_struct"]);
    println!("{} types, {} bytes, for {} relocations", made.types, made.bytes.len(), made.relocations);
    assert!(made.types > 20 && made.bytes.len() < kernel.bytes().len() / 20, "{} bytes", made.bytes.len());
    // To make it of itself leaves it as it is.
    let again = minimal_btf(&[object], &small).expect("it can be made");
    assert_eq!((again.types, again.bytes), (made.types, made.bytes));
}

/// bpftool makes its own; what we relocate against it comes to the same as against ours.
#[test]
fn bpftools_least_types_agree() {
    require!(HOST);
    let kernel = require!(BTF, rawbpf::kernel::read_types(VMLINUX, None));
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    // Without the questions about descriptions, of which bpftool 7.1 keeps too little.
    let some: Vec<&str> = EXPRESSIONS.iter().copied().filter(|e| !e.starts_with("TYPE_MATCHES")).collect();
    let object = programs(TYPES, &some, Endian::NATIVE);
    std::fs::write(path("a.o"), object_bytes(&some)).expect("a file");
    let out = Command::new("bpftool")
        .args(["gen", "min_core_btf", VMLINUX, &path("theirs.btf"), &path("a.o")])
        .output()
        .expect("bpftool is installed: make deps");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let theirs = rawbpf::kernel::read_types(path("theirs.btf"), None).expect("it is BTF");
    assert_eq!(relocated(&object, &theirs), relocated(&object, &kernel));
    let said = crate::net::rawbpf_json(&["gen", "btf", &path("a.o"), "-o", &path("ours.btf")]);
    let ours = rawbpf::kernel::read_types(path("ours.btf"), None).expect("it is BTF");
    assert_eq!(relocated(&object, &ours), relocated(&object, &theirs));
    println!("ours {} bytes, bpftool's {}", ours.bytes().len(), theirs.bytes().len());
    assert_eq!(said["bytes"], ours.bytes().len());
}

fn object_bytes(expressions: &[&str]) -> Vec<u8> {
    let mut source =
        format!("{}{}{TYPES}\n#pragma clang attribute pop\n", super::PRELUDE, super::RELOCATABLE);
    for (i, expression) in expressions.iter().enumerate() {
        source += &format!(
            "__attribute__((section(\"xdp\"), used)) long p{i}(struct s *p, long v) {{ return (long) {expression}; }}\n"
        );
    }
    compile(&source, Endian::NATIVE, "v4")
}
