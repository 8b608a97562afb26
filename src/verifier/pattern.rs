//! Matching the verifier's messages: literal text with holes.
//!
//! `R{reg} invalid mem access '{type}'` matches `R0 invalid mem access 'ctx'` with `reg` = `0` and `type` = `ctx`.
//! A hole takes as little as it can; the last one takes the rest. What follows the pattern's end in the message
//! does not matter, as kernels like to add to their messages.

/// What stood in the holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holes<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Holes<'a> {
    /// What stood in the hole of this name.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    /// The same as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

/// Does the message begin as the pattern says?
pub(super) fn matches<'a>(pattern: &'static str, message: &'a str) -> Option<Holes<'a>> {
    let mut holes = Holes::default();
    let (literal, mut pattern) = pattern.split_once('{').unwrap_or((pattern, ""));
    let mut rest = message.strip_prefix(literal)?;
    while let Some((name, after)) = pattern.split_once('}') {
        let (literal, next) = after.split_once('{').unwrap_or((after, ""));
        let end = if literal.is_empty() { rest.len() } else { rest.find(literal)? };
        let (value, tail) = rest.split_at_checked(end)?;
        // A register's and an instruction's number are digits alone.
        if ["reg", "insn"].contains(&name) && !value.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        holes.0.push((name, value));
        rest = tail.strip_prefix(literal)?;
        pattern = next;
    }
    Some(holes)
}
