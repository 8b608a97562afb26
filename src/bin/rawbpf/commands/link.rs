//! `rawbpf link`: the attachments that are objects of their own.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use rawbpf::Link;
use rawbpf::deploy::{PinPart, Selector, Store, pinned};
use rawbpf::links::inventory::{By, Problem};
use rawbpf::links::{self, Attachment, LinkInfo, Scope, inventory};
use rawbpf::sys::Errno;
use serde::Serialize;

use crate::options::scope::{ScopeArgs, scope};
use crate::select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;
use crate::values::json::plain;

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// List all links
    List(ScopeArgs),
    /// Show everything the kernel reports about one link; without a selector, list all links
    Show(LinkShowArgs),
    /// Detach a program by force, even if others hold the link
    Detach(LinkArgs),
    /// Replace the program behind a link, atomically
    Update(LinkUpdateArgs),
    /// Pin a link in a bpffs, so that it outlives the process that holds it
    Pin(LinkPinArgs),
}

/// A link.
#[derive(Debug, ClapArgs)]
pub(crate) struct LinkArgs {
    /// Which link: `id N`, the path of its pin, or the name of a pin that `load` made (NAME, LOAD/NAME)
    #[arg(required = true, num_args = 1..=2, value_name = "LINK")]
    pub(crate) link: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkShowArgs {
    /// Which link: `id N`, the path of its pin, or the name of a pin that `load` made (NAME, LOAD/NAME)
    #[arg(num_args = 0..=2, value_name = "LINK")]
    pub(crate) link: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkUpdateArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// The new program: NAME, LOAD/NAME, its id, or the path of its pin
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) to: String,
    /// Only if this program is behind it now: NAME, LOAD/NAME, its id, or the path of its pin
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LinkPinArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// The path, in a bpffs
    #[arg(long, value_name = "PATH")]
    pub(crate) at: PathBuf,
}

impl LinkCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            LinkCommand::List(_) => "link list",
            LinkCommand::Show(_) => "link show",
            LinkCommand::Detach(_) => "link detach",
            LinkCommand::Update(_) => "link update",
            LinkCommand::Pin(_) => "link pin",
        }
    }
}

/// Carries a verb of `rawbpf link` out.
pub(crate) fn run(command: &LinkCommand, out: &Output) -> Result<(), CliError> {
    match command {
        LinkCommand::List(args) => list(args, out),
        LinkCommand::Show(args) => show(args, out),
        LinkCommand::Detach(args) => detach(args, out),
        LinkCommand::Update(args) => update(args, out),
        LinkCommand::Pin(args) => pin(args, out),
    }
}

#[derive(Debug, Serialize)]
struct LinkRow {
    id: u32,
    #[serde(rename = "type")]
    link_type: String,
    prog_id: u32,
    program: Option<String>,
    hook: String,
    detail: String,
    /// The kernel's own fields.
    info: serde_json::Value,
    pinned: Vec<PathBuf>,
    held_by: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LinkList {
    links: Vec<LinkRow>,
}

#[derive(Debug, Serialize)]
struct LinkShow {
    link: LinkRow,
}

/// Something was done to a link.
#[derive(Debug, Serialize)]
struct LinkDone {
    id: u32,
    hook: String,
    #[serde(skip)]
    text: String,
}

fn list(args: &ScopeArgs, out: &Output) -> Result<(), CliError> {
    out.report("link list", &LinkList { links: noted(&scope(args)?, out)? })
}

fn show(args: &LinkShowArgs, out: &Output) -> Result<(), CliError> {
    if args.link.is_empty() {
        return out.report("link show", &LinkList { links: noted(&Scope::Here, out)? });
    }
    let (_, info) = find(&args.link)?;
    out.report("link show", &LinkShow { link: one(&info)? })
}

fn detach(args: &LinkArgs, out: &Output) -> Result<(), CliError> {
    let (link, info) = find(&args.link)?;
    let row = one(&info)?;
    link.detach().map_err(|e| match e.errno {
        Errno::EOPNOTSUPP | Errno::ENOTSUPP => CliError::Option(not_by_force(&row)),
        _ => CliError::sys(format!("detach link {}", info.id))(e),
    })?;
    let text = format!("detached {}, link {}", row.hook, info.id);
    out.report("link detach", &LinkDone { id: info.id, hook: row.hook, text })
}

/// What there is to do about a link that cannot be detached by force.
fn not_by_force(row: &LinkRow) -> String {
    let pins: Vec<String> = row.pinned.iter().map(|p| format!("remove the pin {}", p.display())).collect();
    let holders: Vec<String> = row.held_by.iter().map(|h| format!("end {h}")).collect();
    let all: Vec<String> = pins.into_iter().chain(holders).collect();
    let how = if all.is_empty() { "nothing that can be seen holds it".into() } else { all.join(", and ") };
    format!(
        "link {} is of type {}, which cannot be detached by force: it ends with the last pin and descriptor; to detach \
         it, {how}",
        row.id, row.link_type
    )
}

fn update(args: &LinkUpdateArgs, out: &Output) -> Result<(), CliError> {
    let (link, info) = find(&args.link.link)?;
    let row = one(&info)?;
    let new = select::program_of_word(&args.to)?.program;
    let old = args.from.as_deref().map(select::program_of_word).transpose()?.map(|found| found.program);
    link.update(&new, old.as_ref()).map_err(|e| match e.errno {
        Errno::EPERM if old.is_some() => CliError::Option(format!(
            "link {}: the program behind it is {} and not the one given by --from",
            info.id,
            row.program_text()
        )),
        Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTSUPP => CliError::Option(format!(
            "link {} is of type {}, and either such links take no other program, or `{}` does not fit: type and attach \
             type have to be the same",
            info.id,
            row.link_type,
            new.name()
        )),
        _ => CliError::sys(format!("update link {}", info.id))(e),
    })?;
    let text =
        format!("{}, link {}: {} in the place of {}", row.hook, info.id, new.name(), row.program_text());
    out.report("link update", &LinkDone { id: info.id, hook: row.hook, text })
}

fn pin(args: &LinkPinArgs, out: &Output) -> Result<(), CliError> {
    let (link, info) = find(&args.link.link)?;
    let row = one(&info)?;
    link.pin(&args.at).map_err(CliError::sys(format!("pin link {} at {}", info.id, args.at.display())))?;
    let text = format!("pinned {}, link {}, at {}", row.hook, info.id, args.at.display());
    out.report("link pin", &LinkDone { id: info.id, hook: row.hook, text })
}

/// All links, by id; and a note of what could not be looked at, such as who holds them.
fn noted(scope: &Scope, out: &Output) -> Result<Vec<LinkRow>, CliError> {
    let (rows, problems) = rows(scope)?;
    problems.iter().for_each(|problem| out.note(&format!("note: {problem}")));
    Ok(rows)
}

/// All links, by id, and what could not be looked at.
fn rows(scope: &Scope) -> Result<(Vec<LinkRow>, Vec<Problem>), CliError> {
    // The inventory goes on without what it may not see; here that would be all.
    links::list().map_err(CliError::sys("list the links"))?;
    let found = inventory(scope);
    let mut rows: Vec<LinkRow> = found.attachments.iter().filter_map(row).collect();
    rows.sort_by_key(|r| r.id);
    Ok((rows, found.problems))
}

fn row(a: &Attachment) -> Option<LinkRow> {
    let By::Link { id, link_type } = &a.by else { return None };
    let hook = match a.kind() {
        "xdp" => format!("XDP on {}", a.place),
        kind => format!("{kind} {}", a.place).trim_end().into(),
    };
    Some(LinkRow {
        id: *id,
        link_type: link_type.to_string(),
        prog_id: a.prog_id,
        program: a.program.clone(),
        hook,
        detail: a.detail.clone(),
        info: crate::ui::hook::json(a),
        pinned: a.pins.clone(),
        held_by: a.holders.iter().map(|h| format!("{} ({})", h.name, h.pid)).collect(),
    })
}

/// The row of one link.
fn one(info: &LinkInfo) -> Result<LinkRow, CliError> {
    // This process holds it too by now, and is none of those that the user wants to know.
    let own = format!("({})", std::process::id());
    let found = rows(&Scope::Here)?.0.into_iter().find(|r| r.id == info.id);
    let mut row = found.ok_or_else(|| CliError::NoSuch {
        what: "link",
        wanted: format!("with id {}", info.id),
        near: String::new(),
    })?;
    row.held_by.retain(|h| !h.ends_with(&own));
    Ok(row)
}

/// Finds the link that `words` name: `id N`, a path, or the name of a pin of `rawbpf load`.
fn find(words: &[String]) -> Result<(Link, LinkInfo), CliError> {
    let bad = || CliError::BadSelector { what: "link", words: words.join(" ") };
    let link = match Selector::read(words).ok_or_else(bad)? {
        Selector::Id(id) => Link::open_id(id).map_err(|e| match e.errno {
            Errno::ENOENT => {
                CliError::NoSuch { what: "link", wanted: format!("with id {id}"), near: String::new() }
            }
            _ => CliError::sys(format!("open the link with id {id}"))(e),
        })?,
        Selector::Path(path) => Link::open_pin(&path).map_err(CliError::pin("link", &path))?,
        Selector::Name(name) => open(&by_name(None, &name)?)?,
        Selector::In { load, name } => open(&by_name(Some(&load), &name)?)?,
        // Only programs have tags.
        Selector::Tag(_) => return Err(bad()),
    };
    let info = link.info().map_err(CliError::sys("ask the kernel about the link"))?;
    Ok((link, info))
}

fn open(path: &Path) -> Result<Link, CliError> {
    Link::open_pin(path).map_err(CliError::pin("link", path))
}

/// The path of the only pin of this name.
fn by_name(load: Option<&str>, name: &str) -> Result<PathBuf, CliError> {
    let store = Store::of_machine();
    let found = pinned(&store, PinPart::Links, load, name)?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let mut all = Vec::new();
            for entry in store.entries()? {
                all.extend(entry.pins(PinPart::Links)?);
            }
            let known: Vec<&str> = all.iter().map(|(pin, _)| pin.as_str()).collect();
            let near =
                if known.is_empty() { String::new() } else { format!("; pinned are: {}", known.join(", ")) };
            Err(CliError::NoSuch { what: "link", wanted: format!("pinned as `{name}`"), near })
        }
        many => {
            let list = many.iter().map(|p| format!("  {}", p.display())).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "link", name: name.into(), count: many.len(), list })
        }
    }
}

impl LinkRow {
    fn program_text(&self) -> String {
        match &self.program {
            Some(name) => format!("{name} (id {})", self.prog_id),
            None if self.prog_id == 0 => "-".into(),
            None => format!("id {}", self.prog_id),
        }
    }

    fn pins_text(&self) -> String {
        let pins: Vec<String> = self.pinned.iter().map(|p| p.display().to_string()).collect();
        if pins.is_empty() { "-".into() } else { pins.join(",") }
    }
}

impl Report for LinkList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.links.is_empty() {
            return writeln!(out, "no links");
        }
        let mut table = Table::new(&["ID", "TYPE", "HOOK", "PROGRAM", "PINNED"]);
        for l in &self.links {
            let link_type = l.link_type.clone();
            table.row(vec![l.id.to_string(), link_type, l.hook.clone(), l.program_text(), l.pins_text()]);
        }
        table.write(out)
    }
}

impl Report for LinkShow {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let l = &self.link;
        writeln!(out, "link {}: {}", l.id, l.hook)?;
        let mut table = Table::new(&[]);
        let mut line = |name: &str, value: String| table.row(vec![format!("  {name}"), value]);
        line("type", l.link_type.clone());
        line("program", l.program_text());
        if !l.detail.is_empty() {
            line("detail", l.detail.clone());
        }
        for (name, value) in l.info.as_object().into_iter().flatten() {
            match value {
                serde_json::Value::Array(list) => {
                    for item in list {
                        line(name, plain(item));
                    }
                }
                serde_json::Value::String(text) => line(name, text.clone()),
                other => line(name, other.to_string()),
            }
        }
        line("pinned", l.pins_text());
        line("held by", if l.held_by.is_empty() { "-".into() } else { l.held_by.join(", ") });
        table.write(out)
    }
}

impl Report for LinkDone {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.text)
    }
}
