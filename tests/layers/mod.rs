//! Who may use whom: the import column of docs/DESIGN.md, so that one crate has the walls of several.

mod graph;

use std::fs;
use std::path::{Path, PathBuf};

use self::graph::Crate;
use crate::gate::{HOST, require};

/// A module of src/, and the modules that it may use. Leaves stand first.
const RULES: &[(&str, &[&str])] = &[
    ("bytes", &[]),
    ("uapi", &[]),
    ("insn", &["bytes", "uapi"]),
    ("btf", &["bytes", "uapi"]),
    ("sys", &["bytes", "uapi"]),
    ("elf", &["bytes", "uapi", "insn", "btf", "sys"]),
    ("kernel", &["bytes", "uapi", "insn", "btf", "sys"]),
    ("progs", &["bytes", "uapi", "insn", "btf", "sys"]),
    ("maps", &["bytes", "uapi", "btf", "sys", "progs"]),
    ("links", &["bytes", "uapi", "insn", "btf", "sys", "elf", "kernel", "progs", "maps"]),
    ("verifier", &["uapi", "insn"]),
    ("loader", &["bytes", "uapi", "insn", "btf", "sys", "elf", "kernel", "progs", "maps", "verifier"]),
    ("events", &["bytes", "uapi", "btf", "sys", "kernel", "progs", "maps"]),
    ("symbolize", &["bytes", "sys", "kernel", "maps"]),
    ("skeleton", &["uapi", "btf", "elf", "error", "loader", "maps", "progs"]),
    ("attached", &["elf", "error", "kernel", "links", "loader", "progs"]),
    ("deploy", &["btf", "elf", "error", "kernel", "links", "loader", "maps", "progs", "sys", "uapi"]),
    (
        "error",
        &[
            "bytes",
            "uapi",
            "insn",
            "btf",
            "sys",
            "elf",
            "kernel",
            "progs",
            "maps",
            "links",
            "loader",
            "events",
            "symbolize",
            "skeleton",
        ],
    ),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src/ can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The modules that a file names by `crate::`, outside of comments.
fn used(text: &str) -> Vec<String> {
    let code = text.lines().map(|l| l.split("//").next().unwrap_or(""));
    let mut out = Vec::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let names = rest.strip_prefix('{').map_or(rest, |list| list);
            let name: String = names.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            out.push(name);
        }
    }
    out
}

#[test]
fn modules_use_only_those_below_them() {
    require!(HOST);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(&src).expect("it is in src/").to_string_lossy().into_owned();
        let module = path.split('/').next().unwrap_or("").trim_end_matches(".rs").to_string();
        if module == "lib" || module == "bin" {
            continue;
        }
        let allowed = RULES.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{path}: add the module to the table above"));
        for name in used(&fs::read_to_string(&file).expect("text")) {
            let known = RULES.iter().any(|(m, _)| *m == name);
            if known && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{path} uses {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Two files that use each other can be read together; three or more cannot be read at all.
#[test]
fn files_do_not_go_in_circles() {
    require!(HOST);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (root, most) in [("bin/rawbpf/main.rs", 2), ("lib.rs", 2)] {
        let circles = Crate::read(&src.join(root)).circles();
        let large: Vec<_> = circles.into_iter().filter(|c| c.len() > most).collect();
        assert!(large.is_empty(), "{root}: {large:#?}");
    }
}

/// One idea a file, one screen a function. Blank lines, comments and tests do not count; a function is as long as it looks.
#[test]
fn files_and_functions_are_short() {
    require!(HOST);
    const FILE: usize = 400;
    const FUNCTION: usize = 60;
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let text = text.split("#[cfg(test)]\n").next().unwrap_or("");
        let code = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")).count();
        if code > FILE {
            wrong.push(format!("{}: {code} lines", file.display()));
        }
        let long = graph::functions(text).into_iter().filter(|(_, _, lines)| *lines > FUNCTION);
        wrong.extend(long.map(|(at, name, n)| format!("{}:{at}: {name} has {n} lines", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A name that stands once can be searched for, and means one thing in every message of the compiler.
#[test]
fn public_types_have_names_of_their_own() {
    require!(HOST);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut known = std::collections::BTreeMap::<String, Vec<String>>::new();
    for file in files.iter().filter(|f| !f.starts_with(src.join("bin"))) {
        let text = fs::read_to_string(file).expect("text");
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or("");
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("pub ")) {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if matches!(words.next(), Some("struct" | "enum" | "union" | "trait" | "type")) {
                let name = words.next().unwrap_or("").to_string();
                known.entry(name).or_default().push(file.display().to_string());
            }
        }
    }
    // In a macro a name is `$name`.
    known.retain(|name, files| files.len() > 1 && !name.is_empty());
    assert!(known.is_empty(), "{known:#?}");
}

/// Advice is data: a library that says "use --pid" is wrong in every other program.
#[test]
fn the_library_names_no_words_of_the_command() {
    require!(HOST);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files.iter().filter(|f| !f.starts_with(src.join("bin"))) {
        for (n, text) in graph::strings(&fs::read_to_string(file).expect("text")) {
            let flag = text.split_whitespace().any(|word| {
                let word = word.trim_start_matches(['`', '(']);
                word.strip_prefix("--").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
            });
            if flag || text.contains("`rawbpf ") || text.contains("rawbpf load") {
                wrong.push(format!("{}:{n}: {text}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_command_uses_the_public_api_only() {
    require!(HOST);
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/rawbpf");
    let mut files = Vec::new();
    sources(&bin, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        assert!(!text.contains("unsafe {"), "{}: unsafe code belongs into src/sys", file.display());
        assert!(!text.contains("SYS_bpf"), "{}: the library makes the calls", file.display());
    }
}

#[test]
fn unsafe_code_stands_in_one_room() {
    require!(HOST);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files.iter().filter(|f| !f.starts_with(src.join("sys"))) {
        for (n, line) in fs::read_to_string(file).expect("text").lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let names_it = code.contains("unsafe ") && !code.contains("unsafe_");
            assert!(!names_it, "{}:{}: {line}", file.display(), n + 1);
        }
    }
}

/// Each reason for unsafe code ends with `Test: NAME`, and that test is there.
#[test]
fn every_reason_names_its_test() {
    require!(HOST);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut tests) = (Vec::new(), Vec::new());
    sources(&root.join("src/sys"), &mut files);
    sources(&root.join("tests"), &mut tests);
    let tests: String = tests.iter().map(|t| fs::read_to_string(t).expect("text")).collect();
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let mut lines = text.lines().enumerate().peekable();
        while let Some((n, line)) = lines.next() {
            let Some(reason) = line.trim().strip_prefix("// SAFETY:") else { continue };
            let mut reason = reason.to_string();
            while let Some((_, more)) = lines.next_if(|(_, l)| l.trim().starts_with("// ")) {
                reason.push_str(more.trim().trim_start_matches("//"));
            }
            let name =
                reason.split_once("Test: `").and_then(|(_, rest)| rest.split_once('`')).map(|(n, _)| n);
            let is_there = |name: &str| {
                let function = name.rsplit("::").next().unwrap_or(name);
                tests.contains(&format!("fn {function}()"))
            };
            if !name.is_some_and(is_there) {
                wrong.push(format!("{}:{}: {reason}", file.display(), n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
