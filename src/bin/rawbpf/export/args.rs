//! What `rawbpf export` takes.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// What to export: a TOML file
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: PathBuf,
    /// Where to listen; port 0 takes any that is free [default: `listen` of the file, or 127.0.0.1:9435]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Say whether the file and the objects in it are in order, and load nothing; needs no privileges
    #[arg(long)]
    pub(crate) check: bool,
}
