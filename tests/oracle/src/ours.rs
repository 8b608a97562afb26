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

pub fn load(name: &str, bytes: &[u8], program: &str) -> Verdict {
    let errno = |e: rawbpf::Error| Verdict::Refused(e.errno().map_or(0, |e| e.0), chain(&e));
    let mut object = match Object::parse(name, bytes) {
        Ok(object) => object,
        Err(e) => return errno(e.into()),
    };
    for map in &mut object.maps {
        map.pin_by_name = false;
        if map.max_entries == 0 && map.map_type.0 != 4 && matches!(map.origin, MapOrigin::Declared) {
            map.max_entries = 1;
        }
    }
    let options = Options { only: vec![program.to_string()], ..Options::default() };
    let plan = match object.plan(&Kernel::host(), &options) {
        Ok(plan) => plan,
        Err(e) => return errno(e.into()),
    };
    match plan.run() {
        Ok(loaded) => match loaded.program(program).map(|p| Loaded::of(p.as_fd())) {
            Some(Ok(loaded)) => Verdict::Loaded(Box::new(loaded)),
            other => Verdict::Refused(0, format!("{other:?}")),
        },
        Err(e) => errno(e.into()),
    }
}
