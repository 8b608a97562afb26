//! How long attaching takes where there is much to look through: `cargo bench --bench attach`, as root.
//!
//! * a uprobe by symbol in an executable of 100 MB with 1.4 million symbols, the last of which is meant;
//! * kprobe.multi by a pattern that some 5,000 functions match, on kernels that have it.
//!
//! `tests/oracle/bench` measures the same beside libbpf, in a guest.

mod executable;

use std::time::{Duration, Instant};

use rawbpf::links::{self, Uprobe};
use rawbpf::{Kernel, Loaded, Object, Options, Target};

fn load(name: &str, program: &str) -> Result<Loaded, Box<dyn std::error::Error>> {
    let object = Object::open(format!("{}/bpf/{name}.o", env!("CARGO_MANIFEST_DIR")))?;
    let options = Options { only: vec![program.into()], ..Options::default() };
    Ok(object.plan(&Kernel::host(), &options)?.run()?)
}

/// Attaches and detaches some times; the shortest time that attaching took.
fn best(
    kernel: &Kernel,
    loaded: &Loaded,
    program: &str,
    target: &Target,
) -> Result<Duration, links::AttachError> {
    let program = loaded.program(program).expect("it was loaded");
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let link = links::attach_on(kernel, program, target)?;
        best = best.min(start.elapsed());
        drop(link);
    }
    Ok(best)
}

fn uprobe(kernel: &Kernel) -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("rawbpf-bench-{}", std::process::id()));
    let size = executable::write(&path, executable::COUNT)?;
    let symbol = executable::name(executable::COUNT - 1);
    let target = Target::Uprobe(Uprobe::entry(&path.display().to_string(), &symbol));
    let result =
        load("uprobe", "anywhere").and_then(|loaded| Ok(best(kernel, &loaded, "anywhere", &target)?));
    if std::env::var_os("RAWBPF_BENCH_KEEP").is_none() {
        std::fs::remove_file(&path)?;
    }
    println!("uprobe by symbol in {} MB: {:?}", size / 1_000_000, result?);
    Ok(())
}

fn kprobes(kernel: &Kernel) -> Result<(), Box<dyn std::error::Error>> {
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions").unwrap_or_default();
    // Of the patterns `?x*` the one that comes nearest to 5,000.
    let letters = 'a'..='z';
    let count = |c: char| list.lines().filter(|l| l.starts_with(c)).count();
    let Some(letter) = letters.min_by_key(|c| count(*c).abs_diff(5000)).filter(|c| count(*c) > 0) else {
        println!("SKIP kprobe.multi: this kernel lists no functions");
        return Ok(());
    };
    let target = Target::of_section(&format!("kprobe.multi/{letter}*"))?.expect("it is a hook");
    let loaded = load("kprobe_multi", "many")?;
    let time = best(kernel, &loaded, "many", &target)?;
    println!("kprobe.multi/{letter}*, {} functions: {time:?}", count(letter));
    Ok(())
}

fn main() {
    let kernel = Kernel::host();
    for (what, result) in [("uprobe", uprobe(&kernel)), ("kprobe.multi", kprobes(&kernel))] {
        if let Err(e) = result {
            println!("SKIP {what}: {e}");
        }
    }
}
