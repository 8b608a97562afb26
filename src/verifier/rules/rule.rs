//! What a rule is.

/// A rule of the verifier.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// A name that does not change.
    pub id: &'static str,
    /// How kernels say that it was broken; see [`matches`](crate::verifier::pattern::matches).
    pub(in crate::verifier) messages: &'static [&'static str],
    /// What was done, in a line.
    pub(in crate::verifier) title: &'static str,
    /// The rule in plain words.
    pub rule: &'static str,
    /// What usually mends it.
    pub(in crate::verifier) help: &'static [&'static str],
    /// Whose history tells more.
    pub(in crate::verifier) follow: Follow,
}

/// Whose history tells why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verifier) enum Follow {
    /// Nobody's.
    Nothing,
    /// The register that the message names, or that the instruction reads memory through.
    Reg,
    /// What the instruction adds to its result.
    Operand,
    /// The packet pointer of the message, and the last comparison with the packet's end.
    Packet,
    /// `r0`, at the end of a function.
    Result,
    /// What was acquired, and the way out.
    Acquired,
    /// The size that goes with the memory in the register that the message names.
    Size,
    /// The call with this in its name, which has no counterpart on the path.
    Held(&'static str),
    /// The lines that the path goes through again and again.
    Loop,
}
