//! The cgroups of the machine, and the programs that each has of its own.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Attachment, By, Survey, is_unknown};
use crate::links::cgroup::{self, HOOKS, Share};
use crate::links::info::Hook;
use crate::uapi::AttachType;

/// Walks the cgroups.
pub(super) fn look(survey: &mut Survey) {
    let Some(root) = cgroup::mount_point() else { return };
    let hooks = known(survey, &root);
    let mut todo = vec![root];
    while let Some(path) = todo.pop() {
        match fs::read_dir(&path) {
            // One that has gone since is no problem.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => survey.problem(format!("the cgroup {}", path.display()), e),
            Ok(list) => {
                let dirs = list.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
                todo.extend(dirs.map(|e| e.path()));
            }
        }
        group(survey, &path, &hooks);
    }
}

/// The hooks that this kernel knows.
fn known(survey: &mut Survey, root: &Path) -> Vec<AttachType> {
    let open: OwnedFd = match File::open(root) {
        Ok(file) => file.into(),
        Err(e) => {
            survey.problem(format!("the cgroup {}", root.display()), e);
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for (attach_type, _) in HOOKS {
        match cgroup::query(&open, *attach_type) {
            Err(e) if is_unknown(e) => {}
            Err(e) => {
                survey.problem("the programs of cgroups", e);
                return out;
            }
            Ok(_) => out.push(*attach_type),
        }
    }
    out
}

/// One group; `None` if it has gone.
fn group(survey: &mut Survey, path: &Path, hooks: &[AttachType]) -> Option<()> {
    let file = File::open(path).ok()?;
    let id = file.metadata().ok()?.ino();
    let group: OwnedFd = file.into();
    for attach_type in hooks {
        let found = match cgroup::query(&group, *attach_type) {
            Ok(found) => found,
            Err(e) => {
                survey.problem(format!("{attach_type} of the cgroup {}", path.display()), e);
                continue;
            }
        };
        for (n, program) in found.programs.iter().enumerate() {
            let flags = if program.flags != 0 { program.flags } else { found.flags };
            let share = Share::from_flags(flags);
            let place = format!("{} {attach_type}", path.display());
            let hook = Hook::Cgroup { cgroup_id: id, attach_type: *attach_type };
            let seen = Attachment {
                position: Some(n as u32),
                cgroup: Some(path.into()),
                share: Some(share),
                detail: share.to_string(),
                ..Attachment::new(hook, By::ProgAttach, program.prog_id, place)
            };
            survey.see(seen, program.link_id);
        }
    }
    Some(())
}
