//! Printing: text for people, one JSON document for programs.

use std::io::{self, Write};

use rawbpf::sys::{Call, Observed};
use serde::Serialize;

use crate::ui::error::{CliError, causes, whole};
use crate::ui::rejection::Rejection;
use crate::ui::style::{color, paint};

/// Version of the JSON documents: it changes when a field changes its meaning or goes away, not when one is
/// added.
pub(crate) const SCHEMA: u32 = 1;

/// Something that a command has to say.
pub(crate) trait Report: Serialize {
    /// The same for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Where and how to print.
pub(crate) struct Output {
    json: bool,
    verbose: bool,
}

#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    schema: u32,
    command: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct ErrorBody {
    error: ErrorReport,
}

#[derive(Serialize)]
struct ErrorReport {
    kind: &'static str,
    message: String,
    causes: Vec<String>,
    errno: Option<String>,
    hint: Option<String>,
    rejection: Option<Rejection>,
    verifier_log: Option<String>,
}

impl Output {
    pub(crate) fn new(json: bool, verbose: bool) -> Output {
        Output { json, verbose }
    }

    /// True if the verifier's whole log is wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// True if programs read what is printed.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints what a command has to say. A reader that has gone away is no error.
    pub(crate) fn report<T: Report>(&self, command: &str, report: &T) -> Result<(), CliError> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written = if self.json {
            let document = Document { schema: SCHEMA, command, body: report };
            serde_json::to_writer_pretty(&mut out, &document)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        } else {
            report.text(&mut out)
        };
        finish(written.and_then(|()| out.flush()))
    }

    /// Begins a document that is written piece by piece: its head and some fields, up to the opening bracket of the
    /// list `list`. The caller closes the list and the document.
    pub(crate) fn begin(
        &self,
        command: &str,
        fields: &[(&str, serde_json::Value)],
        list: &str,
        out: &mut Vec<u8>,
    ) {
        let _ = write!(out, "{{\n  \"schema\": {SCHEMA},\n  \"command\": \"{command}\",\n");
        for (name, value) in fields {
            let _ = writeln!(out, "  \"{name}\": {value},");
        }
        let _ = write!(out, "  \"{list}\": [");
    }

    /// Prints one line at once: a JSON value, or a text. False if the reader has gone away.
    pub(crate) fn line(
        &self,
        json: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> Result<bool, CliError> {
        let mut out = io::stdout().lock();
        let written = if self.json { writeln!(out, "{}", json()) } else { writeln!(out, "{}", text()) };
        match written.and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true).map_err(CliError::io("write to standard output")),
        }
    }

    /// Prints a line that is written out already.
    pub(crate) fn raw_line(&self, mut line: Vec<u8>) -> Result<bool, CliError> {
        line.push(b'\n');
        match io::stdout().lock().write_all(&line) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true).map_err(CliError::io("write to standard output")),
        }
    }

    /// Says something about what happens, to standard error.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", text);
    }

    /// Prints an error: to standard error, or as the JSON document.
    pub(crate) fn error(&self, command: &str, e: &CliError) {
        // A document that has begun stays the only one, and so does one that says itself what is missing.
        if self.json && matches!(e, CliError::Incomplete { .. }) {
            return;
        }
        if self.json && !matches!(e, CliError::Told(_)) {
            let body = ErrorBody {
                error: ErrorReport {
                    kind: e.kind(),
                    message: e.to_string(),
                    causes: causes(e),
                    errno: e.errno(),
                    hint: e.hint(),
                    rejection: e.lib().and_then(Rejection::of),
                    verifier_log: e.verifier_log().map(String::from),
                },
            };
            let document = Document { schema: SCHEMA, command, body: &body };
            let mut out = io::stdout().lock();
            let _ = serde_json::to_writer_pretty(&mut out, &document);
            let _ = writeln!(out);
            return;
        }
        if let Some(rejection) = e.lib().and_then(Rejection::of) {
            let log = e.verifier_log().filter(|_| self.verbose);
            let _ = write!(io::stderr(), "{}{}", log.unwrap_or(""), rejection.screen(color(&io::stderr())));
            return;
        }
        let mut text = String::new();
        if let Some(log) = e.verifier_log() {
            text.push_str(log.trim_end());
            text.push_str("\n\n");
        }
        text.push_str(&paint("1;31", "error"));
        text.push_str(&format!(": {}", whole(e)));
        if let Some(hint) = e.hint() {
            text.push_str(&format!("\n{}: {hint}", paint("1;36", "help")));
        }
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A closed pipe ends the output quietly.
fn finish(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CliError::io("write to standard output")),
    }
}

/// One line for each call: the command, its fields that are set, and what came of it.
pub(crate) fn explain(call: &Observed) {
    let fields: Vec<String> = call.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let result = match call.result {
        Ok(value) => value.to_string(),
        Err(errno) => format!("-1 {errno}"),
    };
    let said = if call.said.is_empty() { String::new() } else { format!(" {:?}", call.said) };
    let name = match call.call {
        Call::Bpf(cmd) => format!("bpf({cmd:?}, "),
        // Such as `ioctl(PERF_EVENT_IOC_ENABLE)`.
        Call::Other(name) => match name.strip_suffix(')') {
            Some(open) => format!("{open}, "),
            None => format!("{name}("),
        },
    };
    let _ = writeln!(io::stderr(), "{name}{{{}}}) = {result}{said}", fields.join(", "));
}
