//! What changes behind a shared reference cannot be lent as bytes.
#![forbid(unsafe_code)]

rawbpf::plain! {
    pub struct Counter {
        pub count: std::sync::atomic::AtomicU64,
    }
}

rawbpf::plain! {
    pub struct Inner {
        pub value: std::cell::Cell<u32>,
    }
}

fn main() {}
