//! BTF: the types of a BPF object or of a kernel, as data.
