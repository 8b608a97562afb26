//! Each object in bpf/rejected has two programs: `rejected`, which the verifier refuses, and `mended`, which loads.
//! What is said about the first is in tests/golden/rejected, the same on every kernel; where a kernel's verdict
//! itself is another, in NAME.RELEASE.txt. `RAWBPF_BLESS=1` writes the files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rawbpf::loader::LoadError;
use rawbpf::verifier::{Diagnosis, Screen};
use rawbpf::{Error, Kernel, Object, Options};

use crate::gate::{BTF, HOST, LITTLE_ENDIAN, ROOT, require};
use crate::net::{rawbpf, rawbpf_fails, rawbpf_json};

/// The most lines of a screen.
const SCREEN: usize = 25;

/// Programs that do not get to the verifier before this kernel: it lacks what both programs need.
const NEEDS: &[(&str, (u32, u32), &str)] = &[
    ("kfunc_iterator", (6, 4), "bpf_iter_num_new"),
    ("kfunc_leak", (6, 2), "bpf_task_from_pid"),
    ("kfunc_not_here", (6, 5), "bpf_sock_destroy"),
    ("kfunc_null", (6, 2), "bpf_task_from_pid"),
    ("kfunc_preempt_held", (6, 10), "bpf_preempt_disable"),
    ("kfunc_rcu_held", (6, 2), "bpf_rcu_read_lock"),
    ("kfunc_untrusted", (6, 2), "bpf_task_acquire"),
];

/// Programs that are accepted from this kernel on.
const ACCEPTED: &[(&str, (u32, u32), &str)] = &[("helper_newer", (5, 17), "it has bpf_loop")];

/// `mended` needs a newer kernel than the explanation of `rejected` does.
const MENDED: &[(&str, (u32, u32), &str)] = &[
    ("dynptr_leak", (5, 19), "bpf_ringbuf_reserve_dynptr"),
    ("dynptr_unset", (5, 19), "bpf_dynptr_from_mem"),
    ("global_argument", (5, 13), "pointers as parameters of global functions"),
    ("helper_callback_value", (5, 13), "references to functions"),
    ("text_not_constant", (5, 13), "bpf_snprintf"),
];

/// The verifier walks through its million instructions four times for each: seconds here, minutes in an emulated
/// kernel.
const LONG: &[&str] = &["loop_long", "issue_verifier_errors_5"];

fn since(table: &[(&str, (u32, u32), &str)], name: &str) -> Option<(u32, u32)> {
    table.iter().find(|(n, ..)| *n == name).map(|(_, since, _)| *since)
}

fn names() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/rejected");
    let files = fs::read_dir(dir).expect("bpf/rejected is there");
    let stem = |p: PathBuf| {
        (p.extension()? == "o").then(|| p.file_stem().map(|s| s.to_string_lossy().into_owned()))?
    };
    let names: BTreeSet<String> = files.filter_map(|f| stem(f.expect("an entry").path())).collect();
    names.into_iter().collect()
}

fn path(name: &str) -> String {
    format!("{}/bpf/rejected/{name}.o", env!("CARGO_MANIFEST_DIR"))
}

fn load(name: &str, program: &str) -> Result<(), Error> {
    let object = Object::open(path(name))?;
    let options = Options { only: vec![program.into()], ..Options::default() };
    object.plan(&Kernel::host(), &options)?.run()?;
    Ok(())
}

fn release() -> (u32, u32) {
    let release = Kernel::host().release();
    (release.0.into(), release.1.into())
}

/// The screen without what differs between kernels by itself: the kernel's own words, and offsets in its structures.
fn normal(diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    for line in diagnosis.to_string().lines().filter(|l| !l.trim_start().starts_with("= kernel: ")) {
        let line = match line.split_once(" + ") {
            Some((before, after)) if line.contains("= instruction") => {
                let (number, rest) = after.split_at(after.find(')').unwrap_or(0));
                let number = if number.len() > 3 { "..." } else { number };
                format!("{before} + {number}{rest}")
            }
            _ => line.into(),
        };
        out.push_str(&if line.contains("= note: ") { without_ids(&line) } else { line });
        out.push('\n');
    }
    out
}

/// Without `[114]`, the number of a type.
fn without_ids(line: &str) -> String {
    let mut parts = line.split('[');
    let mut out: String = parts.next().unwrap_or("").into();
    for part in parts {
        match part.split_once(']') {
            Some((id, rest)) if id.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_str(&format!("[..]{rest}"))
            }
            _ => out.push_str(&format!("[{part}")),
        }
    }
    out
}

/// The golden screen for this kernel.
fn golden(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rejected");
    let (major, minor) = release();
    let own = dir.join(format!("{name}.{major}.{minor}.txt"));
    if own.exists() { own } else { dir.join(format!("{name}.txt")) }
}

/// What is wrong with the explanation of this program.
fn rejected(name: &str) -> Result<(), String> {
    if since(NEEDS, name).is_some_and(|since| release() < since) {
        return match load(name, "rejected") {
            Err(Error::Plan(_)) => Ok(()),
            other => Err(format!("this kernel should lack what it needs, but: {other:?}")),
        };
    }
    let diagnosis = match load(name, "rejected") {
        Err(Error::Load(LoadError::Program { diagnosis: Some(diagnosis), .. })) => diagnosis,
        Ok(()) if since(ACCEPTED, name).is_some_and(|since| release() >= since) => return Ok(()),
        Ok(()) => return Err("the verifier accepts it".into()),
        Err(e) => return Err(format!("{e}: {:?}", e.sys_error())),
    };
    let screen = normal(&diagnosis);
    let lines = Screen::new(&diagnosis).to_string().lines().count();
    if lines > SCREEN {
        return Err(format!("{lines} lines are more than a screen:\n{screen}"));
    }
    if diagnosis.rule.is_none() || diagnosis.help.is_empty() {
        return Err(format!("no rule, or no advice:\n{diagnosis}"));
    }
    let file = golden(name);
    if std::env::var_os("RAWBPF_BLESS").is_some() {
        fs::write(&file, &screen).expect("the golden file is written");
        return Ok(());
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    if wanted == screen {
        Ok(())
    } else {
        Err(format!("not as in {}:\n@@screen {name}\n{screen}@@end", file.display()))
    }
}

fn mended(name: &str) -> Result<(), String> {
    let lacking = since(NEEDS, name).or(since(MENDED, name)).is_some_and(|since| release() < since);
    match load(name, "mended") {
        Err(_) if lacking => Ok(()),
        Ok(()) => Ok(()),
        Err(e) => Err(format!("mended is refused: {e}: {:?}", e.sys_error())),
    }
}

#[test]
fn every_rejection_is_explained() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(BTF, Path::new("/sys/kernel/btf/vmlinux").exists());
    let slow_here = std::env::var_os("RAWBPF_GUEST").is_some();
    let names: Vec<String> =
        names().into_iter().filter(|n| !(slow_here && LONG.contains(&n.as_str()))).collect();
    let mut faults = Vec::new();
    for name in &names {
        for (what, result) in [("rejected", rejected(name)), ("mended", mended(name))] {
            if let Err(fault) = result {
                faults.push(format!("{name} ({what}): {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {} fail:\n{}", faults.len(), names.len(), faults.join("\n"));
}

#[test]
fn there_are_as_many_as_promised() {
    require!(HOST);
    let names = names();
    assert!(names.len() >= 60, "{} programs", names.len());
    assert!(names.iter().filter(|n| n.starts_with("issue_")).count() >= 10, "from public issues: {names:?}");
}

#[test]
fn the_command_shows_the_screen_and_keeps_the_log() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(BTF, Path::new("/sys/kernel/btf/vmlinux").exists());
    let object = path("null_lookup");
    let said = rawbpf_fails(1, &["load", &object, "--program", "rejected", "--foreground"]);
    assert!(said.starts_with("error[null-pointer]: r0 may be NULL"), "{said}");
    assert!(said.contains("13 |     *count += 1;") && !said.contains("processed "), "{said}");
    let log =
        said.lines().find_map(|l| l.trim().strip_prefix("= log: ")).expect("a line with the log's path");
    assert!(fs::read_to_string(log).expect("the log is there").contains("processed "), "{log}");
    let said = rawbpf_fails(1, &["load", &object, "--program", "rejected", "--foreground", "-v"]);
    assert!(said.contains("processed ") && said.contains("error[null-pointer]"), "{said}");

    let document = rawbpf_json(&["load", &object, "--program", "rejected", "--foreground"]);
    let rejection = &document["error"]["rejection"];
    assert_eq!(rejection["rule"], "null-pointer", "{document}");
    assert_eq!(rejection["place"]["line"], 13);
    assert_eq!(rejection["instruction"]["text"], "r1 = *(u64 *)(r0 + 0)");
    assert_eq!(rejection["history"][0]["kind"], "made");
    assert_eq!(rejection["history"][0]["place"]["line"], 11);
    assert!(document["error"]["verifier_log"].as_str().is_some_and(|l| l.contains("processed ")));

    let report = rawbpf(&["verify", &object]);
    let text = String::from_utf8_lossy(&report.stdout);
    assert_eq!(report.status.code(), Some(1), "{text}");
    assert!(text.contains("error[null-pointer]") && text.contains("1 accepted, 1 refused"), "{text}");
    assert_eq!(rawbpf_json(&["verify", &object])["programs"][0]["rejection"]["rule"], "null-pointer");
}
