//! A greater alignment is padding at the end.
#![forbid(unsafe_code)]

rawbpf::plain! {
    #[repr(align(16))]
    pub struct Aligned {
        pub number: u64,
    }
}

rawbpf::plain! {
    #[cfg_attr(all(), repr(align(32)))]
    pub struct AlignedByChoice {
        pub number: u64,
    }
}

fn main() {}
