//! Making the maps of a plan, or taking those that are pinned; filling them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use super::{LoadError, Run};
use crate::elf::{MapIx, SlotTarget};
use crate::loader::map_plan::MapPlan;
use crate::maps::{Map, MapInfo};
use crate::sys::attr::{self, Fd, ObjName};
use crate::sys::map::flags;
use crate::sys::{self, Errno, SharedMapping, SysError};
use crate::uapi::MapType;

impl Run<'_> {
    pub(super) fn create(&mut self, ix: MapIx, map: &MapPlan) -> Result<(), LoadError> {
        let fail = |what| {
            move |source| LoadError::Map { map: map.name.clone(), map_type: map.map_type, what, source }
        };
        let untyped = self.untyped;
        let refused = |what, made: &MapPlan| {
            let (map, shape) = (map.name.clone(), made.shape());
            move |source| LoadError::Create { map, what, shape, untyped, source }
        };
        if let Some(path) = &map.pin {
            match sys::obj_get(path, 0) {
                Ok(fd) => return self.reuse(ix, map, path, fd),
                Err(e) if e.errno == Errno::ENOENT => {}
                Err(e) => return Err(fail("open the pin of")(e)),
            }
        }
        let inner = match &map.inner {
            Some(inner) => {
                Some(self.map_create(inner, None).map_err(refused("create the inner map of", inner))?)
            }
            None => None,
        };
        if let Some(module) = map.struct_ops.as_ref().and_then(|ops| ops.module) {
            self.open_module(module).map_err(fail("find the module of"))?;
        }
        let fd = self.map_create(map, inner.as_ref()).map_err(refused("create", map))?;
        if map.map_type == MapType::Arena {
            let len = (map.max_entries as usize).saturating_mul(self.plan.page_size as usize);
            let arena = SharedMapping::at(&fd, map.extra, len).map_err(fail("map the memory of"))?;
            self.arenas.push((map.name.clone(), arena));
        }
        if let Some(path) = &map.pin {
            make_dirs(path).map_err(fail("make the directory for the pin of"))?;
            sys::obj_pin(&fd, path).map_err(fail("pin"))?;
            self.pins.push(path.clone());
        }
        let map = Map::created(fd, &map.name, self.plan.types.clone()).map_err(fail("ask about"))?;
        if let Some(slot) = self.maps.get_mut(ix.0) {
            *slot = Some(map);
        }
        Ok(())
    }

    /// Creates a map with its types, or, if the kernel refuses that, without.
    fn map_create(&self, map: &MapPlan, inner: Option<&OwnedFd>) -> Result<OwnedFd, SysError> {
        let token = self.token_fd();
        let with_types = |types: bool| {
            let btf = self.btf.as_ref().filter(|_| types);
            let id = |id: crate::btf::TypeId| if btf.is_some() { id.0 } else { 0 };
            sys::map_create(&mut attr::MapCreate {
                map_type: map.map_type,
                key_size: map.key_size,
                value_size: map.value_size,
                max_entries: map.max_entries,
                map_flags: map.flags | if token == Fd::NONE { 0 } else { flags::TOKEN_FD },
                inner_map_fd: Fd::borrow(inner.map(AsFd::as_fd)),
                numa_node: map.numa_node,
                map_name: ObjName::cut(&map.kernel_name),
                btf_fd: Fd::borrow(btf.map(AsFd::as_fd)),
                btf_key_type_id: id(map.key_type),
                btf_value_type_id: id(map.value_type),
                btf_vmlinux_value_type_id: map.struct_ops.as_ref().map_or(0, |ops| ops.value_type.0),
                map_extra: map.extra,
                value_type_btf_obj_fd: self.module_of(map),
                map_token_fd: token,
                ..Default::default()
            })
        };
        let typed = map.key_type.0 != 0 || map.value_type.0 != 0;
        match with_types(true) {
            Err(e) if typed && self.btf.is_some() && !e.errno.is_permission() => {
                with_types(false).map_err(|_| e)
            }
            other => other,
        }
    }

    fn reuse(&mut self, ix: MapIx, map: &MapPlan, path: &Path, fd: OwnedFd) -> Result<(), LoadError> {
        let fail = |source| LoadError::Map {
            map: map.name.clone(),
            map_type: map.map_type,
            what: "ask about the pinned",
            source,
        };
        let info = MapInfo::of(&fd).map_err(fail)?;
        let differences = map.differences(&info);
        if !differences.is_empty() {
            return Err(LoadError::PinMismatch {
                map: map.name.clone(),
                path: path.into(),
                differences: differences.join(", "),
            });
        }
        let open = Map::created(fd, &map.name, self.plan.types.clone()).map_err(fail)?;
        if let Some(slot) = self.maps.get_mut(ix.0) {
            *slot = Some(open);
        }
        self.reused.push(ix);
        Ok(())
    }

    /// The module that the type of a set of callbacks is in.
    fn module_of(&self, map: &MapPlan) -> Fd<'_> {
        let module = map.struct_ops.as_ref().and_then(|ops| ops.module);
        Fd::borrow(module.and_then(|id| self.modules.get(&id)).map(AsFd::as_fd))
    }

    /// The values of all sets of callbacks whose programs are loaded, with the descriptors in place.
    pub(super) fn callbacks(&self) -> Vec<(String, Vec<u8>)> {
        let value = |map: &MapPlan| {
            let ops = map.struct_ops.as_ref()?;
            let mut value = ops.value.clone();
            for (at, ix) in &ops.functions {
                let n = self.plan.programs.iter().position(|p| p.ix == *ix)?;
                let fd = self.programs.get(n)?.as_fd().as_raw_fd() as u64;
                let at = *at as usize;
                value.get_mut(at..at.saturating_add(8))?.copy_from_slice(&fd.to_ne_bytes());
            }
            Some((map.name.clone(), value))
        };
        self.plan.maps.iter().filter(|m| m.create).filter_map(value).collect()
    }

    pub(super) fn fill_callbacks(&mut self, ix: MapIx, map: &MapPlan) -> Result<(), LoadError> {
        let value = self.callbacks().into_iter().find(|(name, _)| *name == map.name);
        let (Some(open), Some((_, value))) = (self.map(ix), value) else { return Ok(()) };
        if self.reused.contains(&ix) {
            return Ok(());
        }
        let fail = |source| LoadError::Map {
            map: map.name.clone(),
            map_type: map.map_type,
            what: "write the callbacks of",
            source,
        };
        open.set(&0u32.to_ne_bytes(), &value, 0).map_err(fail)
    }

    pub(super) fn fill(&mut self, ix: MapIx, map: &MapPlan) -> Result<(), LoadError> {
        if map.map_type == MapType::Arena {
            return self.fill_arena(map);
        }
        let (Some(open), Some(contents)) = (self.map(ix), &map.contents) else { return Ok(()) };
        if self.reused.contains(&ix) {
            return Ok(());
        }
        let fail = |source| LoadError::Map {
            map: map.name.clone(),
            map_type: map.map_type,
            what: "write the first contents of",
            source,
        };
        open.set(&0u32.to_ne_bytes(), contents, 0).map_err(fail)
    }

    /// The first contents of an arena: its global variables, at the place that programs look for them.
    fn fill_arena(&mut self, map: &MapPlan) -> Result<(), LoadError> {
        let (at, arena) = (self.plan.arena_offset as usize, self.arenas.iter().find(|(n, _)| *n == map.name));
        if let (Some(contents), Some((_, arena))) = (&map.contents, arena) {
            if !arena.copy_in(at, contents) {
                let source = SysError::other("write beyond the end", Errno::E2BIG);
                return Err(LoadError::Map {
                    map: map.name.clone(),
                    map_type: map.map_type,
                    what: "write the first contents of",
                    source,
                });
            }
        }
        Ok(())
    }

    pub(super) fn freeze(&mut self, ix: MapIx, map: &MapPlan) -> Result<(), LoadError> {
        let Some(open) = self.map(ix) else { return Ok(()) };
        match open.freeze() {
            // Before Linux 5.2 there is no freezing, and nothing else to be done.
            Err(e) if e.errno == Errno::EINVAL => Ok(()),
            other => other.map_err(|source| LoadError::Map {
                map: map.name.clone(),
                map_type: map.map_type,
                what: "freeze",
                source,
            }),
        }
    }

    pub(super) fn slots(&mut self, ix: MapIx, map: &MapPlan, programs: bool) -> Result<(), LoadError> {
        if self.reused.contains(&ix) && !programs {
            return Ok(());
        }
        let fail = |source| LoadError::Map {
            map: map.name.clone(),
            map_type: map.map_type,
            what: "set an element of",
            source,
        };
        let Some(open) = self.map(ix) else { return Ok(()) };
        for (key, target) in &map.slots {
            let fd = match target {
                SlotTarget::Map(to) => self.map(*to).map(AsFd::as_fd),
                SlotTarget::Program(to) => {
                    let n = self.plan.programs.iter().position(|p| p.ix == *to);
                    n.and_then(|n| self.programs.get(n)).map(AsFd::as_fd)
                }
            };
            let Some(fd) = fd else {
                return Err(fail(SysError::other("a target that is not loaded", Errno::ENOENT)));
            };
            open.set(&key.to_ne_bytes(), &fd.as_raw_fd().to_ne_bytes(), 0).map_err(fail)?;
        }
        Ok(())
    }
}

/// Makes the directory of a pin, as far as it is missing, for its owner only.
fn make_dirs(path: &Path) -> Result<(), SysError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(dir) = path.parent() else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| SysError::other("mkdir", e))
}
