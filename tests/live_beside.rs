//! Maps, links and interfaces, as bpftool tells of them and as we do.

use std::collections::BTreeMap;
use std::process::Command;

use rawbpf::maps::{Builder, Map};
use rawbpf::uapi::MapType;
use serde_json::Value as Json;

use crate::gate::{HOST, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf_json, rawbpf_ok};

fn bpftool(args: &[&str]) -> Json {
    let out = Command::new("bpftool").arg("-j").args(args).output().expect("bpftool is installed: make deps");
    let text = String::from_utf8_lossy(&out.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("bpftool {args:?}: {e}\n{text}"))
}

/// `["0x01","0x00"]`, as bpftool writes bytes.
fn bytes(json: &Json) -> Vec<u8> {
    let byte = |b: &Json| u8::from_str_radix(b.as_str().expect("text").trim_start_matches("0x"), 16);
    json.as_array().expect("a list").iter().map(|b| byte(b).expect("a byte")).collect()
}

/// What bpftool dumps: for each key its value; of per-CPU maps, those of all CPUs one behind the other.
fn theirs(map: &Map) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let dump = bpftool(&["map", "dump", "id", &map.info().id.to_string()]);
    let element = |e: &Json| {
        let value = match e["values"].as_array() {
            Some(cpus) => cpus.iter().flat_map(|cpu| bytes(&cpu["value"])).collect(),
            None => bytes(&e["value"]),
        };
        (bytes(&e["key"]), value)
    };
    dump.as_array().expect("a list").iter().map(element).collect()
}

fn ours(map: &Map) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut elements = map.elements();
    let mut out = BTreeMap::new();
    while let Some((key, value)) = elements.next_entry().expect("it is read") {
        out.insert(key.to_vec(), map.slots(value).flat_map(|(_, slot)| slot.to_vec()).collect());
    }
    assert!(elements.complete());
    out
}

#[test]
fn bpftool_reads_the_same_elements() {
    require!(HOST);
    require!(ROOT);
    for map_type in [
        MapType::Hash,
        MapType::Array,
        MapType::PercpuHash,
        MapType::PercpuArray,
        MapType::LruHash,
        MapType::LruPercpuHash,
        MapType::LpmTrie,
    ] {
        let key_size = if map_type == MapType::LpmTrie { 8 } else { 4 };
        let map = Builder::new(map_type, "beside").key_size(key_size).value_size(8).max_entries(100);
        let map = map.create().expect("every kernel has it");
        for n in 0..100u32 {
            let prefix = if key_size == 8 { 32u32.to_ne_bytes().to_vec() } else { Vec::new() };
            let key = [prefix, n.to_ne_bytes().to_vec()].concat();
            let value: Vec<u8> = (0..map.value_len()).map(|at| (at as u32 * 31 + n * 7) as u8).collect();
            map.set(&key, &value, 0).expect("it is written");
        }
        let (ours, theirs) = (ours(&map), theirs(&map));
        assert_eq!(ours.len(), 100, "{map_type}");
        assert_eq!(ours, theirs, "{map_type}");
        let id = map.info().id.to_string();
        let (shown, told) = (rawbpf_json(&["map", "show", "id", &id]), bpftool(&["map", "show", "id", &id]));
        for (our, their) in
            [("key_size", "bytes_key"), ("value_size", "bytes_value"), ("max_entries", "max_entries")]
        {
            assert_eq!(shown[our], told[their], "{map_type}: {our} of {shown}");
        }
        assert_eq!((&shown["id"], &shown["type"]), (&told["id"], &told["type"]));
    }
}

#[test]
fn bpftool_decodes_the_same_values() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let mut compared = 0;
        for name in ["packet_count", "tc_order", "rewrite", "globals"] {
            rawbpf_ok(&["load", &object(&format!("{name}.o")), "--no-attach"]);
            let maps = std::fs::read_dir(format!("/sys/fs/bpf/rawbpf/{name}/maps")).expect("there are maps");
            for map in maps {
                let path = map.expect("an entry").path().display().to_string();
                let told = bpftool(&["map", "dump", "pinned", &path]);
                let dump = rawbpf_json(&["map", "dump", &path]);
                let (elements, told) = (dump["elements"].as_array(), told.as_array());
                for (our, their) in elements.expect("a list").iter().zip(told.expect("a list")) {
                    let Some(formatted) = their.get("formatted") else { continue };
                    if formatted["key"].is_null() {
                        // Global variables: bpftool gives no key, and lists them below the name of their section.
                        let section = formatted["value"].as_object().and_then(|v| v.values().next());
                        let theirs = section.and_then(Json::as_array).expect("a list of variables");
                        for variable in theirs.iter().filter_map(Json::as_object).flatten() {
                            assert_eq!(&our["value"][variable.0], variable.1, "{path}");
                        }
                        assert_eq!(our["key"], 0, "{path}");
                    } else {
                        let (key, value) = (&formatted["key"], &formatted["value"]);
                        assert_eq!((&our["key"], &our["value"]), (key, value), "{path}");
                    }
                    compared += 1;
                }
            }
            rawbpf_ok(&["unload", name]);
        }
        assert!(compared > 0, "nothing was compared");
    });
}

#[test]
fn bpftool_sees_the_same_links_and_interfaces() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        rawbpf_ok(&["load", &object("packet_count.o"), "--xdp", "near0"]);
        let pin = "/sys/fs/bpf/rawbpf/packet_count/links/xdp_near0";
        let (shown, told) = (rawbpf_json(&["link", "show", pin]), bpftool(&["link", "show", "pinned", pin]));
        let shown = &shown["link"];
        for field in ["id", "type", "prog_id"] {
            assert_eq!(shown[field], told[field], "{field} of {shown}");
        }
        let net = bpftool(&["net", "show"]);
        let attached = rawbpf_json(&["attachments"]);
        let attached = attached["attachments"].as_array().expect("a list");
        let near = attached.iter().find(|a| a["place"] == "near0").expect("it is listed");
        assert_eq!(near["prog_id"], net[0]["xdp"][0]["id"]);
        assert_eq!(near["hook"]["ifindex"], net[0]["xdp"][0]["ifindex"]);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}
