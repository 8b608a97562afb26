//! What the user sees: reports as text and as JSON, errors, tables, the screen, the keyboard's signals.

pub(crate) mod advice;
pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod hook;
pub(crate) mod notify;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod rejection;
pub(crate) mod schema;
pub(crate) mod screen;
pub(crate) mod stop;
pub(crate) mod style;
pub(crate) mod table;
