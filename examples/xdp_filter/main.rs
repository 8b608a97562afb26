//! Drops packets by where they come from, and can be talked to while it runs.
//!
//! ```text
//! cargo run --example xdp_filter -- eth1                      # a prompt; `help` lists the commands
//! cargo run --example xdp_filter -- eth1 block 10.0.0.0/8     # from elsewhere, while it runs
//! ```
//!
//! The program, `bpf/xdp_filter.bpf.c`, knows nothing of commands: it looks addresses up in two tables, and what is
//! in the tables is decided here. The tables are pinned while the filter runs, so that a second process can change
//! them; nothing else passes between the two.
//!
//! ```text
//!   prompt, pipe --> Filter --> blocked4, blocked6 <-- the program, for each packet
//!   xdp_filter IF block ... ---------^      totals <--/
//! ```

use std::error::Error;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rawbpf::maps::{MapError, SharedMaps};
use rawbpf::{Kernel, Object, Options, Target, Xdp, XdpMode};

mod command;
mod filter;
mod input;
#[path = "../tool/mod.rs"]
mod tool;

use command::{Command, HELP};
use filter::Filter;
use input::{Event, Input};

const OBJECT: &[u8] = include_bytes!("../../bpf/xdp_filter.o");

/// How often the counts are shown at a terminal.
const EVERY: Duration = Duration::from_secs(5);

fn main() -> std::process::ExitCode {
    tool::run(|| {
        let mut args = std::env::args().skip(1);
        let usage = "usage: xdp_filter INTERFACE [COMMAND]";
        let interface = args.next().filter(|arg| !arg.starts_with('-')).ok_or(usage)?;
        match args.collect::<Vec<_>>().join(" ") {
            none if none.is_empty() => serve(&interface),
            command => tell(&interface, &command),
        }
    })
}

/// The name under which the maps are found. Names in a bpffs have no dots, those of VLANs have.
fn shared_name(interface: &str) -> String {
    format!("xdp_filter_{}", interface.replace('.', "_"))
}

/// Carries out one command on the maps of the filter that runs.
fn tell(interface: &str, command: &str) -> Result<(), Box<dyn Error>> {
    let command = command.parse()?;
    let filter = Filter::new(|map| match SharedMaps::open(&shared_name(interface), map) {
        Err(MapError::Shared { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("no xdp_filter runs on {interface}; start one: xdp_filter {interface}").into())
        }
        other => Ok(other?),
    })?;
    match answer(&filter, command)? {
        Some(text) => println!("{text}"),
        None => {
            return Err("`quit` is for the prompt; end the filter that runs with Ctrl-C or SIGTERM".into());
        }
    }
    Ok(())
}

/// What is said to a command; `None` to the last one.
fn answer(filter: &Filter, command: Command) -> Result<Option<String>, Box<dyn Error>> {
    Ok(Some(match command {
        Command::Block(network) => filter.block(network)?,
        Command::Unblock(network) => filter.unblock(network)?,
        Command::List => filter.list()?,
        Command::Stats => filter.stats()?,
        Command::Help => HELP.into(),
        Command::Quit => return Ok(None),
    }))
}

/// Filters until `quit`, Ctrl-C or SIGTERM. The end of a pipe does not end it: it may have been a list of networks.
fn serve(interface: &str) -> Result<(), Box<dyn Error>> {
    // Before any thread is started: they all leave the signals to this.
    let stop = tool::Stop::new()?;
    let loaded = Object::parse("xdp_filter", OBJECT)?.plan(&Kernel::host(), &Options::default())?.run()?;
    let filter =
        Filter::new(|name| loaded.map(name).cloned().ok_or("a map is missing from the object".into()))?;
    let shared = SharedMaps::take(&shared_name(interface))?;
    for map in filter.maps() {
        shared.pin(map)?;
    }
    let program = loaded.program("filter").ok_or("the object has no program `filter`")?;
    let target = Target::Xdp(Xdp { interface: interface.into(), mode: XdpMode::Auto });
    let link = rawbpf::attach(program, &target)?;
    println!("filtering what {interface} receives; `help` lists the commands");

    let (send, events) = channel();
    let signals = send.clone();
    std::thread::spawn(move || {
        while let Ok(false) = stop.wait(None, Duration::from_secs(60)) {}
        let _ = signals.send(Event::Stop);
    });
    let input = Input::start(send)?;
    let mut due = Instant::now() + EVERY;
    loop {
        match events.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(Event::Line(line)) => {
                match line.parse().map_err(Box::from).and_then(|command| answer(&filter, command)) {
                    Ok(Some(text)) => println!("{text}"),
                    Ok(None) => break,
                    Err(error) => eprintln!("error: {}", rawbpf::Causes(&*error)),
                }
                input.answered();
            }
            Ok(Event::End) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if input.is_terminal() {
                    input.print_above(&filter.stats()?)?;
                }
                due = Instant::now() + EVERY;
            }
        }
    }
    link.detach()?;
    println!("{}", filter.stats()?);
    Ok(())
}
