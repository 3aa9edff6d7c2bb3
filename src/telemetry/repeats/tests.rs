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
fn an_end_is_written_only_after_a_message() {
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
        assert!(count.ends_with("üü…") && count.chars().count() < MAX_CHARS + 50);
    });
}
