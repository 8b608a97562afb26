//! A kernel that is locked down. It cannot be unlocked again, so these tests come last: libtest sorts by name.

use std::fs;

use rawbpf::{Kernel, Object, Options, Target};

use crate::gate::{GUEST, require};

#[test]
fn tracing_is_refused_and_the_reason_is_named() {
    require!(GUEST);
    let object = Object::open(format!("{}/bpf/kprobe.o", env!("CARGO_MANIFEST_DIR"))).expect("it is read");
    let options = Options { only: vec!["anywhere".into()], ..Options::default() };
    let loaded = object.plan(&Kernel::host(), &options).expect("it is planned").run().expect("it loads");
    fs::write("/sys/kernel/security/lockdown", "confidentiality").expect("this kernel can be locked down");
    let attach = |hook: &str| {
        let target = Target::of_section(hook).expect("a hook").expect("by itself");
        rawbpf::attach(loaded.program("anywhere").expect("it was loaded"), &target)
            .expect_err("it is refused")
    };
    let why = "the kernel is locked down (confidentiality), which forbids this kind of tracing even to root; see /sys/kernel/security/lockdown";
    let e = attach("kprobe/__sys_socket");
    assert_eq!(e.to_string(), format!("cannot attach `anywhere` to kprobe/__sys_socket: {why}"));
    crate::live_refusals::golden("lockdown", &crate::live_net::world::chain(&e));
    assert_eq!(rawbpf::Error::from(e).kind(), rawbpf::ErrorKind::NotPermitted);
}
