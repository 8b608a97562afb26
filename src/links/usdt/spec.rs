//! Specs: what a program reads to find a probe's arguments, in the layout that it was compiled with.
//!
//! `struct __bpf_usdt_spec` is part of a header that programs are compiled with, and its layout has
//! changed once. So it is taken from the types of the program's own map, or, without those, told by the size
//! of a value.
//!
//! ```text
//!   args[12]: val_off u64 | arg_type | [index register, scale] | reg_off s16 | signed u8 | bitshift s8
//!   usdt_cookie u64
//!   arg_cnt s16
//!   6 bytes of padding, of which we use 4: how many attachments use this spec
//! ```
//!
//! The count makes the map its own bookkeeper: equal specs are shared, by any process that attaches the
//! program, and a spec that nobody uses any more is free again.

use std::sync::{Mutex, PoisonError};

use super::arg::{Arg, MAX, Place};
use super::find_map;
use crate::btf::{Btf, TypeId};
use crate::bytes::Endian;
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::{Errno, SysError};

/// Where a field is, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bits {
    at: u64,
    len: u32,
}

const fn bits(at: u64, len: u32) -> Bits {
    Bits { at, len }
}

/// The fields of a spec; those of arguments are of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    size: usize,
    /// From one argument to the next, in bits.
    stride: u64,
    value: Bits,
    kind: Bits,
    /// Index register and scale: since libbpf 1.7.
    index: Option<(Bits, Bits)>,
    register: Bits,
    signed: Bits,
    shift: Bits,
    cookie: Bits,
    count: Bits,
}

impl Layout {
    /// By the types of the map's value.
    fn of_type(btf: &Btf, ty: TypeId, size: usize) -> Option<Layout> {
        let field = |path: &str| {
            let field = btf.field(ty, path).ok()?;
            let whole = || btf.size_of(field.ty).ok().map(|bytes| bytes.saturating_mul(8));
            let len = if field.bit_size == 0 { whole()? } else { field.bit_size };
            Some(Bits { at: field.bit_offset, len })
        };
        Some(Layout {
            size,
            stride: field("args[1]")?.at.checked_sub(field("args[0]")?.at)?,
            value: field("args[0].val_off")?,
            kind: field("args[0].arg_type")?,
            index: field("args[0].idx_reg_off").zip(field("args[0].scale_bitshift")),
            register: field("args[0].reg_off")?,
            signed: field("args[0].arg_signed")?,
            shift: field("args[0].arg_bitshift")?,
            cookie: field("usdt_cookie")?,
            count: field("arg_cnt")?,
        })
    }

    /// By the size of the map's value, as little-endian compilers lay the two versions out.
    fn of_size(size: usize) -> Option<Layout> {
        let old = Layout {
            size,
            stride: 16 * 8,
            value: bits(0, 64),
            kind: bits(64, 32),
            index: None,
            register: bits(96, 16),
            signed: bits(112, 8),
            shift: bits(120, 8),
            cookie: bits(192 * 8, 64),
            count: bits(200 * 8, 16),
        };
        match size {
            208 => Some(old),
            304 if Endian::NATIVE == Endian::Little => Some(Layout {
                stride: 24 * 8,
                kind: bits(64, 8),
                index: Some((bits(80, 12), bits(92, 4))),
                register: bits(112, 16),
                signed: bits(128, 8),
                shift: bits(136, 8),
                cookie: bits(288 * 8, 64),
                count: bits(296 * 8, 16),
                ..old
            }),
            _ => None,
        }
    }

    /// Where we count users: behind the last field.
    fn users(&self) -> Option<Bits> {
        let at = self.count.at.checked_add(self.count.len.into())?;
        (at.checked_add(32)? <= (self.size as u64).checked_mul(8)?).then_some(Bits { at, len: 32 })
    }

    /// The bytes of a spec, and a sentence about each argument that this layout cannot hold.
    fn build(&self, args: &[Arg], cookie: u64, notes: &mut Vec<String>) -> Vec<u8> {
        let mut out = vec![0; self.size];
        for (n, arg) in args.iter().take(MAX).enumerate() {
            let by = self.stride.saturating_mul(n as u64);
            let mut set =
                |field: Bits, value: u64| put(&mut out, bits(field.at.saturating_add(by), field.len), value);
            /// No type of argument: reading it is EINVAL.
            const NONE: u64 = 0xff;
            let (kind, register, value, index) = match arg.place {
                Place::Constant(value) => (0, 0, value, None),
                Place::Register(register) => (1, register, 0, None),
                Place::Memory(register, offset) => (2, register, offset, None),
                Place::Indexed { base, index, shift, offset } => (3, base, offset, Some((index, shift))),
                Place::Unreadable => (NONE, 0, 0, None),
            };
            let kind = match (index, self.index) {
                (Some(_), None) => {
                    notes.push(format!(
                        "argument {n} is in memory by two registers, which the usdt.bpf.h that the program was compiled with cannot read"
                    ));
                    NONE
                }
                (Some((index, shift)), Some((index_field, scale_field))) => {
                    set(index_field, index.into());
                    set(scale_field, shift.into());
                    kind
                }
                _ => kind,
            };
            set(self.kind, kind);
            set(self.value, value as u64);
            set(self.register, register.into());
            set(self.signed, arg.signed.into());
            set(self.shift, arg.shift.into());
        }
        put(&mut out, self.cookie, cookie);
        put(&mut out, self.count, args.len().min(MAX) as u64);
        out
    }
}

/// Writes the lower bits of a value into a field of at most 64 bits that does not cross a boundary of eight
/// bytes; bitfields are numbered as the machine's compilers do.
fn put(bytes: &mut [u8], field: Bits, value: u64) {
    let (word, bit) = ((field.at / 64 * 8) as usize, (field.at % 64) as u32);
    let Some(word) = bytes.get_mut(word..).and_then(|rest| rest.first_chunk_mut::<8>()) else { return };
    let mask = u64::MAX.checked_shr(64u32.saturating_sub(field.len)).unwrap_or(0);
    let shift = match Endian::NATIVE {
        Endian::Little => bit,
        Endian::Big => 64u32.saturating_sub(bit).saturating_sub(field.len),
    };
    let old = Endian::NATIVE.u64(*word) & !(mask << shift);
    *word = Endian::NATIVE.put_u64(old | (value & mask) << shift);
}

/// Reads such a field.
fn get(bytes: &[u8], field: Bits) -> u64 {
    let (word, bit) = ((field.at / 64 * 8) as usize, (field.at % 64) as u32);
    let Some(word) = bytes.get(word..).and_then(|rest| rest.first_chunk::<8>()) else { return 0 };
    let mask = u64::MAX.checked_shr(64u32.saturating_sub(field.len)).unwrap_or(0);
    let shift = match Endian::NATIVE {
        Endian::Little => bit,
        Endian::Big => 64u32.saturating_sub(bit).saturating_sub(field.len),
    };
    Endian::NATIVE.u64(*word) >> shift & mask
}

/// The specs of one attachment.
#[derive(Debug)]
pub(super) struct Specs {
    map: Map,
    addresses: Option<Map>,
    layout: Layout,
    users: Bits,
    /// Those that this attachment uses, each as often as it does.
    used: Vec<u32>,
    noted: Vec<u64>,
}

/// Threads of this process that attach at the same time take turns at the map.
static TURN: Mutex<()> = Mutex::new(());

impl Specs {
    /// Finds the maps of a program. The error is what to tell the user.
    pub(super) fn of(program: &Program) -> Result<Specs, String> {
        let info = program.info().map_err(|e| format!("the program cannot be asked for its maps: {e}"))?;
        let maps: Result<Vec<Map>, SysError> = info.map_ids.iter().map(|id| Map::open_id(*id)).collect();
        let mut maps = maps.map_err(|e| format!("a map of the program cannot be opened: {e}"))?;
        let Some(at) = find_map(&maps, "__bpf_usdt_specs") else {
            return Err(
                "the program has no map `__bpf_usdt_specs`: include <bpf/usdt.bpf.h>, and read an argument"
                    .into(),
            );
        };
        let map = maps.swap_remove(at);
        let addresses = find_map(&maps, "__bpf_usdt_ip_to_spec_id").map(|at| maps.swap_remove(at));
        let size = map.value_len();
        let by_type = map.btf().and_then(|btf| Layout::of_type(btf, map.info().value_type, size));
        let layout = by_type.or_else(|| Layout::of_size(size));
        let known = layout.and_then(|layout| Some((layout.users()?, layout)));
        let Some((users, layout)) = known else {
            return Err(format!(
                "the values of `__bpf_usdt_specs` have {size} bytes, and none of the known layouts"
            ));
        };
        Ok(Specs { map, addresses, layout, users, used: Vec::new(), noted: Vec::new() })
    }

    /// Puts a spec into the map, or finds it there; its number. `E2BIG` if there is no room.
    pub(super) fn add(
        &mut self,
        args: &[Arg],
        cookie: u64,
        notes: &mut Vec<String>,
    ) -> Result<u32, SysError> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = self.layout.build(args, cookie, notes);
        for id in 0..self.map.info().max_entries {
            let old = self.map.get(&id.to_ne_bytes())?.unwrap_or_default();
            let users = get(&old, self.users);
            let mut same = old;
            put(&mut same, self.users, 0);
            if users == 0 || same == spec {
                self.set(id, &spec, users.saturating_add(1))?;
                self.used.push(id);
                return Ok(id);
            }
        }
        Err(SysError::other("find room in `__bpf_usdt_specs`", Errno::E2BIG))
    }

    fn set(&self, id: u32, spec: &[u8], users: u64) -> Result<(), SysError> {
        let mut value = spec.to_vec();
        put(&mut value, self.users, users);
        self.map.set(&id.to_ne_bytes(), &value, 0)
    }

    /// Notes that the program, called at this address, is at a place with this spec. `EEXIST` if another is.
    pub(super) fn note_address(&mut self, address: u64, id: u32) -> Result<(), SysError> {
        /// `BPF_NOEXIST`
        const NEW: u64 = 1;
        let none = SysError::other("find `__bpf_usdt_ip_to_spec_id`", Errno::ENOENT);
        let map = self.addresses.as_ref().ok_or(none)?;
        map.set(&address.to_ne_bytes(), &id.to_ne_bytes(), NEW)?;
        self.noted.push(address);
        Ok(())
    }

    /// Leaves the specs in use for good, or until the map is gone.
    pub(super) fn forget(&mut self) {
        self.used.clear();
        self.noted.clear();
    }

    /// Gives the specs back, once the program is detached.
    pub(super) fn release(&mut self) -> Result<(), SysError> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        for address in self.noted.drain(..) {
            if let Some(map) = &self.addresses {
                map.delete(&address.to_ne_bytes())?;
            }
        }
        for id in std::mem::take(&mut self.used) {
            let spec = self.map.get(&id.to_ne_bytes())?.unwrap_or_default();
            match get(&spec, self.users) {
                0 | 1 => self.map.set(&id.to_ne_bytes(), &vec![0; self.layout.size], 0)?,
                users => self.set(id, &spec, users.saturating_sub(1))?,
            }
        }
        Ok(())
    }
}

/// An attachment that was given up half-way gives back what it has taken.
impl Drop for Specs {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_they_were_put() {
        let mut bytes = vec![0; 16];
        put(&mut bytes, bits(64, 12), 0xabc);
        put(&mut bytes, bits(76, 4), 0x3);
        put(&mut bytes, bits(0, 64), u64::MAX);
        assert_eq!((get(&bytes, bits(64, 12)), get(&bytes, bits(76, 4))), (0xabc, 3));
        put(&mut bytes, bits(64, 12), 1);
        assert_eq!((get(&bytes, bits(64, 12)), get(&bytes, bits(76, 4))), (1, 3));
        assert_eq!(get(&bytes, bits(0, 64)), u64::MAX);
    }

    #[test]
    fn both_layouts_have_room_for_the_count() {
        for size in [208, 304] {
            let layout = Layout::of_size(size);
            assert!(layout.is_none_or(|layout| layout.users().is_some()), "{size}");
        }
        assert!(Layout::of_size(100).is_none());
    }
}
