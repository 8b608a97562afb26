//! Maps without keys: queues, stacks and bloom filters. Linux 4.20, bloom filters 5.16.

use super::typed::{self, typed_map};
use super::{ElemFlags, MapError, Plain};

macro_rules! fifo {
    ($name:ident) => {
        impl<V: Plain> $name<V> {
            /// Puts a value in. `E2BIG` when it is full.
            pub fn push(&self, value: &V) -> Result<(), MapError> {
                typed::set(self.map(), &[], value.bytes(), ElemFlags::ANY)
            }

            /// Puts a value in; when it is full the oldest one is dropped for it.
            pub fn push_over(&self, value: &V) -> Result<(), MapError> {
                typed::set(self.map(), &[], value.bytes(), ElemFlags::EXIST)
            }

            /// Takes the next value out; `None` if it is empty.
            pub fn pop(&self) -> Result<Option<V>, MapError> {
                typed::take(self.map(), &[])
            }

            /// The next value, which stays in; `None` if it is empty.
            pub fn peek(&self) -> Result<Option<V>, MapError> {
                typed::get(self.map(), &[], ElemFlags::ANY)
            }
        }
    };
}

typed_map! {
    /// A queue: what was put in first comes out first.
    #[doc(alias = "BPF_MAP_TYPE_QUEUE")]
    Queue<V>: [Queue], key: Exactly(0), value: Exactly(size_of::<V>())
}
fifo!(Queue);

typed_map! {
    /// A stack: what was put in last comes out first.
    #[doc(alias = "BPF_MAP_TYPE_STACK")]
    Stack<V>: [Stack], key: Exactly(0), value: Exactly(size_of::<V>())
}
fifo!(Stack);

typed_map! {
    /// A set that may say yes to what is not in it, and never no to what is.
    #[doc(alias = "BPF_MAP_TYPE_BLOOM_FILTER")]
    BloomFilter<V>: [BloomFilter], key: Exactly(0), value: Exactly(size_of::<V>())
}

impl<V: Plain> BloomFilter<V> {
    /// Puts a value in, for ever.
    pub fn add(&self, value: &V) -> Result<(), MapError> {
        typed::set(self.map(), &[], value.bytes(), ElemFlags::ANY)
    }

    /// False if the value was never put in; true if it was, or by chance.
    pub fn may_contain(&self, value: &V) -> Result<bool, MapError> {
        let mut value = *value;
        let found = self.map().get_into(&[], value.bytes_mut(), ElemFlags::ANY);
        found.map_err(MapError::sys(self.map(), "ask"))
    }
}
