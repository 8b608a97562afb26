//! libFuzzer's entry point; the environment variable TARGET says which target of the library it drives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("TARGET").unwrap_or_default();
        let found = rawbpf_fuzz::TARGETS.iter().find(|(target, ..)| *target == name);
        found.unwrap_or_else(|| panic!("TARGET={name}: none of {:?}", rawbpf_fuzz::TARGETS)).1
    });
    run(data)
});
