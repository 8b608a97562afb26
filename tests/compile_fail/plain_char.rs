//! Not all bytes make a char, or a number that is not zero.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Letter {
        pub letter: char,
    }
}

rawbpf::plain! {
    pub struct Number {
        pub number: std::num::NonZeroU32,
    }
}

fn main() {}
