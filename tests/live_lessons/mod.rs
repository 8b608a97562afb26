//! The lessons of bpf/: each object shows one thing that a loader must get right, and is tested by what its program
//! computes on the kernel that the tests run on.
#![allow(unsafe_code)]

mod code;
mod data;
mod flags;
mod kernel_side;
mod libbpf_bugs;
mod maps;
mod struct_ops;
mod token;

use crate::live_tracing::kernel;
use rawbpf::sys::TestRun;
use rawbpf::{Error, Loaded, Object, Options};

/// An object of bpf/, and what became of it.
struct Lesson {
    object: Object,
    loaded: Loaded,
}

fn object(name: &str) -> Object {
    let path = crate::net::object(&format!("{name}.o"));
    Object::open(&path).unwrap_or_else(|e| panic!("{path}: {e:?}"))
}

fn load(name: &str) -> Result<Lesson, Error> {
    load_object(object(name), &Options::default())
}

fn load_object(object: Object, options: &Options) -> Result<Lesson, Error> {
    let loaded = object.plan(kernel(), options)?.run()?;
    Ok(Lesson { object, loaded })
}

impl Lesson {
    /// Runs an XDP program on a packet of so many bytes; its answer.
    fn xdp(&self, program: &str, len: usize) -> i32 {
        self.run(program, &TestRun { data: vec![0; len], ..TestRun::default() })
    }

    /// Runs a program that takes nothing.
    fn call(&self, program: &str) -> i32 {
        self.run(program, &TestRun::default())
    }

    fn run(&self, program: &str, run: &TestRun) -> i32 {
        let found = self.loaded.program(program).unwrap_or_else(|| panic!("no program {program}"));
        found.test_run(run).unwrap_or_else(|e| panic!("{program}: {e:?}")).retval as i32
    }

    /// The bytes of a global variable, as they are now.
    fn bytes(&self, variable: &str) -> Vec<u8> {
        let all = self.object.globals();
        let var = all.iter().find(|g| g.name == variable).unwrap_or_else(|| panic!("no {variable}"));
        let map = self.loaded.map(&var.section).unwrap_or_else(|| panic!("no {}", var.section));
        let value = map.get(&[0; 4]).expect("it is read").expect("it is there");
        value[var.offset as usize..][..var.size as usize].to_vec()
    }

    /// The numbers of a global variable, each of `size` bytes.
    fn numbers(&self, variable: &str, size: usize) -> Vec<i64> {
        let number = |bytes: &[u8]| match *bytes {
            [a] => i64::from(i8::from_ne_bytes([a])),
            [a, b] => i64::from(i16::from_ne_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_ne_bytes([a, b, c, d])),
            _ => i64::from_ne_bytes(bytes.try_into().expect("1, 2, 4 or 8 bytes")),
        };
        self.bytes(variable).chunks(size).map(number).collect()
    }

    /// An `int`, `long` or `__u64`.
    fn number(&self, variable: &str) -> i64 {
        let size = self.bytes(variable).len();
        self.numbers(variable, size)[0]
    }
}
