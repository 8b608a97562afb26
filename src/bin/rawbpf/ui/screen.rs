//! A terminal's screen that is drawn again and again.

use std::io::{self, Write};

use crate::ui::table::Table;

/// Rows and columns of the terminal; 24 and 80 where nobody knows.
pub(crate) fn size() -> (u16, u16) {
    terminal_size::terminal_size().map_or((24, 80), |(columns, rows)| (rows.0, columns.0))
}

/// Draws a line and a table; false if the terminal is gone.
pub(crate) fn draw(head: &str, table: &Table) -> bool {
    let mut text = Vec::new();
    // Home, then the text, then clear what is below: no flicker.
    let _ = writeln!(text, "\x1b[H\x1b[2J{head}");
    let _ = table.write(&mut text);
    let mut out = io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).is_ok()
}
