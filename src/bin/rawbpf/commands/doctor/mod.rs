//! `rawbpf doctor [OBJECT]`: what this machine allows for eBPF, what an object needs, and the least that has to be
//! granted for it. Nothing is loaded but what the probes of the feature table load.

mod grant;
mod machine;
mod object;
mod row;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::kernel::policy::Policy;
use serde::Serialize;

use self::grant::Grant;
use self::row::Row;
use crate::options::overrides::Overrides;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct DoctorArgs {
    /// Also report what this object needs
    pub(crate) object: Option<PathBuf>,
    /// The file that the setcap line is for [default: this command]
    #[arg(long = "for", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Serialize)]
struct DoctorReport {
    release: String,
    machine: Vec<Row>,
    features: Vec<Row>,
    object: Option<ObjectRows>,
    #[serde(skip)]
    brief: bool,
}

#[derive(Debug, Serialize)]
struct ObjectRows {
    path: PathBuf,
    requirements: Vec<Row>,
    grant: Grant,
}

pub(crate) fn run(args: &DoctorArgs, out: &Output) -> Result<(), CliError> {
    let kernel = args.overrides.kernel()?;
    let policy = Policy::here();
    let object = match &args.object {
        Some(path) => {
            let object = args.overrides.object(path)?;
            let grant = grant::of(&object, &kernel, &policy, args.file.clone());
            let requirements = object::rows(&object, &kernel, &policy, &grant, args.overrides.options());
            Some(ObjectRows { path: path.clone(), requirements, grant })
        }
        None => None,
    };
    let report = DoctorReport {
        release: rawbpf::kernel::release_text(),
        machine: machine::rows(&kernel, &policy),
        // Their probes take time; an object's own needs are asked one by one.
        features: if object.is_none() { machine::features(&kernel) } else { Vec::new() },
        brief: object.is_some(),
        object,
    };
    out.report("doctor", &report)?;
    match report.object.as_ref().map_or(0, ObjectRows::status) {
        0 => Ok(()),
        status => Err(CliError::Reported(status)),
    }
}

impl ObjectRows {
    /// 0 if nothing is known to be in the way, 3 if only permissions are, 4 if the kernel lacks something.
    fn status(&self) -> u8 {
        let lacks = |r: &&Row| r.needed && r.answer == "no";
        let is_permission = |r: &Row| r.what.starts_with("CAP_") || r.what.starts_with("permission");
        let missing: Vec<&Row> = self.requirements.iter().filter(lacks).collect();
        match missing.as_slice() {
            [] => 0,
            rows if rows.iter().all(|r| is_permission(r)) => 3,
            _ => 4,
        }
    }
}

fn table(out: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    let mut table = Table::new(&[]);
    for row in rows {
        table.row(vec![format!("  {}", row.answer), row.what.clone(), row.why.clone()]);
    }
    table.write(out)
}

impl Report for DoctorReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "This machine, Linux {}:", self.release)?;
        table(out, &self.machine)?;
        if !self.brief {
            writeln!(out, "\nWhat kernels differ in:")?;
            table(out, &self.features)?;
        }
        let Some(object) = &self.object else { return Ok(()) };
        writeln!(out, "\n{} needs:", object.path.display())?;
        table(out, &object.requirements)?;
        object.grant.text(out)
    }
}
