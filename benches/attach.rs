//! How long attaching takes where there is much to look through: `cargo bench --bench attach`, as root.
//!
//! * a uprobe by symbol in an executable of 100 MB with 1.4 million symbols, the last of which is meant;
//! * kprobe.multi by a pattern that some 5,000 functions match, on kernels that have it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
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

/// An executable with `count` functions: a header, code, symbols, their names, and the section headers.
fn write_executable(path: &Path, count: u32) -> std::io::Result<u64> {
    const CODE: u64 = 0x1000;
    let name = |n: u32| format!("a_function_with_a_usual_name_{n:07}\0");
    let names: u64 = (0..count).map(|n| name(n).len() as u64).sum::<u64>() + 1;
    let code_len = u64::from(count) * 8;
    let symbols_at = CODE + code_len;
    let names_at = symbols_at + u64::from(count + 1) * 24;
    let sections_at = (names_at + names).next_multiple_of(8);
    let mut f = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut words = |list: &[(u64, usize)]| -> std::io::Result<()> {
        list.iter().try_for_each(|(value, len)| f.write_all(&value.to_le_bytes()[..*len]))
    };
    // The ELF header: class 64, little-endian, executable, x86-64; a program header; four section headers.
    words(&[
        (0x0001_0102_464c_457f, 8),
        (0, 8),
        (2, 2),
        (62, 2),
        (1, 4),
        (CODE, 8),
        (64, 8),
        (sections_at, 8),
    ])?;
    words(&[(0, 4), (64, 2), (56, 2), (1, 2), (64, 2), (4, 2), (3, 2)])?;
    // PT_LOAD, readable and executable, all of the file.
    words(&[(1, 4), (5, 4), (0, 8), (0, 8), (0, 8), (symbols_at, 8), (symbols_at, 8), (0x1000, 8)])?;
    f.write_all(&vec![0x90; (symbols_at - 120) as usize])?;
    f.write_all(&[0; 24])?;
    let mut at = 1u32;
    for n in 0..count {
        f.write_all(&at.to_le_bytes())?;
        f.write_all(&[0x12, 0, 1, 0])?; // a global function of section 1
        f.write_all(&(CODE + u64::from(n) * 8).to_le_bytes())?;
        f.write_all(&8u64.to_le_bytes())?;
        at += name(n).len() as u32;
    }
    f.write_all(&[0])?;
    for n in 0..count {
        f.write_all(name(n).as_bytes())?;
    }
    f.write_all(&vec![0; (sections_at - names_at - names) as usize])?;
    let mut section = |kind: u64, flags: u64, at: u64, len: u64, link: u64, each: u64| {
        let list =
            [(0, 4), (kind, 4), (flags, 8), (at, 8), (at, 8), (len, 8), (link, 4), (1, 4), (8, 8), (each, 8)];
        list.iter().try_for_each(|(value, len): &(u64, usize)| f.write_all(&value.to_le_bytes()[..*len]))
    };
    section(0, 0, 0, 0, 0, 0)?;
    section(1, 6, CODE, code_len, 0, 0)?;
    section(2, 0, symbols_at, u64::from(count + 1) * 24, 3, 24)?;
    section(3, 0, names_at, names, 0, 0)?;
    f.flush()?;
    Ok(sections_at + 4 * 64)
}

fn uprobe(kernel: &Kernel) -> Result<(), Box<dyn std::error::Error>> {
    const COUNT: u32 = 1_400_000;
    let path = std::env::temp_dir().join(format!("rawbpf-bench-{}", std::process::id()));
    let size = write_executable(&path, COUNT)?;
    let symbol = format!("a_function_with_a_usual_name_{:07}", COUNT - 1);
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
