//! [`Lines`]: formats events as log lines.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use super::repeats::{FIELDS, Repeats};
use crate::{error::with_causes, printable::printable};

/// Formats a log line: time, level and printable text.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) is_coloured: bool,
}

/// Formats an event as one line with its spans, its message and its fields. An event that is only
/// counted gives no line.
pub(super) struct Lines {
    pub(super) line: Line,
    pub(super) repeats: &'static Repeats,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !self.repeats.admits(event) {
            return Ok(());
        }
        let mut text = String::new();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            text.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                text.push('{');
                text.push_str(fields);
                text.push('}');
            }
            text.push_str(": ");
        }
        event.record(&mut Fields(&mut text));
        let level = *event.metadata().level();
        self.line.write(&mut writer, level, &text)
    }
}

/// Appends the message and the fields of an event to a text.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", with_causes(error)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = &mut *self.0;
        // Writing to a String does not fail.
        let _ = match field.name() {
            name if FIELDS.contains(&name) => Ok(()),
            "message" => write!(text, "{value:?}"),
            name => write!(text, " {name}={value:?}"),
        };
    }
}

impl Line {
    /// Formats a line that is not an event.
    pub(super) fn of_text(self, level: Level, text: &str) -> String {
        let mut line = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut Writer::new(&mut line), level, text);
        line
    }

    fn write(self, writer: &mut Writer<'_>, level: Level, text: &str) -> fmt::Result {
        self.begin(writer, level)?;
        writeln!(writer, "{}", printable(text))
    }

    fn begin(self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        if !self.is_coloured {
            SystemTime.format_time(writer)?;
            return write!(writer, " {level:>5} ");
        }
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            Level::DEBUG => 34,
            Level::TRACE => 35,
        };
        writer.write_str("\x1b[2m")?;
        SystemTime.format_time(writer)?;
        write!(writer, "\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Returns what `events` logs.
    fn logged(is_coloured: bool, events: impl FnOnce()) -> String {
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || Sink(Arc::clone(&sink)))
            .with_ansi(false)
            .with_ansi_sanitization(false)
            .event_format(Lines {
                line: Line { is_coloured },
                repeats: Box::leak(Box::new(Repeats::new(
                    Box::new(std::time::Instant::now),
                    Box::new(|_, _| {}),
                ))),
            });
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, events);
        let log = log.lock().unwrap().clone();
        String::from_utf8(log).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_it_contains() {
        const EVIL: &str = "a\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{9b}1m\u{202e}z";
        let log = logged(false, || {
            let span = tracing::info_span!("request", path = EVIL, shown = %EVIL);
            let _within = span.enter();
            tracing::warn!(error = %EVIL, debug = ?EVIL, "{EVIL}");
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            log.trim_end()
                .chars()
                .all(|c| !c.is_control() && c != '\u{202e}'),
            "{log}"
        );
        assert!(log.contains(" WARN request{path="), "{log}");
        assert!(
            log.contains("}: a 2026-01-01T00:00:00Z  INFO forged\u{fffd}[2J"),
            "{log}"
        );
    }

    #[test]
    fn only_the_colours_of_the_line_are_written() {
        let log = logged(true, || tracing::info!("\u{1b}[31mred"));
        assert_eq!(log.matches('\u{1b}').count(), 4, "{log:?}");
        assert!(
            log.ends_with("\u{1b}[32m INFO\u{1b}[0m \u{fffd}[31mred\n"),
            "{log:?}"
        );
        // The control.
        assert!(!logged(false, || tracing::info!("plain")).contains('\u{1b}'));
    }
}
