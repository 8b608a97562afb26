//! `rawbpf feature`: what this machine's kernel can do, with reasons.
//!
//! Each line has one of three answers. *unknown* means that the kernel could not be asked, not that it lacks the
//! thing.

mod maps;

use std::io::{self, Write};

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::Kernel;
use rawbpf::insn::Helper;
use rawbpf::kernel::feature::TABLE;
use rawbpf::kernel::{Answer, survey};
use rawbpf::links::{interfaces, xdp_features};
use rawbpf::uapi::{AttachType, LinkType, MapType, ProgType, Release};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::progress::Progress;
use crate::ui::table::Table;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Abilities that loading depends on
    General,
    /// Types of programs
    Progs,
    /// Types of maps
    Maps,
    /// Places that programs are attached to
    Attach,
    /// Types of links
    Links,
    /// Helpers, for each type of program
    Helpers,
    /// Functions of the kernel that programs may call by name
    Kfuncs,
    /// What the drivers of the network interfaces here can do with XDP
    Devices,
}

/// Those that are shown if none is named: what is quick, and fits on a few screens.
const USUAL: &[Section] = &[Section::General, Section::Progs, Section::Maps, Section::Attach, Section::Links];

#[derive(Debug, ClapArgs)]
pub(crate) struct FeatureArgs {
    /// What to ask about; all but helpers, kfuncs and devices if not given
    #[arg(value_name = "SECTION")]
    sections: Vec<Section>,
    /// Only names that contain this text
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Helpers of this type of program only
    #[arg(long = "type", value_name = "TYPE")]
    prog_type: Option<String>,
    /// Only what the kernel does not have, or may not have
    #[arg(long)]
    missing: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    section: &'static str,
    name: String,
    /// Of a helper: the type of program that may call it.
    prog_type: Option<String>,
    answer: &'static str,
    reason: Option<String>,
    since: Option<String>,
    /// Of a kfunc.
    proto: Option<String>,
    module: Option<String>,
    /// What rawbpf does without it.
    without: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct FeatureReport {
    release: String,
    features: Vec<Row>,
}

impl Row {
    fn new(section: &'static str, name: impl Into<String>, answer: Answer, since: Option<Release>) -> Row {
        let (answer, reason) = match answer {
            Answer::Yes => ("yes", None),
            Answer::No(why) => ("no", Some(why)),
            Answer::Unknown(why) => ("unknown", Some(why)),
        };
        let since = since.map(|r| r.to_string());
        let name = name.into();
        Row {
            section,
            name,
            prog_type: None,
            answer,
            reason,
            since,
            proto: None,
            module: None,
            without: None,
        }
    }
}

pub(crate) fn run(args: &FeatureArgs, out: &Output) -> Result<(), CliError> {
    let chosen = match &args.prog_type {
        None => None,
        Some(name) => Some(ProgType::from_name(name).ok_or_else(|| {
            let all: Vec<_> = ProgType::ALL.iter().filter_map(|t| t.name()).collect();
            CliError::Option(format!("`{name}` is not a program type; there are: {}", all.join(", ")))
        })?),
    };
    let kernel = Kernel::host();
    let sections = match args.sections.as_slice() {
        [] if chosen.is_some() => &[Section::Helpers],
        [] => USUAL,
        some => some,
    };
    let mut features = Vec::new();
    let mut progress = Progress::new(out);
    for section in sections {
        section.ask(&kernel, chosen, &mut features, &mut progress);
    }
    drop(progress);
    features.retain(|f| args.name.as_ref().is_none_or(|text| f.name.contains(text.as_str())));
    features.retain(|f| !args.missing || f.answer != "yes");
    out.report("feature", &FeatureReport { release: kernel.release().to_string(), features })
}

impl Section {
    fn ask(self, kernel: &Kernel, only: Option<ProgType>, out: &mut Vec<Row>, progress: &mut Progress) {
        match self {
            Section::General => out.extend(TABLE.iter().map(|def| Row {
                without: Some(def.without),
                ..Row::new("general", def.name, kernel.has(def.feature), Some(def.since))
            })),
            Section::Progs => out.extend(
                ProgType::ALL
                    .iter()
                    .map(|t| Row::new("progs", t.to_string(), survey::prog_type(kernel, *t), t.since())),
            ),
            Section::Maps => out.extend(
                MapType::ALL.iter().map(|t| Row::new("maps", t.to_string(), maps::answer(*t), t.since())),
            ),
            Section::Attach => out.extend(
                AttachType::ALL
                    .iter()
                    .map(|t| Row::new("attach", t.to_string(), survey::attach_type(kernel, *t), t.since())),
            ),
            Section::Links => out.extend(
                LinkType::ALL
                    .iter()
                    .map(|t| Row::new("links", t.to_string(), survey::link_type(kernel, *t), t.since())),
            ),
            Section::Helpers => helpers(kernel, only, out, progress),
            Section::Devices => devices(out),
            Section::Kfuncs => match survey::kfuncs(kernel) {
                Err(why) => out.push(Row::new("kfuncs", "(all)", Answer::Unknown(why), None)),
                Ok(list) => out.extend(list.into_iter().map(|f| Row {
                    proto: Some(f.proto),
                    module: f.module,
                    ..Row::new("kfuncs", f.name, Answer::Yes, None)
                })),
            },
        }
    }
}

/// Native XDP or not, and what else the driver says of itself.
fn devices(out: &mut Vec<Row>) {
    let interfaces = match interfaces() {
        Ok(list) => list,
        Err(e) => return out.push(Row::new("devices", "(all)", Answer::Unknown(e.to_string()), None)),
    };
    for interface in interfaces {
        let (answer, can) = match xdp_features(interface.index) {
            Ok(Some(can)) if can.is_native() => (Answer::Yes, can.names().collect::<Vec<_>>().join(" ")),
            Ok(Some(_)) => (Answer::No("generic XDP only".into()), String::new()),
            Ok(None) => {
                (Answer::Unknown("drivers say what they can do since Linux 6.3".into()), String::new())
            }
            Err(e) => (Answer::Unknown(e.to_string()), String::new()),
        };
        let row = Row::new("devices", interface.name, answer, None);
        out.push(Row { reason: row.reason.or_else(|| (!can.is_empty()).then_some(can)), ..row });
    }
}

/// A type that cannot be loaded gets one line instead of two hundred.
fn helpers(kernel: &Kernel, only: Option<ProgType>, out: &mut Vec<Row>, progress: &mut Progress) {
    for prog_type in ProgType::ALL.iter().copied().filter(|t| only.is_none_or(|only| only == *t)) {
        let of = |row: Row| Row { prog_type: Some(prog_type.to_string()), ..row };
        let loads = survey::prog_type(kernel, prog_type);
        if loads != Answer::Yes {
            let why = match loads {
                Answer::No(why) => Answer::No(format!("there are no such programs: {why}")),
                other => other,
            };
            out.push(of(Row::new("helpers", "(all)", why, None)));
            continue;
        }
        for helper in Helper::ALL {
            progress.at(|| format!("asking for {helper} in {prog_type} programs"));
            let answer = survey::helper(kernel, prog_type, *helper);
            out.push(of(Row::new("helpers", helper.to_string(), answer, helper.since())));
        }
    }
}

impl Report for FeatureReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Linux {}", self.release)?;
        let mut rest = self.features.as_slice();
        while let Some(first) = rest.first() {
            let same = |row: &Row| row.section == first.section && row.prog_type == first.prog_type;
            let (these, after) = rest.split_at(rest.iter().position(|row| !same(row)).unwrap_or(rest.len()));
            rest = after;
            let yes = these.iter().filter(|r| r.answer == "yes").count();
            let of = first.prog_type.as_ref().map_or(String::new(), |t| format!(" of {t} programs"));
            writeln!(out, "\n{}{of}: {yes} of {}", first.section, these.len())?;
            let mut table = Table::new(&[]);
            for row in these {
                let since = row.since.as_ref().map_or(String::new(), |s| format!("since {s}"));
                let mut words = row.reason.clone().or_else(|| row.proto.clone()).unwrap_or_default();
                if let (Some(without), true) = (row.without, row.answer == "no") {
                    words = format!("{words}; {without}");
                }
                table.row(vec![format!("  {}", row.name), row.answer.into(), since, words]);
            }
            table.write(out)?;
        }
        if self.features.is_empty() {
            writeln!(out, "nothing of this name")?;
        }
        Ok(())
    }
}
