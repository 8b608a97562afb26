//! `rawbpf export`: what is served is what the maps hold, whatever happens to them meanwhile.

mod changes;
mod labels;
mod mistakes;
mod prometheus;
mod traffic;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rawbpf::Map;
use serde_json::Value as Json;

/// Longer than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

/// A running exporter.
struct Exporter {
    child: Child,
    address: String,
    /// What it said when it began.
    document: Json,
}

impl Exporter {
    /// Starts it with this configuration, and waits until it serves.
    #[track_caller]
    fn start(config: &Path) -> Exporter {
        let args = ["export", "--json", "--listen", "127.0.0.1:0"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(args)
            .arg(config)
            .stdout(Stdio::piped())
            .spawn()
            .expect("rawbpf runs");
        let stdout = child.stdout.take().expect("its output");
        let document: Json = serde_json::Deserializer::from_reader(stdout)
            .into_iter()
            .next()
            .expect("it says something")
            .expect("it is JSON");
        crate::schema::check_document(&document).expect("the document is as the schema has it");
        let url = document["url"].as_str().unwrap_or_else(|| panic!("it serves: {document:#}"));
        let address = url.strip_prefix("http://").and_then(|u| u.strip_suffix("/metrics")).expect("a URL");
        Exporter { child, address: address.into(), document }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// A map that it reads, by its name.
    fn map(&self, name: &str) -> Map {
        let maps = self.document["maps"].as_array().expect("a list");
        let id = maps.iter().find(|m| m["name"] == name).map(|m| m["id"].as_u64().expect("an id"));
        Map::open_id(id.expect("the map is named") as u32).expect("the map is there")
    }

    /// The answer to a request: head and body.
    fn ask(&self, request: &str) -> (String, String) {
        ask(&self.address, request)
    }

    /// What is served now.
    fn scrape(&self) -> Page {
        let (head, body) = self.ask(&format!("GET /metrics HTTP/1.1\r\nAccept: {OPEN_METRICS}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
        assert!(body.ends_with("# EOF\n"), "{body}");
        Page(body)
    }

    /// Scrapes until it is so.
    #[track_caller]
    fn scrape_until(&self, is_so: impl Fn(&Page) -> bool) -> Page {
        let since = Instant::now();
        loop {
            let page = self.scrape();
            if is_so(&page) {
                return page;
            }
            assert!(since.elapsed() < PATIENCE, "it did not become so:\n{}", page.0);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a service manager does.
    fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("it runs still");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer of a server to a request: head and body.
pub(crate) fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.write_all(format!("{request}\r\nHost: test\r\n\r\n").as_bytes()).expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.into(), body.into())
}

/// What was served at one moment.
struct Page(String);

impl Page {
    /// All samples: name with labels, and number.
    fn samples(&self) -> BTreeMap<&str, f64> {
        let lines = self.0.lines().filter(|l| !l.starts_with('#'));
        let pairs = lines.map(|l| l.rsplit_once(' ').expect("a sample"));
        pairs.map(|(name, number)| (name, number.parse().expect("a number"))).collect()
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        *self.samples().get(sample).unwrap_or_else(|| panic!("no {sample} in\n{}", self.0))
    }

    /// How many packets bpf/traffic.o has done with. It writes to the ring buffer last, and that is read first: the
    /// other maps of the page have at least as many.
    fn packets(&self) -> f64 {
        let sent =
            self.value("rawbpf_ringbuf_produced_bytes_total{object=\"traffic\",map=\"events\"}") / 16.0;
        sent + self.value("lost_events_total")
    }

    /// The samples of one name.
    fn of(&self, name: &str) -> BTreeMap<&str, f64> {
        let is_it = |sample: &str| sample == name || sample.starts_with(&format!("{name}{{"));
        self.samples().into_iter().filter(|(sample, _)| is_it(sample)).collect()
    }
}

/// Writes a configuration into a directory.
fn config(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("export.toml");
    std::fs::write(&path, text).expect("the configuration is written");
    path
}

/// The configuration of bpf/traffic.o on an interface.
fn traffic_config(interface: &str) -> String {
    format!(
        r#"
[[object]]
path = "{}"
load = {{ xdp = "{interface}" }}

[[metric]]
name = "traffic_bytes_total"
type = "counter"
help = "Bytes by source."
map = "flows"
value = "value.bytes"
labels = {{ source = "key.source", proto = "key.proto", interface = {{ from = "key.ifindex", as = "ifname" }} }}

[[metric]]
name = "traffic_packets"
type = "counter"
map = "traffic/flows"
value = "value.packets"
labels = {{ proto = "key.proto" }}

[[metric]]
name = "cpu_packets"
type = "counter"
map = "flows"
value = "value.packets"
labels = {{ cpu = "cpu", proto = "key.proto" }}
skip_zeros = true

[[metric]]
name = "packet_size_bytes"
type = "histogram"
map = "packet_sizes"
value = "value.slots"
buckets = {{ type = "log2", sum = "value.bytes" }}

[[metric]]
name = "packet_class"
type = "histogram"
map = "size_classes"
scale = 0.001
labels = {{ proto = "key.proto" }}
buckets = {{ type = "linear", slot = "key.slot", width = 100, count = 12 }}

[[metric]]
name = "lost_events"
type = "counter"
map = ".bss"
value = "value.lost_events"
"#,
        crate::net::object("traffic.o")
    )
}

/// An Ethernet frame with an IPv4 header: source 192.0.2.`source`.
pub(crate) fn frame(source: u8, proto: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..6].fill(0xff);
    bytes[6] = 2;
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&(len as u16 - 14).to_be_bytes());
    bytes[23] = proto;
    bytes[26..30].copy_from_slice(&[192, 0, 2, source]);
    bytes
}
