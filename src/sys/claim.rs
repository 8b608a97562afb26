//! Who uses the memory of a ring in this process.
//!
//! A ring buffer has one consumer and a user ring buffer one producer: what it lends out as a slice is its own only as
//! long as nobody else moves the position. A map can be opened any number of times, so it is not the type of a value
//! that says whether there is another, but this register, by the map's id. An id belongs to one map for as long as that
//! lives, and it lives as long as it is mapped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::errno::{Errno, SysError};

/// How a ring's memory is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Parts of it are lent out: nobody else may be there.
    Alone,
    /// Everything is copied: others that copy may be there too.
    Shared,
}

/// The right to use a ring in this process, as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    map: u32,
    how: Use,
}

/// By map: how many claims there are. Of those that are alone there is one.
static CLAIMS: Mutex<BTreeMap<u32, (Use, usize)>> = Mutex::new(BTreeMap::new());

impl Claim {
    /// `EBUSY` if somebody in this process uses the ring and one of the two has to be alone.
    pub(super) fn of(map: u32, how: Use) -> Result<Claim, SysError> {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.get_mut(&map) {
            None => _ = claims.insert(map, (how, 1)),
            Some((Use::Shared, count)) if how == Use::Shared => *count += 1,
            Some(_) => {
                return Err(SysError::other(
                    "using a ring buffer a second time in this process",
                    Errno::EBUSY,
                ));
            }
        }
        Ok(Claim { map, how })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.get_mut(&self.map) {
            Some((_, count)) if self.how == Use::Shared && *count > 1 => *count -= 1,
            _ => _ = claims.remove(&self.map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Use};

    /// No map has these ids: they are given from 1 on.
    const MAPS: [u32; 2] = [u32::MAX, u32::MAX - 1];

    #[test]
    fn one_alone_or_many_that_share() {
        let alone = Claim::of(MAPS[0], Use::Alone).expect("nobody is there");
        assert!(Claim::of(MAPS[0], Use::Alone).is_err() && Claim::of(MAPS[0], Use::Shared).is_err());
        drop(alone);
        let (one, two) = (Claim::of(MAPS[0], Use::Shared), Claim::of(MAPS[0], Use::Shared));
        assert!(one.is_ok() && two.is_ok() && Claim::of(MAPS[0], Use::Alone).is_err());
        drop(one);
        assert!(Claim::of(MAPS[0], Use::Alone).is_err());
        drop(two);
        assert!(Claim::of(MAPS[0], Use::Alone).is_ok() && Claim::of(MAPS[1], Use::Alone).is_ok());
    }
}
