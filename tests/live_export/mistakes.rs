//! What is wrong with a configuration is said by file, line and key. The messages are kept in tests/golden/export.txt,
//! each after the configuration that it is about; `RAWBPF_BLESS=1` writes them.

use std::fs;

use super::{config, traffic_config};
use crate::gate::{HOST, require};
use crate::net::{object, rawbpf, rawbpf_json};

/// Configurations with a mistake; @ is bpf/traffic.o.
const MISTAKES: &[&str] = &[
    "listen = \"127.0.0.1\"\n",
    "listen = \"127.0.0.1:1\"\nliste = 1\n",
    "[[object]\n",
    "[[object]]\nname = \"x\"\n",
    "[[object]]\npath = \"no_such.o\"\n",
    "[[object]]\npath = \"@\"\nload = { xpd = \"eth0\" }\n",
    "[[object]]\npath = \"@\"\nload = { xdp = \"eth0\", xdp-mode = \"fast\" }\n",
    "[[object]]\npath = \"@\"\n[object.load]\nset = { no_such_variable = 1 }\n",
    "[[object]]\npath = \"@\"\n[[object]]\npath = \"@\"\n",
    "[[map]]\nname = \"x\"\nfrom = \"id 1\"\n[[map]]\nname = \"x\"\nfrom = \"id 2\"\n",
    "@m\nmap = \"flow\"\n",
    "@m\nmap = \"flows\"\n",
    "@m\nmap = \"flows\"\nvalue = \"value.octets\"\n",
    "@m\nmap = \"flows\"\nvalue = \"bytes\"\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes.low\"\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { 2x = \"key.proto\" }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = \"key.port\" }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = { from = \"key.proto\", as = \"words\" } }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = { from = \"key.proto\", as = \"enum verdict\" } }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = { form = \"key.proto\" } }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = 7 }\n",
    "@m\nmap = \"flows\"\nvalue = \"value.bytes\"\nlabels = { x = \"value.packets\" }\n",
    "@m\nmap = \"size_classes\"\nlabels = { x = \"cpu\" }\n",
    "@m\nmap = \".bss\"\nvalue = \"value.lost\"\n",
    "@m\nmap = \".bss\"\nvalue = \"value.lost_events\"\nscale = -1.0\n",
    "@m\nmap = \".bss\"\nvalue = \"value.lost_events\"\nmax_series = \"many\"\n",
    "@o[[metric]]\nname = \"x\"\ntype = \"count\"\nmap = \"flows\"\n",
    "@o[[metric]]\nname = \"x-y\"\ntype = \"counter\"\nmap = \"flows\"\nvalue = \"value.bytes\"\n",
    "@o[[metric]]\nname = \"rawbpf_x\"\ntype = \"counter\"\nmap = \"flows\"\nvalue = \"value.bytes\"\n",
    "@o[[metric]]\nname = \"x_total\"\ntype = \"gauge\"\nmap = \"flows\"\nvalue = \"value.bytes\"\n",
    "@o[[metric]]\nname = \"x\"\ntype = \"histogram\"\nmap = \"packet_sizes\"\nvalue = \"value.slots\"\n",
    "@h\nbuckets = { type = \"log2\" }\nvalue = \"value.bytes\"\n",
    "@h\nbuckets = { type = \"linear\" }\nvalue = \"value.slots\"\n",
    "@h\nbuckets = { type = \"log2\", count = 5000 }\nvalue = \"value.slots\"\n",
    "@h\nbuckets = { type = \"log2\" }\nvalue = \"value.slots\"\nlabels = { le = \"key\" }\n",
    "@m\nmap = \".bss\"\nvalue = \"value.lost_events\"\n[[metric]]\nname = \"x_total\"\ntype = \"counter\"\nmap = \".bss\"\nvalue = \"value.lost_events\"\n",
];

/// The configuration that a row stands for.
fn whole(row: &str) -> String {
    let head = "[[object]]\npath = \"@\"\n";
    let metric = format!("{head}[[metric]]\nname = \"x\"\ntype = \"counter\"");
    let histogram = format!("{head}[[metric]]\nname = \"x\"\ntype = \"histogram\"\nmap = \"packet_sizes\"");
    row.replace("@m", &metric).replace("@h", &histogram).replace("@o", head)
}

#[test]
fn mistakes_are_named_by_file_line_and_key() {
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    let mut text = String::new();
    for row in MISTAKES {
        let shown = whole(row);
        let path = config(dir.path(), &shown.replace('@', &object("traffic.o")));
        let path = path.to_string_lossy();
        let out = rawbpf(&["export", "--check", &path]);
        let said = String::from_utf8_lossy(&out.stderr).replace(&*path, "export.toml");
        let said = said.replace(&format!("{}/", dir.path().display()), "").replace(&object("traffic.o"), "@");
        assert_eq!(out.status.code(), Some(2), "{shown}\n{said}");
        text.push_str(&format!("{shown}>>> {}\n\n", said.trim_end()));
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/export.txt");
    if std::env::var_os("RAWBPF_BLESS").is_some() {
        fs::write(golden, &text).expect("the golden file is written");
    }
    let known = fs::read_to_string(golden).unwrap_or_default();
    assert!(known == text, "{golden} differs; RAWBPF_BLESS=1 accepts this:\n{text}");
}

#[test]
fn a_file_is_checked_without_privileges_and_without_a_kernel() {
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    let elsewhere = "[[map]]\nname = \"other\"\nfrom = \"/sys/fs/bpf/other\"\n[[metric]]\nname = \"other\"\ntype = \"gauge\"\nmap = \"other\"\n";
    let path = config(dir.path(), &format!("{}{elsewhere}", traffic_config("no_such_interface")));
    let document = rawbpf_json(&["export", "--check", &path.to_string_lossy()]);
    assert_eq!(document["metrics"].as_array().map(Vec::len), Some(6), "{document:#}");
    assert_eq!(document["metrics"][0]["labels"], serde_json::json!(["interface", "proto", "source"]));
    assert_eq!(document["unchecked"], serde_json::json!(["other"]));
    assert_eq!(document["url"], serde_json::Value::Null);
}
