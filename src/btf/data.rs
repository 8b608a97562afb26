//! The bytes under a [`Btf`](super::Btf): owned, or shared with whoever mapped the file.

use std::fmt;
use std::sync::Arc;

/// Bytes that stay where they are for as long as somebody needs them.
///
/// A `Vec<u8>` becomes one, and so does an `Arc` of anything that lends bytes: a memory map of
/// `/sys/kernel/btf/vmlinux` is read in place, without a copy of its 5 MB.
///
/// ```
/// use rawbpf::btf::Data;
/// use std::sync::Arc;
/// let owned: Data = vec![1u8, 2, 3].into();
/// let shared: Data = Arc::new([1u8, 2, 3]).into();
/// assert_eq!(owned.bytes(), shared.bytes());
/// ```
#[derive(Clone)]
pub struct Data(Bytes);

#[derive(Clone)]
enum Bytes {
    Owned(Arc<Vec<u8>>),
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl Data {
    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => (**bytes).as_ref(),
        }
    }

    /// The bytes, to be changed: a copy of them if they are shared.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        if let Bytes::Shared(bytes) = &self.0 {
            self.0 = Bytes::Owned(Arc::new((**bytes).as_ref().to_vec()));
        }
        match &mut self.0 {
            Bytes::Owned(bytes) => Arc::make_mut(bytes).as_mut_slice(),
            Bytes::Shared(_) => &mut [],
        }
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Data {
        Data(Bytes::Owned(Arc::new(bytes)))
    }
}

impl From<&[u8]> for Data {
    fn from(bytes: &[u8]) -> Data {
        bytes.to_vec().into()
    }
}

impl<T: AsRef<[u8]> + Send + Sync + 'static> From<Arc<T>> for Data {
    fn from(bytes: Arc<T>) -> Data {
        Data(Bytes::Shared(bytes))
    }
}

impl From<Arc<dyn AsRef<[u8]> + Send + Sync>> for Data {
    fn from(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Data {
        Data(Bytes::Shared(bytes))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.bytes().len())
    }
}
