//! Advice in the command's own words: which verb or option does what the library says.

use rawbpf::links::Remedy;
use rawbpf::sys::ObjectKind;
use rawbpf::{Advice, NextStep};

/// Why it failed, and what to do.
pub(crate) fn words(advice: &Advice) -> String {
    match &advice.step {
        None => advice.why.clone(),
        Some(next) if advice.why.is_empty() => step(next),
        Some(next) => format!("{}; {}", advice.why, step(next)),
    }
}

fn step(step: &NextStep) -> String {
    match step {
        NextStep::List(kind) => {
            let verb = match kind {
                ObjectKind::Prog => "prog",
                ObjectKind::Map => "map",
                ObjectKind::Btf => "btf",
                ObjectKind::Link => "link",
            };
            format!("`rawbpf {verb} list` shows what is there")
        }
        NextStep::ListPins => {
            "`rawbpf prog list` and `rawbpf map list` show what is pinned, and where".into()
        }
        NextStep::ListElements => "`rawbpf map dump` lists those that are there".into(),
        NextStep::ShowMap => "`rawbpf map show` shows its flags".into(),
        NextStep::ListAttachments => "`rawbpf attachments` shows who is attached where".into(),
        NextStep::ListFeatures => "`rawbpf feature` shows what it has".into(),
        NextStep::ShowCalls => {
            "run it again with --explain: that shows each field that the kernel was asked with".into()
        }
        NextStep::Grant(_) => format!("{step} (`rawbpf doctor OBJECT` has the line)"),
        NextStep::UseToken => format!("{step}, given by --token DIR"),
        NextStep::GiveBtf => "give the kernel's types with --btf FILE".into(),
        NextStep::GiveKconfig(name) => format!("give another with --kconfig FILE (a line {name}=...)"),
        NextStep::NameType(program) => format!(
            "name the type with --type {program}=SECTION, or put it in one of the sections that `rawbpf sections` lists"
        ),
        NextStep::NameTarget(program) => {
            format!("say which with --onto {program}=TARGET[:FUNCTION], where TARGET is a loaded program")
        }
        NextStep::Attach(remedy) => attach(remedy),
        other => other.to_string(),
    }
}

fn attach(remedy: &Remedy) -> String {
    match remedy {
        Remedy::MakeRoom => "unload it first, or replace it with --replace if rawbpf loaded it".into(),
        Remedy::Mode(modes) => {
            let names: Vec<&str> = modes.iter().map(|m| m.name()).collect();
            format!("use --xdp-mode {}", names.join(" or "))
        }
        Remedy::LowerMtu(interface) => {
            format!("lower it with `ip link set {interface} mtu 1500`, or use --xdp-mode generic")
        }
        Remedy::UpdateLink(id) => format!("put the new program behind it: rawbpf link update id {id}"),
        Remedy::NameMap => "name the map with --map".into(),
        Remedy::NameProcess => "name the process with --pid".into(),
        other => other.to_string(),
    }
}
