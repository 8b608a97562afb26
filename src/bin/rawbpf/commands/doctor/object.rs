//! What an object needs of this machine, each with an answer.

use std::error::Error as _;

use rawbpf::kernel::Answer;
use rawbpf::kernel::policy::Policy;
use rawbpf::uapi::ProgType;
use rawbpf::{Kernel, Object, Options};

use super::grant::Grant;
use super::row::Row;

pub(super) fn rows(
    object: &Object,
    kernel: &Kernel,
    policy: &Policy,
    grant: &Grant,
    options: Options,
) -> Vec<Row> {
    let mut out: Vec<Row> = grant.rows(policy);
    out.extend(lockdown(object, policy));
    out.extend(releases(object, kernel));
    out.extend(planned(object, kernel, &options));
    out
}

/// Which of its requirements the kernel's release brings.
fn releases(object: &Object, kernel: &Kernel) -> Vec<Row> {
    let release = kernel.release();
    let row = |r: rawbpf::elf::Requirement| {
        let what = format!("{} {}", r.kind, r.what);
        let users = r.used_by.join(", ");
        match r.since {
            None => {
                Row::new(what, Answer::Unknown(format!("for {users}; not known to this version of rawbpf")))
            }
            Some(since) if since <= release => {
                Row::new(what, Answer::Yes).because(format!("Linux {since}; for {users}"))
            }
            Some(since) => {
                Row::new(what, Answer::No(format!("it came with Linux {since}; for {users}"))).needed()
            }
        }
    };
    object.requirements().into_iter().map(row).collect()
}

/// Lockdown forbids tracing to everybody.
fn lockdown(object: &Object, policy: &Policy) -> Option<Row> {
    let traces = |t: ProgType| {
        matches!(
            t,
            ProgType::Kprobe | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::Tracing | ProgType::Lsm
        )
    };
    let tracing: Vec<&str> =
        object.programs.iter().filter(|p| p.prog_type.is_some_and(traces)).map(|p| p.name()).collect();
    if tracing.is_empty() {
        return None;
    }
    let what = "permission to trace the kernel";
    Some(match policy.lockdown.as_deref() {
        Some("confidentiality") => {
            let why = format!(
                "lockdown is confidentiality, which forbids it even to root; for {}",
                tracing.join(", ")
            );
            Row::new(what, Answer::No(why)).needed()
        }
        _ => Row::new(what, Answer::Yes).because(format!("for {}", tracing.join(", "))),
    })
}

/// What the kernel's types and functions must have: each program is planned alone.
fn planned(object: &Object, kernel: &Kernel, options: &Options) -> Vec<Row> {
    let mut out = Vec::new();
    for program in object.programs.iter().filter(|p| p.autoload) {
        let what = format!("program `{}` fits this kernel's types", program.name());
        let options = Options { only: vec![program.name().into()], ..options.clone() };
        match object.plan(kernel, &options) {
            Ok(plan) => {
                let missing: Vec<String> =
                    plan.programs.iter().flat_map(|p| &p.poisons).map(|(_, lack)| lack.to_string()).collect();
                out.push(if missing.is_empty() {
                    Row::new(what, Answer::Yes)
                } else {
                    // Code that does not run here may use it.
                    Row::new(
                        what,
                        Answer::Unknown(format!("it uses what is not there: {}", missing.join("; "))),
                    )
                });
            }
            Err(e) => {
                let cause = e.source().map_or(String::new(), |c| format!(": {c}"));
                out.push(Row::new(what, Answer::No(format!("{e}{cause}"))).needed());
            }
        }
    }
    out
}
