//! Numbers of any number of bits, at any bit.
//!
//! Bits are counted as the machine lays bitfields out: on a little-endian one from the least significant
//! bit of the first byte, on a big-endian one from its most significant bit.

use crate::bytes::Endian;

/// Where the bytes of a bit range are, how far the range is from the low end of the number that they
/// make, and a mask of its width.
struct Range {
    first: usize,
    last: usize,
    shift: u32,
    mask: u128,
}

fn range(bit_offset: u64, bits: u32, endian: Endian) -> Option<Range> {
    if bits == 0 || bits > 120 {
        return None; // a range of up to 120 bits lies in at most 16 bytes, wherever it starts
    }
    let first = usize::try_from(bit_offset / 8).ok()?;
    let start = (bit_offset % 8) as u32;
    let bytes = start.checked_add(bits)?.div_ceil(8);
    let shift = match endian {
        Endian::Little => start,
        Endian::Big => (bytes * 8).checked_sub(start.checked_add(bits)?)?,
    };
    let last = first.checked_add(bytes as usize)?;
    Some(Range { first, last, shift, mask: u128::MAX >> (128 - bits) })
}

fn number(bytes: &[u8], endian: Endian) -> u128 {
    let add = |n: u128, b: &u8| n << 8 | u128::from(*b);
    match endian {
        Endian::Little => bytes.iter().rev().fold(0, add),
        Endian::Big => bytes.iter().fold(0, add),
    }
}

/// Reads `bits` bits; `None` when they are not all there, or more than 128.
pub(super) fn read(data: &[u8], bit_offset: u64, bits: u32, endian: Endian) -> Option<u128> {
    if bits == 128 && bit_offset % 8 == 0 {
        let first = usize::try_from(bit_offset / 8).ok()?;
        return Some(number(data.get(first..first.checked_add(16)?)?, endian));
    }
    let r = range(bit_offset, bits, endian)?;
    Some(number(data.get(r.first..r.last)?, endian) >> r.shift & r.mask)
}

/// Writes the low `bits` bits of a number, and leaves the bits around them.
pub(super) fn write(data: &mut [u8], bit_offset: u64, bits: u32, endian: Endian, value: u128) -> Option<()> {
    let (first, last, new) = if bits == 128 && bit_offset % 8 == 0 {
        let first = usize::try_from(bit_offset / 8).ok()?;
        (first, first.checked_add(16)?, value)
    } else {
        let r = range(bit_offset, bits, endian)?;
        let old = number(data.get(r.first..r.last)?, endian);
        (r.first, r.last, old & !(r.mask << r.shift) | (value & r.mask) << r.shift)
    };
    let place = data.get_mut(first..last)?;
    let bytes = new.to_le_bytes();
    match endian {
        Endian::Little => place.iter_mut().zip(bytes).for_each(|(to, from)| *to = from),
        Endian::Big => place.iter_mut().rev().zip(bytes).for_each(|(to, from)| *to = from),
    }
    Some(())
}

/// A number of `bits` bits, read as signed.
pub(super) fn sign_extend(value: u128, bits: u32) -> i128 {
    let unused = 128u32.saturating_sub(bits).min(127);
    (value << unused) as i128 >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_changes() {
        for endian in [Endian::Little, Endian::Big] {
            for bits in [1, 3, 8, 17, 40, 64, 120] {
                for offset in 0..24u64 {
                    let mut data = [0u8; 24];
                    let value = 0x5555_aaaa_1234_5678_9abc_def0_0f1e_2d3c & (u128::MAX >> (128 - bits));
                    write(&mut data, offset, bits, endian, value).expect("it fits");
                    assert_eq!(read(&data, offset, bits, endian), Some(value), "{endian} {bits} at {offset}");
                    write(&mut data, offset, bits, endian, 0).expect("it fits");
                    assert_eq!(data, [0; 24]);
                }
            }
        }
    }

    #[test]
    fn ranges_outside_are_refused() {
        assert_eq!(read(&[0; 4], 25, 8, Endian::Little), None);
        assert_eq!(read(&[0; 4], u64::MAX, 8, Endian::Little), None);
        assert_eq!(read(&[0; 32], 0, 0, Endian::Little), None);
    }
}
