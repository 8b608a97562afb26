//! How long questions to the running kernel's BTF take: `cargo bench --bench btf`.
//!
//! Each line gives the first run, which is what a program that asks once pays, and the best of many.

use rawbpf::btf::{Btf, BtfKind, KindSet, Scope, Wanted};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

fn time<T>(what: &str, runs: usize, mut f: impl FnMut() -> T) -> u128 {
    let mut first = None;
    let mut best = u128::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        black_box(f());
        let ns = start.elapsed().as_nanos();
        first.get_or_insert(ns);
        best = best.min(ns);
    }
    println!("{what:<44} first {:>11} ns  best {best:>11} ns", first.unwrap_or(0));
    best
}

const NAMES: [&str; 20] = [
    "task_struct",
    "sk_buff",
    "file",
    "inode",
    "dentry",
    "sock",
    "net_device",
    "cred",
    "mm_struct",
    "pid",
    "nsproxy",
    "path",
    "vm_area_struct",
    "bpf_map",
    "bpf_prog",
    "request",
    "cgroup",
    "css_set",
    "linux_binprm",
    "tcp_sock",
];

fn main() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        println!("SKIP: this kernel has no /sys/kernel/btf/vmlinux");
        return;
    };
    let bytes = Arc::new(bytes);
    let composite = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);
    let start = Instant::now();
    let btf = Btf::parse(Arc::clone(&bytes)).expect("the kernel's BTF parses");
    let found = btf.find("task_struct", composite).expect("every kernel has it");
    println!("{:<44} first {:>11} ns", "open, and find one struct", start.elapsed().as_nanos());
    black_box(found);
    time("open: the index of all types", 30, || Btf::parse(Arc::clone(&bytes)));
    time("find one struct", 30, || btf.find("task_struct", composite));
    time("find one function", 30, || btf.find("tcp_connect", BtfKind::Func));
    time("find one name of any kind", 30, || btf.find("tcp_sock", KindSet::ANY));
    let wanted = NAMES.map(|n| Wanted::essential(n, composite));
    time("find the CO-RE candidates of 20 structs", 30, || btf.find_many(Scope::All, &wanted));
    time("read and check every type", 10, || btf.check());
    time("a field: task_struct, signal and more", 1000, || btf.field(found, "thread_info.flags"));
}
