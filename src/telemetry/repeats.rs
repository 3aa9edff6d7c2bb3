//! [`Repeats`]: writes a repeated message once and then counts it.
//!
//! An event takes part by one of three fields, whose value names its subject:
//!
//! - `repeats`: the event is written, and events of the same name in the next minute are only
//!   counted. The count is written after that minute.
//! - `request_repeats`: the same for a name that holds text of a request. Such names have a quota of
//!   their own, so clients cannot displace the names of other events by inventing new ones.
//! - `ends`: the subject is over. The event is written after the count, or not at all if no event of
//!   that name was written before.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// The fields by which an event takes part. They are not written.
pub(super) const FIELDS: [&str; 3] = ["repeats", "request_repeats", "ends"];

/// How long events of a name are only counted after one was written.
const COUNTED: Duration = Duration::from_secs(60);

/// How many names of each [`Origin`] are counted apart; all others share [`OTHERS`].
const MAX_NAMES: usize = 64;

/// The name shared by those above [`MAX_NAMES`].
const OTHERS: &str = "";

/// The most characters of a message that are repeated with its count.
const MAX_CHARS: usize = 300;

/// Returns the current time.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// Writes a log line.
type Writer = Box<dyn Fn(Level, &str) + Send + Sync>;

/// See the module.
pub(super) struct Repeats {
    clock: Clock,
    write: Writer,
    counts: Mutex<Counts>,
    /// Lines to be written, in order. [`Repeats::flush`] writes them after `counts` is unlocked, so
    /// an event that is only counted never waits for standard error.
    lines: Mutex<Vec<(Level, String)>>,
    /// Held while lines are written, which keeps their order.
    writing: Mutex<()>,
}

/// Who chooses the name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    /// The program and its configuration.
    Program,
    /// The text of requests.
    Request,
}

type Counts = HashMap<(Origin, String), Count>;

/// The events of one name.
struct Count {
    since: Instant,
    level: Level,
    /// The message of the event that was written.
    message: String,
    /// The number of events that were not written.
    more: u64,
}

impl Repeats {
    pub(super) fn new(clock: Clock, write: Writer) -> Self {
        Self {
            clock,
            write,
            counts: Mutex::default(),
            lines: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Returns whether the event is to be written. Writes its count first, if there is one.
    pub(super) fn admits(&self, event: &Event<'_>) -> bool {
        let fields = event.metadata().fields();
        if FIELDS.iter().all(|field| fields.field(field).is_none()) {
            return true;
        }
        let mut names = Names::default();
        event.record(&mut names);
        let is_written = match (names.ends, names.repeats) {
            (Some(name), _) => self.end(name),
            (None, Some((origin, name))) => self.is_first(origin, name, event),
            (None, None) => true,
        };
        if is_written {
            self.flush();
        }
        is_written
    }

    fn is_first(&self, origin: Origin, name: String, event: &Event<'_>) -> bool {
        let now = (self.clock)();
        let mut counts = lock(&self.counts);
        let mut key = (origin, name);
        if !counts.contains_key(&key) {
            let names = counts.keys().filter(|(other, _)| *other == origin).count();
            if names >= MAX_NAMES {
                OTHERS.clone_into(&mut key.1);
            }
        }
        if let Some(count) = counts.get_mut(&key) {
            if now < count.since + COUNTED {
                count.more += 1;
                return false;
            }
            self.push_count(count, now);
        }
        let count = Count {
            since: now,
            level: *event.metadata().level(),
            message: message(event),
            more: 0,
        };
        counts.insert(key, count);
        true
    }

    /// Forgets a name. Returns whether an event of that name was written.
    fn end(&self, name: String) -> bool {
        let mut counts = lock(&self.counts);
        let Some(count) = counts.remove(&(Origin::Program, name)) else {
            return false;
        };
        self.push_count(&count, (self.clock)());
        true
    }

    /// Writes the counts whose minute is over, or `all` of them.
    pub(super) fn write_counts(&self, all: bool) {
        let now = (self.clock)();
        lock(&self.counts).retain(|_, count| {
            if !all && now < count.since + COUNTED {
                return true;
            }
            self.push_count(count, now);
            // While events keep coming, one count each minute is enough.
            let goes_on = count.more > 0;
            (count.since, count.more) = (now, 0);
            goes_on
        });
        self.flush();
    }

    fn push_count(&self, count: &Count, now: Instant) {
        let (more, message) = (count.more, &count.message);
        if more > 0 {
            let seconds = now.saturating_duration_since(count.since).as_secs().max(1);
            let text = format!("{more} more like this in the last {seconds} s: {message}");
            lock(&self.lines).push((count.level, text));
        }
    }

    fn flush(&self) {
        if lock(&self.lines).is_empty() {
            return;
        }
        let _writing = lock(&self.writing);
        let lines = std::mem::take(&mut *lock(&self.lines));
        for (level, text) in lines {
            (self.write)(level, &text);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Names {
    repeats: Option<(Origin, String)>,
    ends: Option<String>,
}

impl Visit for Names {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "repeats" => self.repeats = Some((Origin::Program, value.to_owned())),
            "request_repeats" => self.repeats = Some((Origin::Request, value.to_owned())),
            "ends" => self.ends = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    let mut text = message.0;
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
