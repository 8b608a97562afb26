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
        let declared = matches!(map.origin, MapOrigin::Declared);
        if map.max_entries == 0 && crate::takes_entries(map.map_type.0) && declared {
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
    let kernel = match std::env::var_os("ORACLE_BTF") {
        Some(file) => Kernel::host().with_btf_file(file)?,
        None => Kernel::host(),
    };
    Ok(object.plan(&kernel, &options)?.run()?)
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
