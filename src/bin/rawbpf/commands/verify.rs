//! `rawbpf verify`: does the verifier take each program of these objects, and at what cost?
//!
//! Every program is loaded alone, so that one that is refused does not hide the others; nothing is attached or
//! pinned, and when the command ends nothing is left. A saved `--json` report is a baseline to compare with.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args as ClapArgs;
use rawbpf::elf::{MapOrigin, SlotTarget};
use rawbpf::uapi::MapType;
use rawbpf::{Error, Kernel, Object, Options};
use serde::{Deserialize, Serialize};

use crate::options::overrides::Overrides;
use crate::ui::advice::words;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::progress::Progress;
use crate::ui::rejection::Rejection;
use crate::ui::style::{color, count};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// The BPF object files
    #[arg(required = true, value_name = "OBJECT")]
    pub(crate) objects: Vec<PathBuf>,
    /// Verify only this program (may be given several times)
    #[arg(long = "program", value_name = "NAME")]
    pub(crate) programs: Vec<String>,
    /// Compare with this report, made by `verify --json` before
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Fail if the verifier looks at more instructions: N, or more than the baseline by +N or +N% [default with a
    /// baseline: +10%]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) max_insns: Option<Limit>,
    /// Fail if the verifier keeps more states: N, or more than the baseline by +N or +N%
    #[arg(long, value_name = "LIMIT")]
    pub(crate) max_states: Option<Limit>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Serialize)]
struct VerifyReport {
    programs: Vec<Row>,
    /// What is worse than in the baseline, or above a limit.
    regressions: Vec<String>,
    #[serde(skip)]
    verbose: bool,
}

/// A program and what the verifier said of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Row {
    object: String,
    program: String,
    #[serde(default)]
    section: String,
    verdict: String,
    errno: Option<String>,
    /// Why it was refused, in a line.
    #[serde(default)]
    reason: Option<String>,
    /// The cause and what to do, if that is known and it was not the verifier.
    #[serde(default)]
    hint: Option<String>,
    /// Instructions that the verifier looked at.
    insns: Option<u64>,
    /// States that it kept in all.
    #[serde(default)]
    states: Option<u64>,
    /// States that it kept at a time, at most.
    #[serde(default)]
    peak_states: Option<u64>,
    /// How long it took, in microseconds.
    #[serde(default)]
    time_us: Option<u64>,
    /// Bytes of the program after the verifier.
    #[serde(default)]
    size: Option<u64>,
    /// Bytes of its machine code.
    #[serde(default)]
    jit_size: Option<u64>,
    /// Why it was refused, as data.
    #[serde(default, skip_deserializing)]
    rejection: Option<Rejection>,
    /// The verifier's log, if it refused.
    #[serde(default)]
    log: Option<String>,
}

/// A saved report, as far as it is compared with.
#[derive(Debug, Deserialize)]
struct Baseline {
    programs: Vec<Row>,
}

/// How much is too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// `N`: more than this.
    Above(u64),
    /// `+N`: this much more than in the baseline.
    Grown(u64),
    /// `+N%`: this part more than in the baseline.
    GrownPercent(f64),
}

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        let wrong = || format!("`{text}` is none of N, +N and +N%");
        let Some(grown) = text.strip_prefix('+') else {
            return text.parse().map(Limit::Above).map_err(|_| wrong());
        };
        match grown.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 0.0..=f64::MAX) => Ok(Limit::GrownPercent(percent)),
                _ => Err(wrong()),
            },
            None => grown.parse().map(Limit::Grown).map_err(|_| wrong()),
        }
    }
}

impl Limit {
    /// What is wrong with this number; `before` is the baseline's.
    fn exceeded(self, what: &str, now: u64, before: Option<u64>) -> Option<String> {
        let most = match (self, before) {
            (Limit::Above(most), _) => most,
            (_, None) => return None,
            (Limit::Grown(by), Some(before)) => before.saturating_add(by),
            (Limit::GrownPercent(by), Some(before)) => (before as f64 * (1.0 + by / 100.0)) as u64,
        };
        let was = before.map_or(String::new(), |b| format!(", {b} in the baseline"));
        (now > most).then(|| format!("{now} {what}{was}; the limit is {most}"))
    }
}

pub(crate) fn run(args: &VerifyArgs, out: &Output) -> Result<(), CliError> {
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let mut objects = Vec::new();
    for path in &args.objects {
        objects.push((path, args.overrides.object(path)?));
    }
    let kernel = args.overrides.kernel()?;
    let mut programs = Vec::new();
    let mut progress = Progress::new(out);
    let all: usize = objects.iter().map(|(_, object)| object.programs.len()).sum();
    for (path, object) in &mut objects {
        detach_from_the_world(object);
        for program in object.programs.iter().map(|p| (p.name(), p.section.as_str())) {
            if args.programs.is_empty() || args.programs.iter().any(|name| name == program.0) {
                progress.at(|| format!("{} of {all} programs", programs.len()));
                programs.push(verify(path, object, program, &kernel, args.overrides.options()));
            }
        }
    }
    drop(progress);
    let mut regressions = regressions(args, &programs, baseline.as_ref());
    if args.programs.is_empty() {
        regressions.extend(gone(&args.objects, &programs, baseline.as_ref()));
    }
    let rejected = programs.iter().any(|row| row.verdict != "success");
    let report = VerifyReport { programs, regressions, verbose: out.is_verbose() };
    out.report("verify", &report)?;
    if rejected || !report.regressions.is_empty() { Err(CliError::Reported(1)) } else { Ok(()) }
}

fn read_baseline(path: &Path) -> Result<Baseline, CliError> {
    let text = std::fs::read(path).map_err(CliError::io(format!("read the baseline {}", path.display())))?;
    serde_json::from_slice(&text).map_err(|e| {
        CliError::Option(format!(
            "--baseline: {} is not a report of `rawbpf verify --json`: {e}",
            path.display()
        ))
    })
}

/// Pins would outlive the command; sizes that a tool would give its maps at run time are made valid.
fn detach_from_the_world(object: &mut Object) {
    for map in &mut object.maps {
        map.pin_by_name = false;
        // Each program is loaded without the others, so there is nothing to put there.
        map.slots.retain(|(_, target)| !matches!(target, SlotTarget::Program(_)));
        let sized = matches!(map.origin, MapOrigin::Declared) && map.map_type != MapType::PerfEventArray;
        if sized && map.max_entries == 0 && takes_entries(map.map_type) {
            map.max_entries = 1;
        }
    }
}

/// False for the maps that must be created with `max_entries` 0.
fn takes_entries(map_type: MapType) -> bool {
    !matches!(
        map_type,
        MapType::SkStorage
            | MapType::InodeStorage
            | MapType::TaskStorage
            | MapType::CgrpStorage
            | MapType::CgroupStorage
            | MapType::PercpuCgroupStorage
    )
}

fn verify(path: &Path, object: &Object, program: (&str, &str), kernel: &Kernel, options: Options) -> Row {
    /// Only statistics: `BPF_LOG_STATS`.
    const STATS: u32 = 4;
    let mut row = Row {
        object: path.display().to_string(),
        program: program.0.into(),
        section: program.1.into(),
        ..Row::default()
    };
    let options = Options { only: vec![program.0.into()], log_level: STATS, ..options };
    let began = Instant::now();
    let loaded = object.plan(kernel, &options).map_err(Error::from).and_then(|plan| Ok(plan.run()?));
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    match loaded {
        Ok(loaded) => {
            row.verdict = "success".into();
            row.statistics(loaded.logs().first().map_or("", |log| &log.text));
            row.time_us = row.time_us.or(Some(took));
            let info = loaded.program(program.0).and_then(|p| p.info().ok());
            if let Some(info) = info {
                row.insns = row.insns.or((info.verified_insns > 0).then_some(info.verified_insns.into()));
                row.size = Some(info.xlated_size.into());
                row.jit_size = (info.jited_size > 0).then_some(info.jited_size.into());
            }
        }
        Err(e) => row.refused(again(object, kernel, &options).unwrap_or(e)),
    }
    row
}

/// A program that was refused is loaded once more, for a log that says why.
fn again(object: &Object, kernel: &Kernel, options: &Options) -> Option<Error> {
    let options = Options { log_level: 1, ..options.clone() };
    object.plan(kernel, &options).map_err(Error::from).and_then(|plan| Ok(plan.run()?)).err()
}

impl Row {
    fn refused(&mut self, e: Error) {
        self.verdict = "failure".into();
        self.errno = e.errno().map(|errno| errno.name());
        let mut reason = e.to_string();
        let mut at = std::error::Error::source(&e);
        while let Some(cause) = at {
            reason.push_str(&format!(": {cause}"));
            at = cause.source();
        }
        self.reason = Some(reason);
        self.rejection = Rejection::of(&e);
        self.hint = e.advice().filter(|_| self.rejection.is_none()).map(|advice| words(&advice));
        if let Error::Load(rawbpf::loader::LoadError::Program { log, .. }) = &e {
            self.statistics(&log.text);
            self.log = (!log.text.is_empty()).then(|| log.text.clone());
        }
    }

    /// Reads `processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 ...`, and
    /// `verification time 35 usec`.
    fn statistics(&mut self, log: &str) {
        let words: Vec<&str> = log.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().rposition(|w| *w == word)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        self.insns = after("processed");
        self.states = after("total_states");
        self.peak_states = after("peak_states");
        self.time_us = after("time");
    }
}

/// Programs of the baseline that the same objects no longer have: nothing is known of them any more.
fn gone(objects: &[PathBuf], rows: &[Row], baseline: Option<&Baseline>) -> Vec<String> {
    let old = baseline.map(|b| b.programs.as_slice()).unwrap_or_default();
    let is_here = |name: &PathBuf| objects.iter().any(|path| file_name_of(path) == *name);
    let mut out = Vec::new();
    for old in old.iter().filter(|old| is_here(&file_name(&old.object))) {
        let same = |row: &Row| row.program == old.program && file_name(&row.object) == file_name(&old.object);
        if !rows.iter().any(same) {
            out.push(format!(
                "{} {}: it is in the baseline and no longer in the object",
                old.object, old.program
            ));
        }
    }
    out
}

/// What is worse than it was, or than it may be.
fn regressions(args: &VerifyArgs, rows: &[Row], baseline: Option<&Baseline>) -> Vec<String> {
    let mut out = Vec::new();
    for row in rows {
        let same =
            |old: &&Row| old.program == row.program && file_name(&old.object) == file_name(&row.object);
        let old = baseline.and_then(|b| b.programs.iter().find(same));
        let mut say = |what: String| out.push(format!("{} {}: {what}", row.object, row.program));
        if old.is_some_and(|old| old.verdict == "success") && row.verdict != "success" {
            say("it was accepted in the baseline".into());
        }
        // A baseline alone means something as well.
        let max_insns = args.max_insns.or(baseline.map(|_| Limit::GrownPercent(10.0)));
        let limits = [
            (max_insns, "instructions", row.insns, old.and_then(|o| o.insns)),
            (args.max_states, "states", row.states, old.and_then(|o| o.states)),
        ];
        for (limit, what, now, before) in limits {
            let over = limit.zip(now).and_then(|(limit, now)| limit.exceeded(what, now, before));
            over.into_iter().for_each(&mut say);
        }
    }
    out
}

/// Objects are built in different directories; their names tell them apart.
fn file_name(path: &str) -> PathBuf {
    file_name_of(Path::new(path))
}

fn file_name_of(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

impl Report for VerifyReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table =
            Table::new(&["OBJECT", "PROGRAM", "VERDICT", "INSNS", "STATES", "PEAK", "TIME", "SIZE", "JIT"]);
        let number = |n: Option<u64>| n.map_or("-".to_string(), |n| n.to_string());
        for row in &self.programs {
            let verdict = match &row.errno {
                Some(errno) => format!("{} ({errno})", row.verdict),
                None => row.verdict.clone(),
            };
            table.row(vec![
                file_name(&row.object).display().to_string(),
                row.program.clone(),
                verdict,
                number(row.insns),
                number(row.states),
                number(row.peak_states),
                row.time_us.map_or("-".into(), |us| format!("{us} us")),
                number(row.size),
                number(row.jit_size),
            ]);
        }
        table.write(out)?;
        for row in self.programs.iter().filter(|r| r.verdict != "success") {
            writeln!(out, "\n{} ({}):", row.program, row.object)?;
            if let Some(log) = row.log.as_ref().filter(|_| self.verbose) {
                writeln!(out, "{}", log.trim_end())?;
            }
            match &row.rejection {
                Some(rejection) => write!(out, "{}", rejection.screen(color(&io::stdout())))?,
                None => writeln!(out, "  {}", row.reason.as_deref().unwrap_or("refused"))?,
            }
            if let Some(hint) = &row.hint {
                writeln!(out, "  help: {hint}")?;
            }
        }
        if !self.regressions.is_empty() {
            writeln!(out, "\n{}:", count(self.regressions.len(), "regression"))?;
            for r in &self.regressions {
                writeln!(out, "  {r}")?;
            }
        }
        let failed = self.programs.iter().filter(|r| r.verdict != "success").count();
        let all = self.programs.len();
        writeln!(out, "\n{}: {} accepted, {failed} refused", count(all, "program"), all - failed)
    }
}
