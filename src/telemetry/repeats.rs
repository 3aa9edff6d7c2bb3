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
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use tracing::Subscriber;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    use super::*;

    /// A log whose clock the test sets.
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
            // The control: an event without the field is written each time.
            tracing::warn!("plain");
            tracing::warn!("plain");
            assert_eq!(log.lines(), ["message 0", "plain", "plain"]);
            fail("b", "another");
            assert_eq!(log.lines(), ["another"]);
        });
    }

    #[test]
    fn a_count_is_written_each_minute_until_a_quiet_one() {
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
    fn a_pending_count_is_written_before_the_next_message() {
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
    fn an_end_is_written_after_the_count_and_only_after_a_message() {
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
    fn endless_names_take_bounded_memory() {
        Log::of(|log| {
            for n in 0..10_000 {
                fail(&n.to_string(), "message");
            }
            assert_eq!(log.lines().len(), MAX_NAMES + 1);
            assert_eq!(lock(&log.repeats.counts).len(), MAX_NAMES + 1);
            log.repeats.write_counts(true);
            let others = 10_000 - MAX_NAMES - 1;
            let count = format!("{others} more like this in the last 1 s: message");
            assert_eq!(log.lines(), [count]);
        });
    }

    #[test]
    fn names_from_requests_do_not_displace_other_names() {
        Log::of(|log| {
            for n in 0..1000 {
                let name = n.to_string();
                tracing::warn!(request_repeats = name, "request");
            }
            assert_eq!(log.lines().len(), MAX_NAMES + 1);
            assert_eq!(lock(&log.repeats.counts).len(), MAX_NAMES + 1);
            for name in ["0", "a", "b"] {
                fail(name, name);
                fail(name, name);
            }
            assert_eq!(log.lines(), ["0", "a", "b"]);
            // A request cannot end what the program named, nor take part in its count.
            tracing::warn!(request_repeats = "a", "request");
            tracing::warn!(ends = "a", "back");
            assert_eq!(log.lines(), ["1 more like this in the last 1 s: a", "back"]);
        });
    }

    #[test]
    fn an_event_that_is_only_counted_does_not_wait_for_a_blocked_log() {
        let (blocked, wait) = std::sync::mpsc::channel::<()>();
        let (reached, is_reached) = std::sync::mpsc::channel();
        let wait = Mutex::new(wait);
        let start = Instant::now();
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let repeats: &'static Repeats = Box::leak(Box::new(Repeats::new(
            Box::new(move || start + Duration::from_secs(clock.load(Ordering::Relaxed))),
            Box::new(move |_, _| {
                let _ = reached.send(());
                let _ = wait.lock().unwrap().recv();
            }),
        )));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let layer = Written(Arc::clone(&lines), repeats);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            fail("a", "first");
            fail("a", "counted");
            seconds.store(60, Ordering::Relaxed);
            let writer = std::thread::spawn(|| repeats.write_counts(false));
            is_reached.recv().unwrap();
            // The writer is blocked now.
            fail("a", "counted");
            assert_eq!(*lines.lock().unwrap(), ["first"]);
            drop(blocked);
            writer.join().unwrap();
        });
    }

    #[test]
    fn a_long_message_is_cut_beside_its_count() {
        Log::of(|log| {
            fail("a", &"ü".repeat(MAX_CHARS + 1));
            fail("a", "x");
            log.repeats.write_counts(true);
            let count = log.lines().pop().unwrap();
            assert!(count.ends_with("üü…") && count.chars().count() < MAX_CHARS + 50);
        });
    }
}
