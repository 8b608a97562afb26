//! Where lines come from: a terminal, where they can be edited and called back, or a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::{DefaultEditor, ExternalPrinter};

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
    /// At a terminal: prints above the line that is being edited, and how the terminal was before.
    terminal: Option<(Box<dyn ExternalPrinter>, Termios)>,
}

impl Input {
    /// Sends every line that is read as an event.
    pub(crate) fn start(events: Sender<Event>) -> Result<Input, Box<dyn std::error::Error>> {
        let (answered, go_on) = channel();
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            thread::spawn(move || read_pipe(&events, &go_on));
            return Ok(Input { answered, terminal: None });
        }
        let before = tcgetattr(io::stdin())?;
        let mut editor = DefaultEditor::new()?;
        let printer = Box::new(editor.create_external_printer()?);
        thread::spawn(move || read_terminal(&mut editor, &events, &go_on));
        Ok(Input { answered, terminal: Some((printer, before)) })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Prints while a line may be half written.
    pub(crate) fn print(&mut self, text: &str) {
        if let Some((printer, _)) = &mut self.terminal {
            let _ = printer.print(format!("{text}\n"));
        }
    }

    /// The next line may be read.
    pub(crate) fn answered(&self) {
        let _ = self.answered.send(());
    }
}

impl Drop for Input {
    /// The thread may be in the middle of a line, with the terminal in its hands.
    fn drop(&mut self) {
        if let Some((_, before)) = &self.terminal {
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
