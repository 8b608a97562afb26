//! A real Prometheus reads what is served.
//!
//! It takes some seconds: the server has to start, and to scrape twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::{Exporter, PATIENCE, config, frame, traffic_config};
use crate::gate::{HOST, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, up};

/// In a network namespace of the test's own every port is free.
const ADDRESS: &str = "127.0.0.1:9090";

struct Prometheus(Child);

impl Prometheus {
    fn start(dir: &Path, target: &str) -> Prometheus {
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
             scrape_configs: [ {{ job_name: rawbpf, static_configs: [ {{ targets: ['{target}'] }} ] }} ]\n"
        );
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, text).expect("its configuration is written");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed: make deps");
        Prometheus(child)
    }

    /// Asks its HTTP API; `None` as long as it is not there.
    fn ask(path: &str) -> Option<Json> {
        let mut stream = TcpStream::connect(ADDRESS).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        serde_json::from_str(body).ok()
    }

    /// What a query gives: the numbers of all series that it finds.
    fn query(query: &str) -> Vec<f64> {
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        let answer = Prometheus::ask(&format!("/api/v1/query?query={encoded}")).unwrap_or_default();
        let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let number = |series: &Json| series["value"][1].as_str().and_then(|n| n.parse().ok());
        result.iter().filter_map(number).collect()
    }

    /// Asks until it is so.
    #[track_caller]
    fn wait<T>(what: &str, is_so: impl Fn() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(so) = is_so() {
                return so;
            }
            assert!(since.elapsed() < PATIENCE, "{what}: {:?}", Prometheus::ask("/api/v1/targets"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_reads_what_the_maps_hold() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let dir = tempfile::tempdir().expect("a directory");
        let exporter = Exporter::start(&config(dir.path(), &traffic_config("near0")));
        let _prometheus = Prometheus::start(dir.path(), &exporter.address);
        // Half of the packets are small, half are large.
        (0..10).for_each(|_| veth.send_frame(&frame(1, 17, 60)));
        (0..10).for_each(|_| veth.send_frame(&frame(2, 6, 1000)));
        let page = exporter.scrape_until(|page| page.packets() == 20.0);
        Prometheus::wait("the target is up", || {
            let targets = Prometheus::ask("/api/v1/targets")?;
            let target = &targets["data"]["activeTargets"][0];
            (target["health"] == "up" && target["lastError"] == "").then_some(())
        });
        Prometheus::wait("all packets are seen", || {
            (Prometheus::query("sum(traffic_packets_total)") == [20.0]).then_some(())
        });
        // Each series is what was served, and that is what the map holds (traffic.rs).
        for (sample, value) in page.samples().into_iter().filter(|(name, _)| !name.starts_with("rawbpf_")) {
            assert_eq!(Prometheus::query(sample), [value], "{sample}");
        }
        assert_eq!(Prometheus::query("traffic_bytes_total{source=\"192.0.2.2\"}"), [10000.0]);
        assert_eq!(Prometheus::query("rawbpf_map_up == 0"), Vec::<f64>::new());
        assert_eq!(Prometheus::query("up"), [1.0]);
        for (quantile, from, to) in [(0.25, 31.0, 63.0), (0.5, 31.0, 63.0), (0.75, 511.0, 1023.0)] {
            let got = Prometheus::query(&format!("histogram_quantile({quantile}, packet_size_bytes_bucket)"));
            assert!(matches!(got[..], [n] if n > from && n <= to), "{quantile}: {got:?}");
        }
        promtool(&exporter);
        exporter.stop();
    });
}

/// `promtool check metrics` finds nothing to say of the page.
fn promtool(exporter: &Exporter) {
    let (_, body) = exporter.ask("GET /metrics HTTP/1.1");
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed: make deps");
    child.stdin.take().expect("its input").write_all(body.as_bytes()).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success() && said.trim().is_empty(), "{said}\n{body}");
}
