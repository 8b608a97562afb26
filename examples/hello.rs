//! Hello, world, from the kernel: two programs print, and this reads what they printed.
//!
//! ```text
//! cargo run --example hello -- eth0
//! ```
//!
//! `bpf/hello.bpf.c` has a program for packets and one for the system call `clone`. Both print into the kernel's
//! trace, a log that all programs of the machine share. Its lines do not say who printed them, so the reader asks
//! the kernel for a stack trace with each: there the program stands by its name and its tag, the hash of its
//! instructions. Where the kernel has no probes (or no such interface), the rest goes on and that is said.

use std::error::Error;
use std::time::Duration;

use rawbpf::events::{TraceEvent, TracePipe};
use rawbpf::{Kernel, Link, Loaded, Object, Options, Target, Xdp, XdpMode};

mod tool;

/// What clang made of `bpf/hello.bpf.c`, within this program: it runs without any other file.
const OBJECT: &[u8] = include_bytes!("../bpf/hello.o");

/// The programs of the object, each in a load of its own: where one cannot be loaded, the other can.
const PROGRAMS: [&str; 2] = ["hello_packet", "hello_clone"];

/// Loads a program and attaches it: to the interface, or to what its section names.
fn start(kernel: &Kernel, program: &str, interface: &str) -> Result<(Loaded, Link), rawbpf::Error> {
    let options = Options { only: vec![program.into()], ..Options::default() };
    let loaded = Object::parse("hello", OBJECT)?.plan(kernel, &options)?.run()?;
    let link = {
        let program = loaded.programs().next().expect("it was asked for");
        // "ksyscall/clone" says where to; "xdp" leaves the interface open.
        match rawbpf::links::auto(kernel, program)? {
            Some(link) => link,
            None => rawbpf::attach(
                program,
                &Target::Xdp(Xdp { interface: interface.into(), mode: XdpMode::Auto }),
            )?,
        }
    };
    Ok((loaded, link))
}

/// A line of the log; `?` where the kernel cannot tell which program it was.
fn line(event: &TraceEvent) -> String {
    let program = event.program.as_ref().map_or("?", |p| p.name.as_str());
    let seconds = Duration::from_nanos(event.time_ns).as_secs_f64();
    format!(
        "{seconds:.6}  {program:<12}  {}-{}: {}",
        tool::shown(event.task.as_bytes()),
        event.pid,
        event.message
    )
}

fn main() -> std::process::ExitCode {
    tool::run(hello)
}

fn hello() -> Result<(), Box<dyn Error>> {
    let interface = match std::env::args().nth(1) {
        Some(help) if help.starts_with('-') => return Err("usage: hello [INTERFACE]".into()),
        given => given.unwrap_or_else(|| "lo".into()),
    };
    let stop = tool::Stop::new()?;
    let kernel = Kernel::host();
    // First the reader, so that no line is missed.
    let mut log = TracePipe::private()?;

    let mut running = Vec::new();
    for name in PROGRAMS {
        match start(&kernel, name, &interface) {
            Ok((loaded, link)) => {
                println!("{name} is attached");
                running.push((loaded, link));
            }
            Err(error) => {
                println!("{name} is not attached: {}", rawbpf::Causes(&error));
            }
        }
    }
    let tags: Vec<String> = running
        .iter()
        .flat_map(|(loaded, _)| loaded.programs())
        .map(|program| Ok(program.info()?.tag_hex()))
        .collect::<Result<_, rawbpf::sys::SysError>>()?;
    if tags.is_empty() {
        return Err("neither program could be attached".into());
    }

    loop {
        // Programs may print faster than this: after a while, look whether a signal came.
        let mut more = true;
        for _ in 0..1000 {
            let Some(event) = log.next_event()? else {
                more = false;
                break;
            };
            // Other programs of this machine print, too.
            if event.program.as_ref().is_none_or(|program| tags.contains(&program.tag)) {
                println!("{}", line(&event));
            }
        }
        let pause = if more { Duration::ZERO } else { Duration::from_secs(1) };
        if stop.wait(Some(&log), pause)? {
            return Ok(());
        }
    }
}
