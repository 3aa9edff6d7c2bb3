//! [`Repeats`]: writes a repeated message once and then counts it.
//!
//! An event takes part by these fields:
//!
//! - `repeats`: the name of the event's kind. The event is written, and events of the same name in
//!   the next minute are only counted. The count is written after that minute. The name is a fixed
//!   text of the program and never holds outside text, so there are few of them, and each kind is
//!   seen however often others occur.
//! - `until`: with `repeats`, the subject whose recovery ends the event, such as a server. Events of
//!   one kind are counted apart for each subject.
//! - `ends`: the subject has recovered. The event is written after the counts of that subject, or not
//!   at all if no event with that subject was written before.

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
pub(super) const FIELDS: [&str; 3] = ["repeats", "until", "ends"];

/// How long events of a name are only counted after one was written.
const COUNTED: Duration = Duration::from_secs(60);

/// How many subjects are counted apart; all others share [`OTHERS`]. Names have no such limit.
const MAX_SUBJECTS: usize = 64;

/// The subject shared by those above [`MAX_SUBJECTS`], and that of events without one.
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

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    subject: String,
}

type Counts = HashMap<Key, Count>;

/// The events of one key.
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
            (Some(subject), _) => self.end(&subject),
            (None, Some(name)) => {
                let subject = names.until.unwrap_or_default();
                self.is_first(Key { name, subject }, event)
            }
            (None, None) => true,
        };
        if is_written {
            self.flush();
        }
        is_written
    }

    fn is_first(&self, mut key: Key, event: &Event<'_>) -> bool {
        let now = (self.clock)();
        let mut counts = lock(&self.counts);
        if key.subject != OTHERS && !counts.contains_key(&key) {
            let of_name = |other: &&Key| other.name == key.name && other.subject != OTHERS;
            if counts.keys().filter(of_name).count() >= MAX_SUBJECTS {
                OTHERS.clone_into(&mut key.subject);
            }
        }
        if let Some(count) = counts.get_mut(&key) {
            if now < count.since + COUNTED {
                count.more += 1;
                return false;
            }
            self.push_count(&key.name, count, now);
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

    /// Forgets a subject. Returns whether an event with that subject was written.
    fn end(&self, subject: &str) -> bool {
        let now = (self.clock)();
        let mut was_written = false;
        lock(&self.counts).retain(|key, count| {
            if key.subject == OTHERS || key.subject != subject {
                return true;
            }
            self.push_count(&key.name, count, now);
            was_written = true;
            false
        });
        was_written
    }

    /// Writes the counts whose minute is over, or `all` of them.
    pub(super) fn write_counts(&self, all: bool) {
        let now = (self.clock)();
        lock(&self.counts).retain(|key, count| {
            if !all && now < count.since + COUNTED {
                return true;
            }
            self.push_count(&key.name, count, now);
            // While events keep coming, one count each minute is enough.
            let goes_on = count.more > 0;
            (count.since, count.more) = (now, 0);
            goes_on
        });
        self.flush();
    }

    fn push_count(&self, name: &str, count: &Count, now: Instant) {
        let (more, message) = (count.more, &count.message);
        if more > 0 {
            let seconds = now.saturating_duration_since(count.since).as_secs().max(1);
            let text = format!(
                "{more} more of the kind {name:?} in the last {seconds} s; only the first was \
                 logged: {message}"
            );
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
    repeats: Option<String>,
    until: Option<String>,
    ends: Option<String>,
}

impl Visit for Names {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "repeats" => self.repeats = Some(value.to_owned()),
            "until" => self.until = Some(value.to_owned()),
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
