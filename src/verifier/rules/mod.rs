//! The verifier's rules, and by which messages each is told: tables.
//!
//! A row has the messages of every kernel since 5.10 for the same fault, so that the explanation is the same on
//! all of them. The first row that fits any line of the message wins; special rows stand before general ones, and so do
//! the tables. In titles and advice, `{reg}` is the register (`r0`), `{call}` the function that is called, `{what}` what
//! the register holds, and the other names are holes of the patterns.

mod arguments;
mod balance;
mod calls;
mod flow;
mod history;
mod memory;
mod pointers;
mod rule;

pub(super) use rule::Follow;
pub use rule::Rule;

/// All rules, by what they are about.
pub static RULES: &[&[Rule]] = &[
    history::RULES,
    pointers::RULES,
    arguments::RULES,
    memory::RULES,
    balance::RULES,
    flow::RULES,
    calls::RULES,
];

/// All rules, one by one.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().flatten()
}

/// The row of this name.
pub(super) fn by_id(id: &str) -> Option<&'static Rule> {
    all().find(|r| r.id == id)
}
