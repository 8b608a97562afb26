//! What was wanted, kept beside the pins.
//!
//! The kernel knows what is attached and nobody what was meant to be: after an interface is deleted, no link says which
//! it was. A bpffs holds no files, but it holds symbolic links, and what one points to is up to 4095 letters that the
//! kernel never reads. So the request is written down as text in links that point to nowhere, `record`, `record1` ...
//! They come into being in the new directory before that gets its name, and go with it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use super::error::{DeployError, Result};
use super::store::LoadEntry;

/// Text that says how an object was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadRecord {
    /// A hash of the object's bytes: [`digest`].
    pub digest: String,
    /// The request, in the words of whoever made it.
    pub text: String,
}

const NAME: &str = "record";
/// The longest text of one symbolic link, in bytes.
const LONGEST: usize = 4000;

impl LoadRecord {
    /// Writes it down. A kernel that has no symbolic links in a bpffs, or a policy that forbids them, leaves the entry
    /// without a record; it can still be unloaded.
    pub(super) fn write(&self, entry: &LoadEntry) {
        let whole = format!("{}\n{}", self.digest, self.text);
        let mut rest = whole.as_str();
        let mut number = 0;
        while !rest.is_empty() {
            let mut end = rest.len().min(LONGEST);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, more) = rest.split_at(end);
            if symlink(piece, entry.dir.join(name(number))).is_err() {
                return;
            }
            rest = more;
            number += 1;
        }
    }

    /// Reads it; `None` if there is none.
    pub fn read(entry: &LoadEntry) -> Result<Option<LoadRecord>> {
        let mut whole = String::new();
        for number in 0.. {
            let path = entry.dir.join(name(number));
            match fs::read_link(&path) {
                Ok(text) => whole.push_str(&text.to_string_lossy()),
                Err(e) if e.kind() == ErrorKind::NotFound => break,
                Err(e) => return Err(DeployError::io(format!("read the record {}", path.display()))(e)),
            }
        }
        let split = whole.split_once('\n');
        Ok(split.map(|(digest, text)| LoadRecord { digest: digest.into(), text: text.into() }))
    }

    /// Removes it.
    pub(super) fn remove(entry: &LoadEntry) -> Result<()> {
        for number in 0.. {
            let path = entry.dir.join(name(number));
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => break,
                Err(e) => return Err(DeployError::io(format!("remove the record {}", path.display()))(e)),
            }
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    if number == 0 { NAME.into() } else { format!("{NAME}{number}") }
}

/// A number for these bytes (FNV-1a of 128 bits): it tells whether an object is another than before. Not for telling
/// apart what somebody made to look the same.
pub fn digest(bytes: &[u8]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let hash = bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_fnv() {
        assert_eq!(super::digest(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(super::digest(b"a"), "d228cb696f1a8caf78912b704e4a8964");
    }
}
