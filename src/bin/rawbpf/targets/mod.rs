//! Words of the command line as targets: which program is attached where.

pub(crate) mod net;
pub(crate) mod request;
pub(crate) mod section;

use std::path::Path;

use rawbpf::deploy::Loading;
use rawbpf::{Object, Options, Target, Xdp, XdpMode};

use crate::options::{LoadOptions, XdpModeArg};
use crate::ui::error::CliError;

/// Reads the object, and says how it is loaded.
pub(crate) fn prepare(path: &Path, how: &LoadOptions) -> Result<Loading, CliError> {
    loading(how.overrides.object(path)?, how)
}

/// Says how an object that was read is loaded, and on which kernel.
pub(crate) fn loading(mut object: Object, how: &LoadOptions) -> Result<Loading, CliError> {
    section::retype(&mut object, &how.attach)?;
    let kernel = how.overrides.kernel()?;
    let onto = section::onto(&how.onto)?;
    let options = Options { only: how.programs.clone(), onto, ..how.overrides.options() };
    Ok(Loading { object, kernel, options })
}

/// What is to be attached where, program and target: what flags name, then what sections name.
pub(crate) fn all(loading: &Loading, how: &LoadOptions) -> Result<Vec<(String, Target)>, CliError> {
    let mut out = xdp_targets(&loading.object, how)?;
    out.extend(net::targets(&loading.object, how)?);
    out.extend(section::targets(&loading.programs(), how)?);
    Ok(out)
}

fn xdp_targets(object: &Object, how: &LoadOptions) -> Result<Vec<(String, Target)>, CliError> {
    if how.xdp.is_empty() {
        return Ok(Vec::new());
    }
    let is_xdp = |t: Option<rawbpf::uapi::ProgType>| t == Some(rawbpf::uapi::ProgType::Xdp);
    let wanted = |name: &str| how.programs.is_empty() || how.programs.iter().any(|p| p == name);
    let programs: Vec<&str> = object
        .programs
        .iter()
        .filter(|p| is_xdp(p.prog_type) && p.attach_type == rawbpf::uapi::AttachType::Xdp && wanted(p.name()))
        .map(|p| p.name())
        .collect();
    let all = object
        .programs
        .iter()
        .map(|p| format!("{} ({})", p.name(), p.section))
        .collect::<Vec<_>>()
        .join(", ");
    let program = match programs.as_slice() {
        [one] => (*one).to_string(),
        [] => return Err(CliError::Option(format!("--xdp: the object has no XDP program; it has: {all}"))),
        many => {
            let many = many.join(", ");
            return Err(CliError::Option(format!(
                "--xdp: the object has several XDP programs ({many}); choose one with --program"
            )));
        }
    };
    let mode = match how.xdp_mode {
        XdpModeArg::Auto => XdpMode::Auto,
        XdpModeArg::Native => XdpMode::Native,
        XdpModeArg::Generic => XdpMode::Generic,
        XdpModeArg::Offloaded => XdpMode::Offloaded,
    };
    let mut interfaces: Vec<&String> = Vec::new();
    for interface in &how.xdp {
        if !interfaces.contains(&interface) {
            interfaces.push(interface);
        }
    }
    let target =
        |interface: &String| net::without_link(Target::Xdp(Xdp { interface: interface.clone(), mode }), how);
    interfaces.into_iter().map(|i| Ok((program.clone(), target(i)?))).collect()
}
