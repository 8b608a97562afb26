//! Who says that a type is its bytes without the macro has to say so by `unsafe`.
#![forbid(unsafe_code)]

#[derive(Clone, Copy)]
struct Anything(bool);

unsafe impl rawbpf::maps::Plain for Anything {}

#[derive(Clone, Copy)]
struct Silent(bool);

impl rawbpf::maps::Plain for Silent {}

fn main() {}
