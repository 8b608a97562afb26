//! A pointer for the kernel borrows what it points to.
#![forbid(unsafe_code)]

use rawbpf::sys::attr::{Fd, Ptr, PtrMut};

fn read() -> Ptr<'static, u8> {
    let bytes = vec![1u8, 2, 3];
    Ptr::to(&bytes)
}

fn written() -> PtrMut<'static, u8> {
    let mut bytes = vec![1u8, 2, 3];
    PtrMut::to(&mut bytes)
}

fn twice() {
    let mut bytes = vec![1u8, 2, 3];
    let first = PtrMut::to(&mut bytes);
    let second = PtrMut::to(&mut bytes);
    drop((first, second));
}

fn descriptor() -> Fd<'static> {
    let file = std::fs::File::open("/").unwrap();
    Fd::of(&file)
}

fn main() {}
