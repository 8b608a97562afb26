//! From names to types.
//!
//! BTF has no index of names, and making one would cost more than most programs ever ask of it: a hash
//! table of a kernel's 90,000 names takes tens of milliseconds and megabytes. A program asks for a few
//! dozen names, and they can all be asked in one pass: for each type of a wanted kind, look at the first
//! bytes of its name, which nearly always tells that it is none of the wanted ones.
//!
//! What was asked of a kernel's types is remembered: a process that loads many objects asks for `task_struct` once.
//!
//! Newer kernels sort their BTF by name (Debian's from 7.0 on). Where that is so, a binary search finds a name
//! in a few steps. That is made sure of first, and not assumed; it takes longer than a few passes, so only a
//! program that goes on asking pays for it.

use super::kind::HEAD;
use super::name::{essential, until_nul};
use super::{Btf, BtfError, BtfKind, KindSet, Name, StrOff, TypeId};
use crate::bytes::Endian;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

/// After how many answers the old ones are forgotten.
const KEPT: usize = 1024;

/// A name to look for, as an argument of [`Btf::find_many`].
#[derive(Clone, Copy, Debug)]
#[doc(alias = "Wanted")]
pub struct TypeQuery<'n> {
    name: &'n [u8],
    kinds: KindSet,
    flavours: bool,
}

impl<'n> TypeQuery<'n> {
    /// The types of exactly this name.
    pub fn named(name: &'n str, kinds: impl Into<KindSet>) -> TypeQuery<'n> {
        TypeQuery { name: name.as_bytes(), kinds: kinds.into(), flavours: false }
    }

    /// The types whose [essential name](super::essential_name) is that of `name`: a flavour on either
    /// side does not count. These are the candidates of CO-RE.
    pub fn essential(name: &'n str, kinds: impl Into<KindSet>) -> TypeQuery<'n> {
        TypeQuery { name: essential(name.as_bytes()), kinds: kinds.into(), flavours: true }
    }

    /// The same, to be kept.
    fn question(&self) -> Question {
        (self.name.into(), self.kinds, self.flavours)
    }

    /// Whether this is the name; no name matches nothing.
    fn matches(&self, name: Name<'_>) -> bool {
        match self.flavours {
            _ if self.name.is_empty() => false,
            false => name.is(self.name),
            true => name.tail().starts_with(self.name) && name.essential() == self.name,
        }
    }
}

/// A name, the kinds, and whether flavours do not count.
type Question = (Box<[u8]>, KindSet, bool);
/// What was looked up before.
pub(super) type Answers = HashMap<Question, Vec<TypeId>>;

/// Where to look, as an argument of [`Btf::find_many`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "Scope")]
pub enum FindScope {
    /// The base's types, then its own.
    All,
    /// Only the types that the base does not have.
    Own,
}

impl Btf {
    /// The first type of this name and one of these kinds; the base's types come first.
    ///
    /// # Errors
    /// [`BtfError::NotFound`], or why the types cannot all be read.
    #[doc(alias = "btf__find_by_name_kind")]
    pub fn find(&self, name: &str, kinds: impl Into<KindSet>) -> Result<TypeId, BtfError> {
        let kinds = kinds.into();
        let found = self.find_all(name, kinds)?;
        found.first().copied().ok_or_else(|| BtfError::NotFound { name: name.into(), kinds })
    }

    /// Every type of this name and one of these kinds, in the order of their numbers.
    ///
    /// # Errors
    /// Nothing was found and there are types that cannot be read.
    pub fn find_all(&self, name: &str, kinds: impl Into<KindSet>) -> Result<Vec<TypeId>, BtfError> {
        let found = self.find_many(FindScope::All, &[TypeQuery::named(name, kinds)])?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The first type of this name and kind that the base does not have.
    pub(crate) fn find_own(&self, name: &str, kind: BtfKind) -> Option<TypeId> {
        self.find_many(FindScope::Own, &[TypeQuery::named(name, kind)]).ok()?.into_iter().flatten().next()
    }

    /// Looks up in one pass what of these is not known yet, and remembers it: whoever asks for it from then on, also for
    /// another object, is answered without a pass.
    pub(crate) fn prefetch_types(&self, wanted: &[TypeQuery<'_>]) {
        let unknown: Vec<_> = {
            let answers = self.answers();
            wanted.iter().filter(|want| !answers.contains_key(&want.question())).copied().collect()
        };
        if unknown.is_empty() {
            return;
        }
        if let Ok(found) = self.find_many(FindScope::All, &unknown) {
            let mut answers = self.answers();
            // The kernel's types live as long as the process: what earlier objects asked is not kept for ever.
            if answers.len() > KEPT {
                answers.clear();
            }
            answers.extend(unknown.iter().map(TypeQuery::question).zip(found));
        }
    }

    /// The answers to all of these, if each was expected.
    fn known(&self, wanted: &[TypeQuery<'_>]) -> Option<Vec<Vec<TypeId>>> {
        let answers = self.answers();
        if answers.is_empty() {
            return None;
        }
        wanted.iter().map(|want| answers.get(&want.question()).cloned()).collect()
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for several names in one pass over the types; each list of the result answers the wanted
    /// name at the same place, with type numbers in rising order.
    ///
    /// The cost is that of the pass, whatever the number of names: about 0.2 ms for the types of
    /// a kernel.
    ///
    /// # Errors
    /// A name was not found and there are types that cannot be read.
    pub fn find_many(
        &self,
        scope: FindScope,
        wanted: &[TypeQuery<'_>],
    ) -> Result<Vec<Vec<TypeId>>, BtfError> {
        if let (FindScope::All, Some(known)) = (scope, self.known(wanted)) {
            return Ok(known);
        }
        let mut found = vec![Vec::new(); wanted.len()];
        self.search(scope, wanted, &mut found);
        match self.stopped() {
            Some(stop) if found.iter().any(Vec::is_empty) => Err(stop.clone()),
            _ => Ok(found),
        }
    }

    fn search(&self, scope: FindScope, wanted: &[TypeQuery<'_>], found: &mut [Vec<TypeId>]) {
        if let (FindScope::All, Some(base)) = (scope, self.base()) {
            base.search(scope, wanted, found);
        }
        if self.starts().len().saturating_mul(wanted.len()) <= FEW {
            return self.compare_each(wanted, found);
        }
        match (self.sorted_from(), self.endian()) {
            (Some(first), _) => self.search_sorted(first, wanted, found),
            (None, Endian::Little) => self.pass::<true>(wanted, found),
            (None, Endian::Big) => self.pass::<false>(wanted, found),
        }
    }

    /// Compares each own type with each wanted name: for an object's types, a filter would cost more than it saves.
    fn compare_each(&self, wanted: &[TypeQuery<'_>], found: &mut [Vec<TypeId>]) {
        for id in (self.first_id().0..self.type_count()).map(TypeId) {
            let Some(head) = self.head(id) else { return };
            for (want, list) in wanted.iter().zip(found.iter_mut()) {
                if want.kinds.contains(head.kind())
                    && self.lookup_name(head.name).is_some_and(|name| want.matches(name))
                {
                    list.push(id);
                }
            }
        }
    }

    /// The pass over the own types.
    fn pass<const LITTLE: bool>(&self, wanted: &[TypeQuery<'_>], found: &mut [Vec<TypeId>]) {
        let filter = Filter::new(wanted);
        let (types, strings) = (self.own_types(), self.own_strings());
        let (first_id, first_str) = (self.first_id().0, self.first_str().0);
        for (id, &start) in (first_id..).zip(self.starts()) {
            let Some(head) = types.get(start as usize..).and_then(|r| r.first_chunk::<HEAD>()) else {
                return;
            };
            let &[n0, n1, n2, n3, i0, _, _, i3, ..] = head;
            let kind = if LITTLE { i3 } else { i0 };
            if !filter.kinds[kind as usize] {
                continue;
            }
            let off = [n0, n1, n2, n3];
            let off = StrOff(if LITTLE { u32::from_le_bytes(off) } else { u32::from_be_bytes(off) });
            let tail = match off.0.checked_sub(first_str) {
                Some(own) => strings.get(own as usize..),
                // A name in the base's strings, which the own types of a module often have.
                None => self.base().and_then(|base| base.lookup_name(off)).map(Name::tail),
            };
            let Some(tail) = tail else { continue };
            let maybe = filter.maybe(tail);
            if maybe.is_empty() {
                continue;
            }
            let start = Prefix::of(tail);
            for &(nth, _) in maybe.iter().filter(|(_, prefix)| prefix.may_start(start)) {
                let (Some(want), Some(list)) = (wanted.get(nth), found.get_mut(nth)) else { continue };
                if want.kinds.contains(BtfKind(kind & 0x7f)) && want.matches(Name::new(tail, off)) {
                    list.push(TypeId(id));
                }
            }
        }
    }

    /// The first type that has a name, when the own types are known to be sorted by name.
    ///
    /// To know costs as much as some passes, so it is found out when that many have been made.
    fn sorted_from(&self) -> Option<u32> {
        if self.searches.fetch_add(1, Ordering::Relaxed) < SEARCHES_BEFORE_CHECK {
            return None;
        }
        *self.sorted.get_or_init(|| {
            let tails = || {
                let ids = (self.first_id().0..self.type_count()).map(TypeId);
                ids.map(|id| {
                    self.head(id).and_then(|h| self.lookup_name(h.name)).unwrap_or(Name::EMPTY).tail()
                })
            };
            let rising = |a: &&[u8], b: &&[u8]| not_above(a, b);
            // A few samples tell nearly all unsorted BTF at no cost; only then is every pair compared.
            let step = self.starts().len() / 64;
            if step == 0 || !tails().step_by(step).is_sorted_by(rising) || !tails().is_sorted_by(rising) {
                return None;
            }
            let anonymous = tails().take_while(|tail| matches!(tail.first(), None | Some(0))).count();
            Some(self.first_id().0.saturating_add(anonymous as u32))
        })
    }

    /// The name of a type; a broken one counts as none.
    fn raw_name(&self, id: TypeId) -> &[u8] {
        let name = self.head(id).and_then(|head| self.lookup_name(head.name));
        name.map_or(&[], Name::as_bytes)
    }

    fn search_sorted(&self, first: u32, wanted: &[TypeQuery<'_>], found: &mut [Vec<TypeId>]) {
        for (want, list) in wanted.iter().zip(found) {
            // `name`, then, with other names in between, `name___flavour`.
            let flavoured = [want.name, b"___"].concat();
            let mut prefixes = vec![want.name];
            if want.flavours {
                prefixes.push(&flavoured);
            }
            for (nth, prefix) in prefixes.into_iter().enumerate() {
                let mut id = self.lower_bound(first, prefix);
                while id < self.type_count() {
                    let ty = TypeId(id);
                    let name = Name::new(self.raw_name(ty), StrOff::NONE);
                    let in_range =
                        if nth == 0 { name.is(prefix) } else { name.as_bytes().starts_with(prefix) };
                    if !in_range {
                        break;
                    }
                    if want.matches(name) && self.head(ty).is_some_and(|h| want.kinds.contains(h.kind())) {
                        list.push(ty);
                    }
                    id = id.saturating_add(1);
                }
            }
        }
    }

    /// The first type from `first` on whose name is not below `name`.
    fn lower_bound(&self, first: u32, name: &[u8]) -> u32 {
        let (mut low, mut high) = (first, self.type_count());
        while low < high {
            let middle = low.midpoint(high);
            if self.raw_name(TypeId(middle)) < name {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Up to how many comparisons are made one by one.
const FEW: usize = 1 << 14;

/// After how many passes it is found out whether the types are sorted, so that searches can do without.
const SEARCHES_BEFORE_CHECK: u32 = 16;

/// Whether one name is not above another, in the order of `strcmp`. Each is followed by other names.
fn not_above(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk(), b.first_chunk()) {
        // Eight bytes at once nearly always tell.
        (Some(x), Some(y)) => match (until_nul_be(*x), until_nul_be(*y)) {
            (x, y) if x != y => x < y,
            (x, _) if x.to_be_bytes().contains(&0) => true,
            _ => until_nul(a) <= until_nul(b),
        },
        _ => until_nul(a) <= until_nul(b),
    }
}

/// Eight bytes as a number that sorts like them, zeros from the first NUL on.
fn until_nul_be(bytes: [u8; 8]) -> u64 {
    const LOW: u64 = u64::MAX / 255 * 0x7f;
    let x = u64::from_be_bytes(bytes);
    // The upper bit of each byte that is 0, and of no other.
    let zeros = !((x & LOW).wrapping_add(LOW) | x | LOW);
    match zeros.leading_zeros() {
        64 => x,
        bit => x & !(u64::MAX >> bit),
    }
}

/// What tells at a glance that a type is none of the wanted ones: a table over the byte that holds its
/// kind, and the wanted names (by their place in the list) sorted into buckets by their first two bytes.
struct Filter {
    kinds: [bool; 256],
    buckets: Vec<Vec<(usize, Prefix)>>,
}

impl Filter {
    fn new(wanted: &[TypeQuery<'_>]) -> Filter {
        let mut filter = Filter { kinds: [false; 256], buckets: vec![Vec::new(); 256] };
        for (nth, want) in wanted.iter().enumerate().filter(|(_, want)| !want.name.is_empty()) {
            for (kind, slot) in (0..=u8::MAX).zip(&mut filter.kinds) {
                *slot |= want.kinds.contains(BtfKind(kind & 0x7f));
            }
            // The byte after a name of one letter is a NUL, or the first of a flavour's underscores.
            let first = want.name.first().copied().unwrap_or(0);
            let seconds: &[u8] = match want.name.get(1) {
                Some(second) => &[*second],
                None => &[0, b'_'],
            };
            for &second in seconds {
                if let Some(bucket) = filter.buckets.get_mut(Filter::slot(first, second)) {
                    bucket.push((nth, Prefix::of(want.name)));
                }
            }
        }
        filter
    }

    /// The wanted names that this one may be.
    #[inline]
    fn maybe(&self, tail: &[u8]) -> &[(usize, Prefix)] {
        match *tail {
            [first, second, ..] => self.buckets.get(Filter::slot(first, second)).map_or(&[], Vec::as_slice),
            _ => &[], // a NUL and nothing after it: no name
        }
    }

    /// A slot below 256, for two bytes of a name.
    #[inline]
    fn slot(first: u8, second: u8) -> usize {
        (first ^ second.wrapping_mul(7)) as usize
    }
}

/// Up to eight bytes as a number, and which of its bits count.
#[derive(Clone, Copy)]
struct Prefix {
    bytes: u64,
    mask: u64,
}

impl Prefix {
    fn of(bytes: &[u8]) -> Prefix {
        if let Some(whole) = bytes.first_chunk::<8>() {
            return Prefix { bytes: u64::from_le_bytes(*whole), mask: u64::MAX };
        }
        let (mut out, mut mask) = ([0; 8], [0; 8]);
        for ((to, bits), from) in out.iter_mut().zip(&mut mask).zip(bytes) {
            (*to, *bits) = (*from, u8::MAX);
        }
        Prefix { bytes: u64::from_le_bytes(out), mask: u64::from_le_bytes(mask) }
    }

    /// Whether `text` starts like this, as far as eight bytes tell.
    #[inline]
    fn may_start(self, text: Prefix) -> bool {
        text.bytes & self.mask == self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_bytes_do() {
        let names = [
            "",
            "a",
            "a_",
            "aa",
            "abcdefg",
            "abcdefgh",
            "abcdefgh_1",
            "abcdefgh_2",
            "b",
            "\u{1}",
            "\u{1}\u{1}",
            "\u{e9}",
        ];
        for a in names {
            for b in names {
                // What follows the NUL must not count.
                let [x, y] = [format!("{a}\0zzzzzzzz"), format!("{b}\0aaaaaaaa")];
                assert_eq!(
                    not_above(x.as_bytes(), y.as_bytes()),
                    a.as_bytes() <= b.as_bytes(),
                    "{a:?} {b:?}"
                );
                assert_eq!(
                    not_above(format!("{a}\0").as_bytes(), y.as_bytes()),
                    a.as_bytes() <= b.as_bytes()
                );
            }
        }
    }
}
