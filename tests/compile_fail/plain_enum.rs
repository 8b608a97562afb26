//! An enum has values that no number makes.
#![forbid(unsafe_code)]

#[repr(u32)]
#[derive(Clone, Copy)]
pub enum Verdict {
    Drop = 1,
    Pass = 2,
}

rawbpf::plain! {
    pub struct Answer {
        pub verdict: Verdict,
    }
}

fn main() {}
