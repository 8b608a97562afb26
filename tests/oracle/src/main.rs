//! Loads every program of every object twice, with libbpf and with rawbpf, and compares what reaches the kernel:
//! the verdict, the instructions after the verifier, the maps, the function and line records.
//!
//! `rawbpf-oracle FILE...` prints a line of JSON for each program and a summary, and fails if anything differs. A file
//! may be an object, or a program that has objects in it: those are cut out. Run it in a guest kernel only
//! (`make test-oracle`): it loads objects that nobody here wrote. With ORACLE_BTF=FILE in the environment both relocate
//! by the types in that file; with ORACLE_VERBOSE libbpf says what it does.

mod attach;
mod clock;
mod cut;
mod dump;
mod events;
#[path = "../../../benches/executable.rs"]
mod executable;
mod libbpf;
mod load;
mod maps;
mod ours;
mod race;

use std::process::ExitCode;

use serde_json::{Value, json};

use dump::Loaded;

/// What came of loading one program.
pub enum Verdict {
    /// It was loaded: what the kernel says of it.
    Loaded(Box<Loaded>),
    /// It was not, with the error number if there is one, and the reason.
    Refused(i32, String),
}

/// Where libbpf 1.7 is known to be wrong, so that a difference is not ours: object, program, and what it does.
const KNOWN: &[(&str, &str, &str)] = &[(
    "cc_optional",
    "cc_init",
    "libbpf takes `?` for the first table of a section only, and never loads a program that is asked for by name if its table is optional",
)];

/// A map of this type whose size is left to the tool that loads it: not those of which there is one for each CPU, nor
/// storages and tables of callbacks, which have none.
pub fn takes_entries(kind: u32) -> bool {
    !matches!(kind, 4 | 19 | 21 | 24 | 26 | 28 | 29 | 32)
}

fn main() -> ExitCode {
    if let (1, ..=6) | (0, _) = libbpf::version() {
        eprintln!("this was linked with libbpf {:?}, not with that of libbpf-sys", libbpf::version());
        return ExitCode::FAILURE;
    }
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.first().is_some_and(|a| a == "--cut") {
        return cut_all(&files[1], &files[2..]);
    }
    let done = match files.as_slice() {
        [what, dir] if what == "--bench-attach" => Some(attach::run(dir)),
        [what, dir] if what == "--bench-events" => Some(events::run(dir)),
        [what, _] if what == "--bench-maps" => Some(maps::run()),
        [what, files @ ..] if what == "--bench-load" => Some(load::run(files)),
        [what, who, file, programs @ ..] if what == "--load-once" => Some(load::once(who, file, programs)),
        _ => None,
    };
    match done {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(e)) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
        None => {}
    }
    let only = files.iter().position(|a| a == "--program").map(|i| {
        files.remove(i);
        files.remove(i)
    });
    let (mut same, mut both_refuse, mut known_differences, mut different) = (0, 0, 0, 0);
    for file in &files {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) => {
                println!("{}", json!({"file": file, "error": e.to_string()}));
                different += 1;
                continue;
            }
        };
        for (n, object) in cut::objects(&bytes).iter().enumerate() {
            let stem = file.rsplit('/').next().unwrap_or(file).split('.').next().unwrap_or("object");
            let programs = libbpf::programs(stem, object);
            let ours = ours::programs(stem, object);
            match (&programs, &ours) {
                (Ok(a), Ok(b)) if a == b => {}
                (Err(_), Err(_)) => {
                    both_refuse += 1;
                    println!(
                        "{}",
                        json!({"file": file, "nth": n, "verdict": "both cannot read it",
                        "libbpf": programs.err(), "rawbpf": ours.err()})
                    );
                    continue;
                }
                _ => {
                    different += 1;
                    println!(
                        "{}",
                        json!({"file": file, "nth": n, "different": "programs", "libbpf": format!("{programs:?}"), "rawbpf": format!("{ours:?}")})
                    );
                    continue;
                }
            }
            for program in programs.unwrap_or_default() {
                if only.as_ref().is_some_and(|o| *o != program) {
                    continue;
                }
                let theirs = libbpf::load(stem, object, &program);
                let ours = ours::load(stem, object, &program);
                let mut row = compare(&theirs, &ours);
                let known = KNOWN.iter().find(|(o, p, _)| *o == stem && *p == program);
                if let (Some(_), Some((_, _, why))) = (row.get("different"), known) {
                    row = json!({"known": why});
                }
                match row.get("different") {
                    _ if row.get("known").is_some() => known_differences += 1,
                    Some(_) => different += 1,
                    None if matches!(theirs, Verdict::Loaded(_)) => same += 1,
                    None => both_refuse += 1,
                }
                let mut line = json!({"file": file, "nth": n, "program": program});
                if let (Some(line), Value::Object(row)) = (line.as_object_mut(), row) {
                    line.extend(row);
                }
                println!("{line}");
            }
        }
    }
    let (major, minor) = libbpf::version();
    println!(
        "{}",
        json!({"libbpf": format!("{major}.{minor}"), "loaded the same": same, "refused by both": both_refuse, "known": known_differences, "different": different})
    );
    if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes the objects that are in these files into a directory.
fn cut_all(dir: &str, files: &[String]) -> ExitCode {
    let _ = std::fs::create_dir_all(dir);
    for file in files {
        let bytes = std::fs::read(file).unwrap_or_default();
        let stem = file.rsplit('/').next().unwrap_or(file).split('.').next().unwrap_or("object");
        for (n, object) in cut::objects(&bytes).iter().enumerate() {
            let name = if n == 0 { format!("{dir}/{stem}.o") } else { format!("{dir}/{stem}-{n}.o") };
            if let Err(e) = std::fs::write(&name, object) {
                eprintln!("{name}: {e}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn compare(theirs: &Verdict, ours: &Verdict) -> Value {
    match (theirs, ours) {
        (Verdict::Loaded(a), Verdict::Loaded(b)) => match a.differences(b) {
            none if none.is_empty() => json!({"verdict": "success", "insns": a.insns.len()}),
            some => json!({"different": "loaded", "how": some}),
        },
        (Verdict::Refused(a, why_a), Verdict::Refused(b, why_b)) => {
            let mut row = json!({"verdict": "failure", "errno": a, "why": why_b});
            if a != b {
                row["note"] = json!({"libbpf": why_a, "errno": b});
            }
            row
        }
        (Verdict::Loaded(_), Verdict::Refused(_, why)) => {
            json!({"different": "verdict", "libbpf": "loads it", "rawbpf": why})
        }
        (Verdict::Refused(_, why), Verdict::Loaded(_)) => {
            json!({"different": "verdict", "libbpf": why, "rawbpf": "loads it"})
        }
    }
}
