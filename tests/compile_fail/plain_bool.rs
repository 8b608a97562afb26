//! Not all bytes make a bool.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Truth {
        pub truth: bool,
    }
}

fn main() {}
