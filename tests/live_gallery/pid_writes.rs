//! `pid_writes`: counts that another process reads by a path.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use rawbpf::links::{self, Hook};

use super::{Tool, eventually, fails};
use crate::gate::{LITTLE_ENDIAN, ROOT, TRACEPOINT, require};
use crate::net::{in_namespace, mount_bpffs, rawbpf_json, rawbpf_ok};

#[test]
fn counts_every_write_for_others_to_read() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(TRACEPOINT, Path::new("/sys/kernel/tracing/events/syscalls/sys_enter_write").exists());
    in_namespace(|| {
        mount_bpffs();
        let before = tracing_links();
        let tool = Tool::start("pid_writes", &[]);
        let pinned = tool.line_with("pid_map is at").split(" is at ").nth(1).expect("a path").to_string();
        let recent = tool.line_with("recent_map is at").split(" is at ").nth(1).expect("a path").to_string();
        tool.line_with("counting");
        assert_eq!(pinned, "/sys/fs/bpf/rawbpf/pid_writes/maps/pid_map");
        let mut child = Command::new("dd")
            .args(["if=/dev/zero", "of=/dev/null", "bs=1", "count=1234", "status=none"])
            .spawn()
            .expect("there is a dd");
        let pid = child.id().to_string();
        assert!(child.wait().expect("it ends").success());
        let own = rawbpf_json(&["map", "get", &pinned, &pid]);
        let values = own["values"].as_array().expect("one for each CPU");
        assert_eq!(values.len(), rawbpf::sys::possible_cpus().expect("sysfs tells"));
        let sum: u64 = values.iter().filter_map(serde_json::Value::as_u64).sum();
        assert_eq!((own["sum"].as_u64(), sum), (Some(1234), 1234), "{own}");
        let text = rawbpf_ok(&["map", "get", &pinned, &pid]);
        assert!(text.contains("cpu 0: ") && text.contains(&format!("sum: {sum}")), "{text}");
        assert_eq!(rawbpf_json(&["map", "get", &recent, &pid])["value"].as_u64(), Some(sum));
        assert!(fails("pid_writes", &[]).contains("is taken by a process that is running"));
        let last = tool.end(Signal::SIGINT);
        assert!(
            last.iter().any(|l| l.contains("PID")) && last.iter().any(|l| l.contains("the last to write"))
        );
        assert!(!Path::new("/sys/fs/bpf/rawbpf").exists(), "pins are left");
        eventually("the link is freed", || tracing_links() <= before);
    });
}

/// Links of programs that are called as that of `pid_writes`.
fn tracing_links() -> usize {
    let ours = |hook: &Hook| format!("{hook:?}").contains("sys_enter_write");
    links::list().expect("the links are listed").iter().filter(|link| ours(&link.hook)).count()
}
