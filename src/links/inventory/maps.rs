//! Maps that programs are attached to, or that are attachments themselves: maps of sockets, and struct_ops.

use super::{Attachment, By, Survey, is_unknown};
use crate::links::info::Hook;
use crate::links::sockmap::HOOKS;
use crate::sys::attr::{Fd, ProgDetach, TargetFd};
use crate::sys::map::MapFd;
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::MapType;
use std::os::fd::OwnedFd;

/// Looks at all maps.
pub(super) fn look(survey: &mut Survey) {
    let mut id = 0;
    loop {
        match sys::next_id(ObjectKind::Map, id) {
            Ok(Some(next)) => id = next,
            Ok(None) => return,
            Err(e) => return survey.problem("the maps", e),
        }
        match sys::fd_by_id(ObjectKind::Map, id) {
            Err(e) if e.errno == Errno::ENOENT => {}
            Err(e) => survey.problem(format!("map {id}"), e),
            Ok(fd) => {
                if let Err(e) = one(survey, id, fd) {
                    survey.problem(format!("map {id}"), e);
                }
            }
        }
    }
}

fn one(survey: &mut Survey, id: u32, fd: OwnedFd) -> Result<(), SysError> {
    let info = sys::map_info(&fd)?;
    match info.map_type {
        MapType::Sockmap | MapType::Sockhash => sockets(survey, id, &info.name.text(), &fd),
        MapType::StructOps => struct_ops(survey, id, &info.name.text(), fd)?,
        _ => {}
    }
    Ok(())
}

fn sockets(survey: &mut Survey, map_id: u32, name: &str, fd: &OwnedFd) {
    for (attach_type, _) in HOOKS {
        match sys::prog_query(TargetFd::of(fd), attach_type, 0) {
            // Before Linux 5.18 a map of sockets does not tell.
            Err(e) if is_unknown(e) => return,
            Err(e) => survey.problem(format!("{attach_type} of map {map_id}"), e),
            Ok(found) => {
                for program in found.programs {
                    let hook = Hook::Sockmap { map_id, attach_type };
                    let place = format!("{attach_type} of map {name} (id {map_id})");
                    let seen = Attachment::new(hook, By::ProgAttach, program.prog_id, place);
                    survey.see(seen, program.link_id);
                }
            }
        }
    }
}

/// Takes programs from all maps of sockets that do not tell who is attached to them: how many were there.
pub(super) fn release(programs: &[u32]) -> usize {
    let mut released = 0;
    let mut id = 0;
    while let Ok(Some(next)) = sys::next_id(ObjectKind::Map, id) {
        id = next;
        let Ok(map) = sys::fd_by_id(ObjectKind::Map, id) else { continue };
        let is_sockets =
            sys::map_info(&map).is_ok_and(|i| matches!(i.map_type, MapType::Sockmap | MapType::Sockhash));
        if !is_sockets || sys::prog_query(TargetFd::of(&map), HOOKS[0].0, 0).is_ok() {
            continue;
        }
        for program in programs.iter().filter_map(|id| sys::fd_by_id(ObjectKind::Prog, *id).ok()) {
            for (attach_type, _) in HOOKS {
                let mut detach = ProgDetach {
                    target_fd: TargetFd::of(&map),
                    attach_bpf_fd: Fd::of(&program),
                    attach_type,
                    ..Default::default()
                };
                // The kernel lets go only of the program that is there.
                released += usize::from(sys::prog_detach(&mut detach).is_ok());
            }
        }
    }
    released
}

/// A struct_ops map that is in use without a link: its value begins with a reference count and its state.
fn struct_ops(survey: &mut Survey, map_id: u32, name: &str, fd: OwnedFd) -> Result<(), SysError> {
    /// `BPF_STRUCT_OPS_STATE_INUSE`
    const IN_USE: u32 = 1;
    let (map, _) = MapFd::new(fd)?;
    let mut value = vec![0; map.value_len()];
    if !map.lookup(&0u32.to_ne_bytes(), &mut value, 0)? {
        return Ok(());
    }
    let state = value.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    if state == IN_USE {
        let place = format!("map {name} (id {map_id})");
        let seen = Attachment::new(Hook::StructOps { map_id }, By::Map, 0, place);
        survey.see(Attachment { detail: "registered".into(), ..seen }, 0);
    }
    Ok(())
}
