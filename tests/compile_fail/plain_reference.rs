//! Bytes make no reference.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Points {
        pub to: &'static str,
    }
}

fn main() {}
