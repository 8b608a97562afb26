//! lirc: decoders for infrared remote controls. A program sees pulses and spaces, and reports key presses.
//!
//! Only by the old call, to the device's descriptor.

use std::fs::File;
use std::path::PathBuf;

use super::direct::{Direct, How, Spot};
use super::hook_kind::HookKind;
use super::refusal::{Attempt, Needs};
use super::{AttachError, Link};
use crate::kernel::Kernel;
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::{Errno, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: super::hook_kind::Needs = &[("lirc", "a device has to be named")];

static NEEDS: Needs = Needs {
    what: "decoding of infrared signals by programs",
    since: Release(4, 18, 0),
    config: "CONFIG_BPF_LIRC_MODE2",
    caps: &[Cap::NetAdmin],
};

impl HookKind for PathBuf {
    fn words(&self) -> String {
        format!("lirc {}", self.display())
    }

    fn attach(&self, _kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(program, self)
    }

    fn call(&self) -> &'static str {
        "BPF_PROG_ATTACH"
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![("target_fd", self.display().to_string())]
    }
}

/// Attaches a decoder to a device such as `/dev/lirc0`.
pub(super) fn attach(program: &Program, device: &PathBuf) -> Result<Link, AttachError> {
    let attempt = Attempt::new(program, format!("lirc device {}", device.display()));
    attempt.wants("lirc", ProgType::LircMode2)?;
    let file = File::open(device).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => attempt.missing(format!("there is no device {}", device.display())),
        _ => attempt.refused(SysError::other("open", e), ""),
    })?;
    let made = Direct::attach(program, Spot::Fd(file.into()), AttachType::LircMode2, How::default(), None);
    made.map_err(|e| match e.errno {
        Errno::EINVAL => match NEEDS.unmet() {
            Some(why) => attempt.unsupported(why),
            None => attempt.wrong(format!("{} is not an infrared receiver of raw signals", device.display())),
        },
        Errno::EEXIST => attempt.taken("this very program".into(), "; it cannot be there twice"),
        _ => attempt.explain(e, &NEEDS),
    })
}
