//! Makes the code for `bpf/rewrite.o`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::var("OUT_DIR")?;
    rawbpf::skeleton::build("../../bpf/rewrite.o", format!("{out}/rewrite.rs"))?;
    Ok(())
}
