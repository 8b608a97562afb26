//! How long questions to the running kernel's BTF take: `cargo bench --bench btf`.
//!
//! Each line gives the first run, which is what a program that asks once pays, and the best of many.

use rawbpf::btf::{Btf, BtfKind, CDump, FindScope, KindSet, TypeQuery, decode, dump_c};
use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};
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
    let path = std::env::var("RAWBPF_TEST_BTF").unwrap_or_else(|_| "/sys/kernel/btf/vmlinux".into());
    let Ok(bytes) = std::fs::read(&path) else {
        println!("SKIP: there is no {path}");
        return;
    };
    let bytes = Arc::new(bytes);
    let composite = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);
    let start = Instant::now();
    let btf = Btf::parse(Arc::clone(&bytes)).expect("the kernel's BTF parses");
    let task = btf.find("task_struct", composite).expect("every kernel has it");
    println!("{:<44} first {:>11} ns", "open, and find one struct", start.elapsed().as_nanos());
    println!("{:<44} {:>17} types, {} bytes", "", btf.type_count(), btf.bytes().len());
    time("open: the index of all types", 30, || Btf::parse(Arc::clone(&bytes)));
    time("find one struct", 30, || btf.find("task_struct", composite));
    time("find one function", 30, || btf.find("tcp_connect", BtfKind::Func));
    time("find one name of any kind", 30, || btf.find("tcp_sock", KindSet::ANY));
    time("find one struct, after some searches", 30, || btf.find("task_struct", composite));
    let wanted = NAMES.map(|n| TypeQuery::essential(n, composite));
    time("find the CO-RE candidates of 20 structs", 30, || btf.find_many(FindScope::All, &wanted));
    time("read and check every type", 10, || btf.check());
    time("find a member: task_struct, thread_info.flags", 1000, || btf.field(task, "thread_info.flags"));
    let size = btf.size_of(task).expect("it has a size") as usize;
    let zeros = vec![0; size];
    time("decode a task_struct", 100, || decode(&btf, task, &zeros));
    let value = decode(&btf, task, &zeros).expect("the bytes are all there");
    time("show it", 100, || value.to_string());
    time("write vmlinux.h", 10, || dump_c(&btf, &CDump::vmlinux_h()));
    against_bpftool(&path);
}

/// The same work by whole processes: read the file, write the header.
fn against_bpftool(path: &str) {
    let bpftool = || Command::new("bpftool").args(["btf", "dump", "file", path, "format", "c"]).output();
    if bpftool().is_err() {
        println!("SKIP: bpftool is not installed");
        return;
    }
    let theirs = time("bpftool btf dump ... format c, the process", 10, bpftool);
    let ours = time("the same here: read, parse, write", 10, || {
        let btf = Btf::parse(std::fs::read(path).ok()?).ok()?;
        let out = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut out = out.ok()?;
        out.stdin.take()?.write_all(dump_c(&btf, &CDump::vmlinux_h()).ok()?.as_bytes()).ok()?;
        out.wait().ok()
    });
    println!("{:<44} {:>17.1} times as fast as bpftool", "", theirs as f64 / ours as f64);
}
