//! The one place that prints.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::args::ColorArg;
use crate::error::CommandError;
use crate::exit::Exit;

/// Red, for what does not work.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Yellow, for what will not work for long.
pub(crate) const SOON: Style = AnsiColor::Yellow.on_default();
/// For headings.
pub(crate) const STRONG: Style = Style::new().bold();

/// Standard output for data, standard error for everything else.
pub(crate) struct Output {
    failed: Option<io::Error>,
}

impl Output {
    /// Returns the streams; colours are as asked for, and by default those that the terminal can show.
    pub(crate) fn new(color: ColorArg) -> Self {
        match color {
            ColorArg::Auto => anstream::ColorChoice::Auto,
            ColorArg::Always => anstream::ColorChoice::Always,
            ColorArg::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { failed: None }
    }

    /// Writes data, as it is.
    pub(crate) fn data(&mut self, text: &str) {
        let mut stdout = anstream::stdout().lock();
        self.remember(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
    }

    /// Writes bytes that are no text for a terminal, such as the roff of a manual page.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        self.remember(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Returns standard output for data that come bit by bit. Who writes to it is told when it is gone.
    pub(crate) fn stream(&self) -> Box<dyn Write + Send> {
        Box::new(io::stdout())
    }

    /// Returns whether somebody looks at standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a line about what is going on.
    pub(crate) fn note(&mut self, text: &str) {
        self.line("", text);
    }

    /// Writes a `hint:` line.
    pub(crate) fn hint(&mut self, text: &str) {
        self.line(&format!("{STRONG}hint:{STRONG:#} "), text);
    }

    /// Writes a `warning:` line.
    pub(crate) fn warning(&mut self, text: &str) {
        self.line(&format!("{SOON}warning:{SOON:#} "), text);
    }

    /// Writes an `error:` line, its causes, and its hints.
    pub(crate) fn error(&mut self, error: &CommandError) {
        self.line(&format!("{BAD}error:{BAD:#} "), error.message());
        for hint in error.hints() {
            self.hint(hint);
        }
    }

    /// Asks a question and returns whether the answer is yes; `None` when there is nobody to ask.
    pub(crate) fn confirm(&mut self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let mut stderr = anstream::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Returns how the program ends: as `exit`, unless its data could not be written.
    ///
    /// A reader that has seen enough and closed the pipe is no failure.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        match self.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.error(&CommandError::failed(format!("cannot write to standard output: {error}")));
                Exit::Failed
            }
            Some(_) | None => exit,
        }
    }

    fn line(&mut self, label: &str, text: &str) {
        // Nobody can be told that the place for telling is gone.
        let _ = writeln!(anstream::stderr().lock(), "{label}{}", plain(text));
    }

    /// Keeps the first failure for the end, so that a closed pipe stops nothing half-way.
    fn remember(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

/// Returns `text` as one line without control characters: names, reasons and paths in it may be foreign.
pub(crate) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
    }
    line
}
