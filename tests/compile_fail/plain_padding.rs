//! Padding is not initialised, and would go to the kernel.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Holes {
        pub small: u8,
        pub large: u64,
    }
}

rawbpf::plain! {
    pub struct Tail {
        pub large: u64,
        pub small: u8,
    }
}

fn main() {}
