//! A service mesh in small: connections to a service go to its backends, by weight, and past TCP where both ends are here.
//!
//! ```text
//! mesh --cgroup web 'add 10.9.0.1:80 127.0.0.1:8080 3' 'add 10.9.0.1:80 127.0.0.1:8081'
//! ```
//!
//! What the processes of the cgroup connect to is steered. Commands stand on the command line or come by standard
//! input: `add SERVICE BACKEND [WEIGHT]`, `remove SERVICE BACKEND`, `list`, `quit`. A backend that does not answer is
//! left out until it does. The programs are in `bpf/mesh.bpf.c`, what they are told in `examples/mesh/services.rs`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::Parser;
use rawbpf::Causes;
use rawbpf::links::cgroup;
use services::Mesh;

#[path = "mesh/bench.rs"]
mod bench;
#[path = "mesh/services.rs"]
mod services;
mod tool;

/// A small service mesh for the processes of a cgroup
#[derive(Parser)]
struct Args {
    /// Whose connections to steer: a path, or one below the cgroup2 mount; made if it is not there, and then removed
    #[arg(long)]
    cgroup: PathBuf,
    /// Milliseconds between two looks whether the backends live; 0 for never
    #[arg(long, default_value_t = 1000)]
    check: u64,
    /// `list` prints JSON
    #[arg(long)]
    json: bool,
    /// Compare with plain TCP and with nftables, and end
    #[arg(long)]
    bench: bool,
    /// To begin with, as on standard input
    commands: Vec<String>,
}

/// The cgroup; removed in the end if it was made here.
struct Group {
    path: PathBuf,
    /// The directories that were made, the lowest first.
    made: Vec<PathBuf>,
}

impl Group {
    fn new(path: &Path) -> Result<Group, Box<dyn Error>> {
        let path = cgroup::mount_point().ok_or("no cgroup2 is mounted")?.join(path);
        let made = path.ancestors().take_while(|path| !path.exists()).map(PathBuf::from).collect();
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Group { path, made })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(e) = self.made.iter().try_for_each(std::fs::remove_dir) {
            eprintln!("mesh: {} stays: {e}", self.path.display());
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let stop = tool::Stop::new()?;
    let group = Group::new(&args.cgroup)?;
    if args.bench {
        return bench::run(&group.path, &stop);
    }
    let mut mesh = Mesh::start(&group.path, args.json)?;
    args.commands.iter().try_for_each(|line| mesh.command(line).map(drop))?;
    let (tell, told) = channel();
    let end = tell.clone();
    std::thread::spawn(move || {
        while let Ok(false) = stop.wait(None, Duration::from_secs(60)) {}
        end.send(None)
    });
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|l| tell.send(Some(l)))
    });
    eprintln!("mesh: steering the connections of {}", group.path.display());
    let pause = if args.check == 0 { Duration::MAX } else { Duration::from_millis(args.check) };
    let mut checked = Instant::now();
    loop {
        match told.recv_timeout(pause.saturating_sub(checked.elapsed())) {
            Ok(Some(line)) => match mesh.command(&line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => eprintln!("mesh: {line}: {}", Causes(&*e)),
            },
            Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                mesh.check()?;
                checked = Instant::now();
            }
        }
    }
    mesh.list()
}

fn main() -> ExitCode {
    tool::run(|| run(&Args::parse()))
}
