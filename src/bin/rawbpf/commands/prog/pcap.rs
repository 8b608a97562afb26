//! Packets out of a capture: the classic pcap format, in either byte order, and pcapng's packet blocks.

/// A packet.
pub(super) type Packet = Vec<u8>;

/// A reader of words in one byte order. Past the end there is nothing.
struct Words<'a> {
    bytes: &'a [u8],
    swapped: bool,
}

impl Words<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        let word = u32::from_le_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
        Some(if self.swapped { word.swap_bytes() } else { word })
    }
}

/// All packets of a capture.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Packet>, String> {
    match Some(bytes).and_then(|b| b.first_chunk::<4>()).map(|m| u32::from_le_bytes(*m)) {
        Some(0xa1b2_c3d4 | 0xa1b2_3c4d) => classic(Words { bytes, swapped: false }),
        Some(0xd4c3_b2a1 | 0x4d3c_b2a1) => classic(Words { bytes, swapped: true }),
        Some(0x0a0d_0d0a) => next_generation(bytes),
        _ => Err("it is neither pcap nor pcapng".into()),
    }
}

/// A header of 24 bytes, then records: time, length here, length on the wire, bytes.
fn classic(words: Words<'_>) -> Result<Vec<Packet>, String> {
    let (mut out, mut at) = (Vec::new(), 24);
    while at < words.bytes.len() {
        let cut = || format!("packet {} is cut short", out.len() + 1);
        let len = words.u32(at + 8).ok_or_else(cut)? as usize;
        let end = (at + 16).checked_add(len).ok_or_else(cut)?;
        out.push(words.bytes.get(at + 16..end).ok_or_else(cut)?.to_vec());
        at = end;
    }
    Ok(out)
}

/// Blocks: type, length, body, length again. A section header tells the byte order of what follows.
fn next_generation(bytes: &[u8]) -> Result<Vec<Packet>, String> {
    const SECTION: u32 = 0x0a0d_0d0a;
    const SIMPLE: u32 = 3;
    const ENHANCED: u32 = 6;
    let (mut out, mut at, mut swapped) = (Vec::new(), 0usize, false);
    while at < bytes.len() {
        let cut = || format!("the block at byte {at} is cut short");
        let kind = Words { bytes, swapped }.u32(at).ok_or_else(cut)?;
        if kind == SECTION {
            let magic = Words { bytes, swapped: false }.u32(at.saturating_add(8)).ok_or_else(cut)?;
            swapped = magic == 0x4d3c_2b1a;
        }
        let words = Words { bytes, swapped };
        let len = words.u32(at.saturating_add(4)).ok_or_else(cut)? as usize;
        let end = at.checked_add(len.max(12)).filter(|end| *end <= bytes.len()).ok_or_else(cut)?;
        let packet = match kind {
            // Interface, time in two words, length here, length on the wire.
            ENHANCED => Some((at + 28, words.u32(at + 20).ok_or_else(cut)? as usize)),
            SIMPLE => {
                let there = len.saturating_sub(16);
                Some((at + 12, (words.u32(at + 8).ok_or_else(cut)? as usize).min(there)))
            }
            _ => None,
        };
        if let Some((start, len)) = packet {
            let stop = start.checked_add(len).filter(|stop| *stop <= end).ok_or_else(cut)?;
            out.push(bytes.get(start..stop).ok_or_else(cut)?.to_vec());
        }
        at = end;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn le(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn both_formats_are_read() {
        let head = le(&[0xa1b2_c3d4, 0, 0, 0, 65535, 1]);
        let one = [le(&[0, 0, 3, 60]), vec![1, 2, 3]].concat();
        let pcap = [head.clone(), one.clone(), one].concat();
        assert_eq!(read(&pcap), Ok(vec![vec![1, 2, 3], vec![1, 2, 3]]));
        assert!(read(&pcap[..pcap.len() - 1]).unwrap_err().contains("packet 2 is cut"));
        let big: Vec<u8> =
            [0xa1b2_c3d4u32, 0, 0, 0, 65535, 1, 0, 0, 1, 1].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(read(&[big, vec![9]].concat()), Ok(vec![vec![9]]));
        let section = le(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
        let packet = [le(&[6, 36, 0, 0, 0, 2, 60]), vec![7, 8, 0, 0], le(&[36])].concat();
        let simple = [le(&[3, 20, 3]), vec![4, 5, 6, 0], le(&[20])].concat();
        assert_eq!(read(&[section.clone(), packet, simple].concat()), Ok(vec![vec![7, 8], vec![4, 5, 6]]));
        assert!(read(&[section, le(&[6, 0xffff_fff0])].concat()).is_err());
        assert!(read(b"").is_err());
    }
}
