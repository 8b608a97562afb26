//! What would lend memory that others write to, or take any descriptor for what it may not be, is nobody's to call.
#![forbid(unsafe_code)]

fn main() {
    let file = std::fs::File::open("/tmp/anything").unwrap();
    let _ = rawbpf::sys::Mapping::of_constant_file(&file, 4096);
    let _ = rawbpf::sys::SharedMapping::new(&file, 0, 4096, true);
    let _ = rawbpf::sys::user_ring::UserRing::new(&file, 4096);
    let _ = rawbpf::sys::perf_event_open;
    let _ = rawbpf::sys::prog_lists(&file);
    let _ = rawbpf::sys::btf_info(&file);
    let _ = rawbpf::sys::kprobe_multi_targets(&file);
}
