//! An attribute that takes a field away leaves padding where it was.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Hidden {
        pub small: u8,
        #[cfg(any())]
        pub pad: [u8; 7],
        pub large: u64,
    }
}

rawbpf::plain! {
    pub struct HiddenAtTheEnd {
        pub large: u64,
        pub small: u8,
        #[cfg(any())]
        pub pad: [u8; 7],
    }
}

fn main() {}
