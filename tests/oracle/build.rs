//! Every call of libc's `syscall`, libbpf's and rawbpf's, goes through `__wrap_syscall` of src/clock.rs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,--wrap=syscall");
}
