//! `rawbpf --json-schema`, and that every command keeps to it: each document that any test asks for is checked here.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::gate::{HOST, ROOT, require};
use crate::net::{in_namespace, object, rawbpf, rawbpf_json, rawbpf_ok};

fn schema() -> &'static Json {
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    SCHEMA.get_or_init(|| serde_json::from_str(&rawbpf_ok(&["--json-schema"])).expect("the schema is JSON"))
}

/// Whether a value is as the schema has it. Knows as much of JSON Schema as ours uses; the rest is a panic.
pub(crate) fn check(value: &Json, rule: &Json, at: &str) -> Result<(), String> {
    let rule = rule.as_object().expect("a rule is an object");
    for (key, part) in rule {
        let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
        match key.as_str() {
            "$ref" => {
                let name = part.as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a local reference");
                check(value, &schema()["$defs"][name], at)?;
            }
            "anyOf" => {
                let all: Vec<_> =
                    part.as_array().expect("a list").iter().map(|r| check(value, r, at)).collect();
                if all.iter().all(Result::is_err) {
                    return Err(all.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; or "));
                }
            }
            "type" => {
                let fits = match part.as_str().expect("a type") {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                if !fits {
                    return wrong(&format!("no {part}"));
                }
            }
            "const" if value != part => return wrong(&format!("not {part}")),
            "enum" if !part.as_array().expect("a list").contains(value) => {
                return wrong(&format!("none of {part}"));
            }
            "minimum" if value.as_f64() < part.as_f64() => return wrong("too small"),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, part, &format!("{at}[{n}]"))?;
                }
            }
            "required" => {
                let fields = value.as_object();
                for name in part.as_array().expect("a list").iter().filter_map(Json::as_str) {
                    if fields.is_some_and(|f| !f.contains_key(name)) {
                        return wrong(&format!("`{name}` is missing"));
                    }
                }
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    if let Some(part) = part.get(name) {
                        check(field, part, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    if rule.get("properties").is_some_and(|p| p.get(name).is_some()) {
                        continue;
                    }
                    match part {
                        Json::Bool(_) => return wrong(&format!("`{name}` is not in the schema")),
                        part => check(field, part, &format!("{at}.{name}"))?,
                    }
                }
            }
            "description" | "const" | "enum" | "minimum" => {}
            other => panic!("the schema uses `{other}`"),
        }
    }
    Ok(())
}

/// Checks one document, by the command that it names.
pub(crate) fn check_document(document: &Json) -> Result<(), String> {
    let all = schema()["anyOf"].as_array().expect("a list");
    let command = document["command"].as_str().ok_or("it names no command")?;
    let is_error = document.get("error").is_some();
    let of_it = |rule: &&Json| match is_error {
        true => rule["properties"].get("error").is_some(),
        false => rule["properties"]["command"]["const"] == command,
    };
    let rules: Vec<&Json> = all.iter().filter(of_it).collect();
    if rules.is_empty() {
        return Err(format!("the schema has no document of `{command}`"));
    }
    let results: Vec<_> = rules.into_iter().map(|rule| check(document, rule, "document")).collect();
    match results.iter().any(Result::is_ok) {
        true => Ok(()),
        false => Err(results.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; or ")),
    }
}

/// Checks the lines of a command that prints JSON lines.
fn check_lines(command: &str, text: &str) {
    let types = schema()["commands"][command]["types"].as_array().expect("it prints lines");
    for line in text.lines() {
        let line: Json = serde_json::from_str(line).expect("each line is JSON");
        let fits = |ty: &Json| check(&line, &schema()["$defs"][ty.as_str().expect("a name")], "line").is_ok();
        assert!(types.iter().any(fits), "{command}: {line}");
    }
}

#[test]
fn every_command_is_in_the_schema() {
    let schema = schema();
    assert_eq!(schema["version"], 1);
    let verbs: BTreeSet<&str> =
        schema["verbs"].as_array().expect("a list").iter().filter_map(Json::as_str).collect();
    let said: BTreeSet<&str> =
        schema["commands"].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(verbs, said);
    // Each type that is named is there, and each that is there is used.
    let text = schema.to_string();
    let defs = schema["$defs"].as_object().expect("an object");
    for part in text.split("#/$defs/").skip(1) {
        let name = part.split('"').next().expect("a name");
        assert!(defs.contains_key(name), "{name}");
    }
    for command in schema["commands"].as_object().expect("an object").values() {
        for ty in command["types"].as_array().expect("a list") {
            assert!(defs.contains_key(ty.as_str().expect("a name")), "{ty}");
        }
    }
}

#[test]
fn errors_are_documents_too() {
    for args in [
        &["inspect", "/no/such/file"][..],
        &["prog", "show", "id"],
        &["prog", "run"],
        &["no-such-command"],
        &["map", "dump", "a", "b", "c", "d"],
        &["btf", "dump", "/no/such/file"],
        &[],
    ] {
        let document = rawbpf_json(args);
        assert!(document["error"]["message"].is_string(), "{args:?}: {document}");
    }
    assert_eq!(rawbpf_json(&["prog", "run"])["error"]["kind"], "usage");
}

/// The commands that need nothing, or only a loaded object. Those with lines, and all others, meet the schema in the
/// tests of their own.
#[test]
fn commands_keep_to_the_schema() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        let (file, dir) = (object("rewrite.o"), tempfile::tempdir().expect("a directory"));
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let map = "/sys/fs/bpf/rawbpf/rewrite/maps/senders_by_address";
        let prog = "/sys/fs/bpf/rawbpf/rewrite/progs/swap_frame_addresses";
        let counter = "/sys/fs/bpf/rawbpf/packet_count/maps/packet_count_map";
        let frame = "ffffffffffff02000000000088b5ffffffffffffffff";
        let (asm, made) = (object("packet_count.s"), path("made.o"));
        for args in [
            &["inspect", &file][..],
            &["plan", &file],
            &["plan", &file, "--release", "4.14"],
            &["verify", &file],
            &["asm", &asm, "-o", &made],
            &["disasm", &file],
            &["load", &file],
            &["load", &object("packet_count.o")],
            &["prog", "list"],
            &["prog", "show", prog],
            &["prog", "dump", "xlated", prog],
            &["prog", "dump", "jited", prog],
            &["prog", "run", prog, "--hex", frame],
            &["prog", "stats", prog, "--time", "0.01"],
            &["prog", "top", "--once", "--interval", "0.01"],
            &["prog", "pin", prog, "/sys/fs/bpf/second"],
            &["map", "list"],
            &["map", "show", map],
            &["map", "dump", map],
            &["map", "set", counter, "0", "7"],
            &["map", "get", counter, "0"],
            &["map", "del", map, "--all"],
            &["map", "create", "/sys/fs/bpf/queue", "--type", "queue", "--value", "4", "--entries", "2"],
            &["map", "push", "/sys/fs/bpf/queue", "5"],
            &["map", "peek", "/sys/fs/bpf/queue"],
            &["map", "pop", "/sys/fs/bpf/queue"],
            &["map", "pin", counter, "/sys/fs/bpf/counter"],
            &["btf", "list"],
            &["btf", "dump", "prog", prog],
            &["btf", "dump", &file, "--format", "c"],
            &["feature", "progs", "--name", "xdp"],
            &["link", "list"],
            &["map", "freeze", "/sys/fs/bpf/queue"],
            &["unload", "rewrite"],
        ] {
            let document = rawbpf_json(args);
            // Some need what a kernel may lack; an error has been checked as well.
            let done = document.get("error").is_none();
            assert!(done || args[0] == "map" || args[1] == "dump", "{args:?}: {document}");
        }
        let text = |args: &[&str]| String::from_utf8(rawbpf(args).stdout).expect("text");
        check_lines("map export", &text(&["map", "export", counter]));
        check_lines("map watch", &text(&["map", "watch", counter, "--count", "1", "--json"]));
    });
}

#[test]
fn shells_and_man_get_what_they_need() {
    for (shell, part) in
        [("bash", "complete -F _rawbpf"), ("zsh", "#compdef rawbpf"), ("fish", "complete -c rawbpf ")]
    {
        let script = rawbpf_ok(&["completions", shell]);
        assert!(script.contains(part) && script.contains("freeze"), "{shell}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    rawbpf_ok(&["man", &dir.path().to_string_lossy()]);
    for page in ["rawbpf.1", "rawbpf-prog.1", "rawbpf-prog-run.1", "rawbpf-map-set.1"] {
        let text = std::fs::read_to_string(dir.path().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}
