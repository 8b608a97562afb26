//! Loading with rawbpf.

use std::error::Error;
use std::os::fd::AsFd;

use rawbpf::elf::MapOrigin;
use rawbpf::{Kernel, Object, Options};

use crate::Verdict;
use crate::dump::Loaded;

fn chain(e: &dyn Error) -> String {
    let mut out = e.to_string();
    let mut at = e.source();
    while let Some(e) = at {
        out.push_str(&format!(": {e}"));
        at = e.source();
    }
    out
}

pub fn programs(name: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
    let object = Object::parse(name, bytes).map_err(|e| chain(&e))?;
    Ok(object.programs.iter().map(|p| p.name().to_string()).collect())
}

/// Loads these programs of an object, with a new view of the kernel.
pub fn load_all(name: &str, bytes: &[u8], programs: &[String]) -> Result<rawbpf::Loaded, rawbpf::Error> {
    let mut object = Object::parse(name, bytes)?;
    for map in &mut object.maps {
        map.pin_by_name = false;
        if map.max_entries == 0 && map.map_type.0 != 4 && matches!(map.origin, MapOrigin::Declared) {
            map.max_entries = 1;
        }
    }
    // libbpf loads all callbacks of the tables that it makes, whatever it is asked for.
    let mut only = programs.to_vec();
    for map in object.maps.iter().filter(|m| m.autocreate) {
        if let MapOrigin::StructOps(ops) = &map.origin {
            let callbacks = ops.programs.iter().filter_map(|(_, ix)| object.programs.get(ix.0));
            only.extend(callbacks.map(|p| p.name().to_string()));
        }
    }
    let options = Options { only, ..Options::default() };
    Ok(object.plan(&Kernel::host(), &options)?.run()?)
}

pub fn load(name: &str, bytes: &[u8], program: &str) -> Verdict {
    match load_all(name, bytes, &[program.to_string()]) {
        Ok(loaded) => match loaded.program(program).map(|p| Loaded::of(p.as_fd())) {
            Some(Ok(loaded)) => Verdict::Loaded(Box::new(loaded)),
            other => Verdict::Refused(0, format!("{other:?}")),
        },
        Err(e) => Verdict::Refused(e.errno().map_or(0, |e| e.0), chain(&e)),
    }
}
