//! `rawbpf export`: what maps hold, as metrics over HTTP.
//!
//! One machine has `rawbpf map dump`. A hundred have a monitoring system that asks each of them every few seconds for
//! numbers with names. So this command is a translator and nothing more: it keeps no history, has no state on disk, and
//! sends nothing to anybody.
//!
//! ```text
//!   CONFIG.toml ─ config ─►  objects, maps, metrics           each mistake by file, line and key (place)
//!                               │
//!                             load        as rawbpf load --foreground: attached while this runs
//!                               │
//!                             cell        value.bytes, key.saddr: paths followed once, by BTF
//!                               │
//!                             caps        what loading took is given up; descriptors are enough to read
//!                               │
//!   GET /metrics ─ serve ─►  collect ─►  watch: each map is walked once, for all its metrics
//!                               │           metric: number or buckets, and labels in words (label, names)
//!                               │           series: not more than the limit; what is left out is counted
//!                               │        own: what programs cost, how full maps and rings are
//!                               ▼
//!                             text        OpenMetrics, or the older text format
//! ```
//!
//! Elements with the same labels are added up: a map keyed by address and port, with a label for the address alone,
//! gives the sums of all ports. So labels decide how fine a metric is, and no program has to be built anew for it.

mod amount;
mod assemble;
mod buckets;
mod caps;
mod cell;
mod collect;
mod config;
mod label;
mod load;
mod metric;
mod names;
mod own;
mod page;
mod report;
mod series;
mod serve;
mod text;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::stop::Stop;
use config::Config;
use load::{Held, Wanted};
use serve::Port;

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// What to export: a TOML file
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: PathBuf,
    /// Where to listen; port 0 takes any that is free [default: `listen` of the file, or 127.0.0.1:9435]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Check the file and the objects in it, and load nothing; needs no privileges
    #[arg(long)]
    pub(crate) check: bool,
}

/// Where it listens if nobody says.
const PORT: u16 = 9435;

pub(crate) fn run(args: &ExportArgs, out: &Output) -> Result<(), CliError> {
    let (source, config) = Config::read(&args.config)?;
    let objects = config.object.iter().map(|part| Wanted::read(&source, part));
    let wanted = objects.collect::<Result<Vec<_>, _>>()?;
    let checked = assemble::check(&source, &config, &wanted)?;
    if args.check {
        return out.report("export", &checked);
    }
    // Everything that may fail does so before something is attached, as far as it can.
    let stop = Stop::new()?;
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let port = Port::take(args.listen.or(config.listen).unwrap_or(default))?;
    let held = wanted.into_iter().map(Wanted::load).collect::<Result<Vec<_>, _>>()?;
    let (collector, mut report) = assemble::open(&source, &config, &held)?;
    report.url = Some(format!("http://{}/metrics", port.address));
    let has_to_detach = held.iter().any(Held::has_to_be_detached);
    report.capabilities = Some(caps::give_up(has_to_detach, || collector.unreadable())?);
    let (objects, attached): (Vec<_>, Vec<_>) = held.into_iter().map(Held::split).unzip();
    report.objects = objects;
    port.serve(collector)?;
    out.report("export", &report)?;
    while !stop.wait(Duration::from_secs(60)) {}
    drop(attached);
    out.note("detached");
    Ok(())
}
