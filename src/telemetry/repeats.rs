//! [`Repeats`]: a message that may come a thousand times is written once, and then counted.
//!
//! An event takes part by one of two fields. `repeats` names what it is about: like events of the
//! next minute are counted, and their count is written after it. `ends` says that what the name
//! stands for is over: the event is written with the count, and not at all where nothing was.

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

/// The fields by which an event takes part. They are not shown.
pub(super) const FIELDS: [&str; 2] = ["repeats", "ends"];

/// How long events like one that was written are counted.
const COUNTED: Duration = Duration::from_secs(60);

/// How many names are told apart; all beyond them share one.
const NAMES: usize = 64;

/// The name that those share.
const OTHERS: &str = "";

/// Characters of a message that stand beside its count.
const SHOWN: usize = 300;

/// Tells the time; tests have one of their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// Writes a line.
type Writer = Box<dyn Fn(Level, &str) + Send + Sync>;

/// See the module.
pub(super) struct Repeats {
    clock: Clock,
    write: Writer,
    counts: Mutex<HashMap<String, Count>>,
}

/// What is known of the events of one name.
struct Count {
    since: Instant,
    level: Level,
    /// Of the event that was written.
    message: String,
    /// Those that were not.
    more: u64,
}

impl Repeats {
    pub(super) fn new(clock: Clock, write: Writer) -> Self {
        Self {
            clock,
            write,
            counts: Mutex::default(),
        }
    }

    /// Whether an event is to be written.
    pub(super) fn admits(&self, event: &Event<'_>) -> bool {
        let fields = event.metadata().fields();
        if FIELDS.iter().all(|field| fields.field(field).is_none()) {
            return true;
        }
        let mut names = Names::default();
        event.record(&mut names);
        match (names.ends, names.repeats) {
            (Some(name), _) => self.end(&name),
            (None, Some(name)) => self.is_first(&name, event),
            (None, None) => true,
        }
    }

    fn is_first(&self, name: &str, event: &Event<'_>) -> bool {
        let now = (self.clock)();
        let mut counts = self.counts();
        let is_known = counts.contains_key(name);
        let name = if is_known || counts.len() < NAMES {
            name
        } else {
            OTHERS
        };
        if let Some(count) = counts.get_mut(name) {
            if now < count.since + COUNTED {
                count.more += 1;
                return false;
            }
            self.write_count(count, now);
        }
        let count = Count {
            since: now,
            level: *event.metadata().level(),
            message: message(event),
            more: 0,
        };
        counts.insert(name.to_owned(), count);
        true
    }

    /// Forgets a name; whether an event of it was written.
    fn end(&self, name: &str) -> bool {
        let Some(count) = self.counts().remove(name) else {
            return false;
        };
        self.write_count(&count, (self.clock)());
        true
    }

    /// Writes the counts whose time is over, or `all` of them.
    pub(super) fn write_counts(&self, all: bool) {
        let now = (self.clock)();
        self.counts().retain(|_, count| {
            if !all && now < count.since + COUNTED {
                return true;
            }
            self.write_count(count, now);
            // While they keep coming, a count each minute is enough.
            let goes_on = count.more > 0;
            (count.since, count.more) = (now, 0);
            goes_on
        });
    }

    fn write_count(&self, count: &Count, now: Instant) {
        let (more, message) = (count.more, &count.message);
        if more > 0 {
            let seconds = now.saturating_duration_since(count.since).as_secs().max(1);
            let text = format!("{more} more like this in the last {seconds} s: {message}");
            (self.write)(count.level, &text);
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Names {
    repeats: Option<String>,
    ends: Option<String>,
}

impl Visit for Names {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "repeats" => self.repeats = Some(value.to_owned()),
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
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use tracing::Subscriber;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    use super::*;

    /// A log, and the seconds of its clock.
    struct Log {
        lines: Arc<Mutex<Vec<String>>>,
        seconds: Arc<AtomicU64>,
        repeats: &'static Repeats,
    }

    struct Written(Arc<Mutex<Vec<String>>>, &'static Repeats);

    impl<S: Subscriber> tracing_subscriber::Layer<S> for Written {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if self.1.admits(event) {
                self.0.lock().unwrap().push(message(event));
            }
        }
    }

    impl Log {
        fn of(events: impl FnOnce(&Self)) {
            let lines = Arc::new(Mutex::new(Vec::new()));
            let seconds = Arc::new(AtomicU64::new(0));
            let (start, clock) = (Instant::now(), Arc::clone(&seconds));
            let counts = Arc::clone(&lines);
            let repeats: &'static Repeats = Box::leak(Box::new(Repeats::new(
                Box::new(move || start + Duration::from_secs(clock.load(Ordering::Relaxed))),
                Box::new(move |level, text| {
                    assert_eq!(level, Level::WARN);
                    counts.lock().unwrap().push(text.to_owned());
                }),
            )));
            let layer = Written(Arc::clone(&lines), repeats);
            let log = Self {
                lines,
                seconds,
                repeats,
            };
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || events(&log));
        }

        fn at(&self, seconds: u64) -> &Self {
            self.seconds.store(seconds, Ordering::Relaxed);
            self
        }

        /// The lines since the last call.
        fn lines(&self) -> Vec<String> {
            std::mem::take(&mut *self.lines.lock().unwrap())
        }
    }

    fn fail(name: &str, message: &str) {
        tracing::warn!(repeats = name, "{message}");
    }

    #[test]
    fn the_first_is_written_and_the_others_are_counted() {
        Log::of(|log| {
            for n in 0..5 {
                fail("a", &format!("message {n}"));
            }
            // The control: what does not take part is written each time.
            tracing::warn!("plain");
            tracing::warn!("plain");
            assert_eq!(log.lines(), ["message 0", "plain", "plain"]);
            fail("b", "another");
            assert_eq!(log.lines(), ["another"]);
        });
    }

    #[test]
    fn a_count_is_written_each_minute_and_the_next_message_after_a_quiet_one() {
        Log::of(|log| {
            fail("a", "message");
            fail("a", "x");
            log.at(59).repeats.write_counts(false);
            assert_eq!(log.lines(), ["message"]);
            log.at(60).repeats.write_counts(false);
            assert_eq!(log.lines(), ["1 more like this in the last 60 s: message"]);
            fail("a", "x");
            fail("a", "x");
            log.at(121).repeats.write_counts(false);
            assert_eq!(log.lines(), ["2 more like this in the last 61 s: message"]);
            log.at(182).repeats.write_counts(false);
            fail("a", "new");
            assert_eq!(log.lines(), ["new"]);
        });
    }

    #[test]
    fn a_count_that_nothing_else_writes_comes_before_the_next_message() {
        Log::of(|log| {
            fail("a", "message");
            fail("a", "x");
            log.at(100);
            fail("a", "new");
            let lines = [
                "message",
                "1 more like this in the last 100 s: message",
                "new",
            ];
            assert_eq!(log.lines(), lines);
        });
    }

    #[test]
    fn an_end_brings_the_count_and_is_written_only_after_a_beginning() {
        Log::of(|log| {
            let back = || tracing::warn!(ends = "a", "back");
            back();
            assert!(log.lines().is_empty());
            fail("a", "down");
            for _ in 0..65 {
                fail("a", "x");
            }
            log.at(12);
            back();
            back();
            let lines = ["down", "65 more like this in the last 12 s: down", "back"];
            assert_eq!(log.lines(), lines);
            fail("a", "down again");
            assert_eq!(log.lines(), ["down again"]);
        });
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        Log::of(|log| {
            for n in 0..10_000 {
                fail(&n.to_string(), "message");
            }
            assert_eq!(log.lines().len(), NAMES + 1);
            assert_eq!(log.repeats.counts().len(), NAMES + 1);
            log.repeats.write_counts(true);
            let others = 10_000 - NAMES - 1;
            let count = format!("{others} more like this in the last 1 s: message");
            assert_eq!(log.lines(), [count]);
        });
    }

    #[test]
    fn a_long_message_is_cut_where_it_stands_beside_a_count() {
        Log::of(|log| {
            fail("a", &"ü".repeat(SHOWN + 1));
            fail("a", "x");
            log.repeats.write_counts(true);
            let count = log.lines().pop().unwrap();
            assert!(count.ends_with("üü…") && count.chars().count() < SHOWN + 50);
        });
    }
}
