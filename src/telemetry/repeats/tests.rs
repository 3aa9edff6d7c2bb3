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

fn fail_until(name: &str, subject: &str, message: &str) {
    tracing::warn!(repeats = name, until = subject, "{message}");
}

fn count(more: u64, name: &str, seconds: u64, message: &str) -> String {
    format!(
        "{more} more of the kind \"{name}\" in the last {seconds} s; only the first was logged: \
         {message}"
    )
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
        assert_eq!(log.lines(), [count(1, "a", 60, "message")]);
        fail("a", "x");
        fail("a", "x");
        log.at(121).repeats.write_counts(false);
        assert_eq!(log.lines(), [count(2, "a", 61, "message")]);
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
        let lines = ["message", &count(1, "a", 100, "message"), "new"];
        assert_eq!(log.lines(), lines);
    });
}

#[test]
fn an_end_is_written_only_after_a_message() {
    Log::of(|log| {
        let back = || tracing::warn!(ends = "server", "back");
        back();
        assert!(log.lines().is_empty());
        fail_until("a", "server", "down");
        for _ in 0..65 {
            fail_until("a", "server", "x");
        }
        log.at(12);
        back();
        back();
        let lines = ["down", &count(65, "a", 12, "down"), "back"];
        assert_eq!(log.lines(), lines);
        fail_until("a", "server", "down again");
        assert_eq!(log.lines(), ["down again"]);
    });
}

#[test]
fn an_end_ends_every_kind_of_its_subject_and_no_other() {
    Log::of(|log| {
        fail_until("a", "server", "refused");
        fail_until("b", "server", "too late");
        fail_until("a", "other", "other");
        fail("c", "c");
        assert_eq!(log.lines(), ["refused", "too late", "other", "c"]);
        tracing::warn!(ends = "server", "back");
        assert_eq!(log.lines(), ["back"]);
        fail_until("a", "server", "refused");
        fail_until("b", "server", "too late");
        fail_until("a", "other", "other");
        fail("c", "c");
        assert_eq!(log.lines(), ["refused", "too late"]);
        // An event without a subject is not ended.
        tracing::warn!(ends = "c", "back");
        assert!(log.lines().is_empty());
    });
}

#[test]
fn endless_subjects_take_bounded_memory() {
    Log::of(|log| {
        for n in 0..10_000 {
            fail_until("a", &n.to_string(), "message");
        }
        assert_eq!(log.lines().len(), MAX_SUBJECTS + 1);
        assert_eq!(lock(&log.repeats.counts).len(), MAX_SUBJECTS + 1);
        log.repeats.write_counts(true);
        let others = 10_000 - MAX_SUBJECTS as u64 - 1;
        assert_eq!(log.lines(), [count(others, "a", 1, "message")]);
    });
}

#[test]
fn a_new_kind_is_written_however_many_others_are_counted() {
    Log::of(|log| {
        for n in 0..1000 {
            fail_until("flood", &n.to_string(), "flood");
            fail(&format!("kind {n}"), "flood");
        }
        let _ = log.lines();
        for name in ["a", "b"] {
            fail(name, name);
            fail(name, name);
            fail_until(name, "server", "down");
        }
        assert_eq!(log.lines(), ["a", "down", "b", "down"]);
    });
}

#[test]
fn a_counted_event_does_not_wait_for_a_blocked_log() {
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
        assert!(count.ends_with("üü…") && count.chars().count() < MAX_CHARS + 90);
    });
}
