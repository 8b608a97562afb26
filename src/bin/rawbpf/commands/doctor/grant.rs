//! The least that has to be granted for an object, as lines to copy.

use std::io::{self, Write};
use std::path::PathBuf;

use rawbpf::kernel::Answer;
use rawbpf::kernel::policy::{Cap, Policy, caps_of_map, caps_of_program};
use rawbpf::uapi::{ProgType, Release};
use rawbpf::{Kernel, Object};
use serde::Serialize;

use super::row::Row;

/// Capabilities, and the ways to give them.
#[derive(Debug, Serialize)]
pub(super) struct Grant {
    /// The least set.
    capabilities: Vec<String>,
    /// What each is for.
    because: Vec<(String, String)>,
    setcap: String,
    systemd: Vec<String>,
    kubernetes: Vec<String>,
    /// What else there is to know.
    notes: Vec<String>,
    #[serde(skip)]
    caps: Vec<Cap>,
}

/// What an object takes on this kernel.
pub(super) fn of(object: &Object, kernel: &Kernel, policy: &Policy, file: Option<PathBuf>) -> Grant {
    let release = kernel.release();
    let mut because: Vec<(Cap, String)> = Vec::new();
    let mut add = |caps: &[Cap], what: String| {
        for cap in caps {
            // CAP_BPF and CAP_PERFMON are of Linux 5.8.
            let cap = if release < Release(5, 8, 0) && *cap != Cap::NetAdmin { Cap::SysAdmin } else { *cap };
            match because.iter_mut().find(|(c, _)| *c == cap) {
                Some((_, list)) if list.split(", ").any(|w| w == what) => {}
                Some((_, list)) => list.push_str(&format!(", {what}")),
                None => because.push((cap, what.clone())),
            }
        }
    };
    for program in object.programs.iter().filter(|p| p.autoload) {
        if let Some(ty) = program.prog_type {
            add(caps_of_program(ty), format!("programs of type {ty}"));
            let strict = policy.perf_event_paranoid.is_some_and(|level| level >= 3);
            if strict && uses_perf(ty) {
                add(&[Cap::SysAdmin], "kernel.perf_event_paranoid of 3 or more".into());
            }
        }
    }
    for map in &object.maps {
        add(caps_of_map(map.map_type), format!("maps of type {}", map.map_type));
    }
    because.sort();
    because.reverse();
    let caps: Vec<Cap> = because.iter().map(|(c, _)| *c).collect();
    lines(caps, because, release, file)
}

fn uses_perf(ty: ProgType) -> bool {
    matches!(ty, ProgType::Kprobe | ProgType::Tracepoint | ProgType::PerfEvent)
}

fn lines(caps: Vec<Cap>, because: Vec<(Cap, String)>, release: Release, file: Option<PathBuf>) -> Grant {
    let file = file.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| "FILE".into());
    let names: Vec<&str> = caps.iter().map(|c| c.name()).collect();
    let set = names.join(" ");
    let mut systemd = vec![
        format!("AmbientCapabilities={set}"),
        format!("CapabilityBoundingSet={set}"),
        "NoNewPrivileges=yes".into(),
    ];
    let mut notes = Vec::new();
    if release < Release(5, 11, 0) {
        systemd.push("LimitMEMLOCK=infinity".into());
        notes.push("before Linux 5.11 maps count as locked memory: raise the limit as well".into());
    }
    if !caps.contains(&Cap::Perfmon) && !caps.contains(&Cap::SysAdmin) {
        notes.push(
            "a program that computes with addresses (data_end - data, a pointer kept in a map) takes CAP_PERFMON as well: \
             the verifier decides that, `rawbpf verify` under these capabilities asks it"
                .into(),
        );
    }
    notes.push(
        "pins are made in /sys/fs/bpf, which belongs to root: chown a directory there for another user"
            .into(),
    );
    let short: Vec<&str> = names.iter().map(|n| n.strip_prefix("CAP_").unwrap_or(n)).collect();
    let kubernetes = [
        "securityContext:".to_string(),
        "  runAsUser: 0".into(),
        "  allowPrivilegeEscalation: false".into(),
        "  capabilities:".into(),
        "    drop: [\"ALL\"]".into(),
        format!("    add: [{}]", short.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")),
    ];
    Grant {
        setcap: format!("setcap {}+ep {}", names.join(",").to_lowercase(), file.display()),
        systemd,
        kubernetes: kubernetes.into(),
        notes,
        capabilities: names.iter().map(|n| n.to_string()).collect(),
        because: because.into_iter().map(|(c, why)| (c.name().into(), why)).collect(),
        caps,
    }
}

impl Grant {
    /// Whether the process has each.
    pub(super) fn rows(&self, policy: &Policy) -> Vec<Row> {
        let row = |(cap, (name, why)): (&Cap, &(String, String))| {
            let why = format!("for {why}");
            if policy.user_namespace == Some(true) {
                let why = format!("{why}; in a user namespace it does not count");
                return Row::new(name.clone(), Answer::No(why)).needed();
            }
            if policy.has(*cap) {
                Row::new(name.clone(), Answer::Yes).because(why)
            } else {
                Row::new(name.clone(), Answer::No(why)).needed()
            }
        };
        self.caps.iter().zip(&self.because).map(row).collect()
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nThe least to grant: {}", self.capabilities.join(" "))?;
        writeln!(out, "  {}", self.setcap)?;
        writeln!(out, "\nA systemd unit, under [Service]:")?;
        self.systemd.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        writeln!(out, "\nA Kubernetes container:")?;
        self.kubernetes.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        writeln!(out)?;
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
    }
}
