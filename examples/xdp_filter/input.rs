//! Where lines come from: a terminal, where they can be edited and called back, or a pipe.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::DefaultEditor;

/// What happens while the filter runs.
pub(crate) enum Event {
    Line(String),
    /// No more lines will come.
    End,
    /// Ctrl-C or SIGTERM.
    Stop,
}

/// A thread that reads lines.
pub(crate) struct Input {
    /// Says that a line was answered, so that the prompt comes again.
    answered: Sender<()>,
    /// At a terminal: how it was before.
    terminal: Option<Termios>,
}

impl Input {
    /// Sends every line that is read as an event.
    pub(crate) fn start(events: Sender<Event>) -> Result<Input, Box<dyn std::error::Error>> {
        let (answered, go_on) = channel();
        let can_edit = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if !can_edit || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            thread::spawn(move || read_pipe(&events, &go_on));
            return Ok(Input { answered, terminal: None });
        }
        let before = tcgetattr(io::stdin())?;
        let mut editor = DefaultEditor::new()?;
        thread::spawn(move || read_terminal(&mut editor, &events, &go_on));
        Ok(Input { answered, terminal: Some(before) })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Prints one line above the one that is being edited.
    pub(crate) fn print_above(&self, text: &str) -> io::Result<()> {
        // Down, so that there is room below, and up again; save the place; insert a line; back to the place, and down.
        let mut out = io::stdout().lock();
        write!(out, "\x1bD\x1b[A\x1b7\r\x1b[L{text}\x1b8\x1b[B")?;
        out.flush()
    }

    /// The next line may be read.
    pub(crate) fn answered(&self) {
        let _ = self.answered.send(());
    }
}

impl Drop for Input {
    /// The thread may be in the middle of a line, with the terminal in its hands.
    fn drop(&mut self) {
        if let Some(before) = &self.terminal {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

/// Both end when the other side of a channel is gone.
fn read_pipe(events: &Sender<Event>, go_on: &Receiver<()>) {
    for line in io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
        if events.send(Event::Line(line)).is_err() || go_on.recv().is_err() {
            return;
        }
    }
    let _ = events.send(Event::End);
}

fn read_terminal(editor: &mut DefaultEditor, events: &Sender<Event>, go_on: &Receiver<()>) {
    // Ctrl-C and Ctrl-D are keys to the editor, and errors to us.
    while let Ok(line) = editor.readline("xdp_filter> ") {
        if line.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(&line);
        if events.send(Event::Line(line)).is_err() || go_on.recv().is_err() {
            return;
        }
    }
    let _ = events.send(Event::Stop);
}
