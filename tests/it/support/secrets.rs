//! The search for secrets. All tests run kubegate at its most verbose. Its log, its output, its own
//! responses and the arguments of every process that it starts must not contain secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{LazyLock, Mutex, Once},
    time::Duration,
};

use regex::Regex;

/// Parts of many secrets of the tests, which occur nowhere else.
const WORDS: [&str; 2] = ["sesame", "hunter2"];

/// Shorter secrets are not searched for, because they may be ordinary words.
const SHORTEST: usize = 12;

/// The forms of secrets: an `Authorization` header, a JWT, an `OpenShift` token, a private key.
static SHAPES: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r#"(?i:authorization)"?[:=] ?"?(?i:bearer|basic) [^\s"]+"#,
        r"\b(eyJ|e30)[\w-]*\.[\w-]{4,}\.[\w-]*",
        r"sha256~[\w-]{20,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*(\\n)?[A-Za-z0-9+/]{16}",
    ];
    Regex::new(&shapes.join("|")).unwrap()
});

/// Secrets that were used, beside those that [`WORDS`] and [`SHAPES`] match.
static USED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Registers a secret to search for.
pub fn register(secret: &str) {
    if secret.len() >= SHORTEST {
        USED.lock().unwrap().insert(secret.to_owned());
    }
}

/// Registers the credentials in the head of a request.
pub fn register_head(head: &str) {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    for (name, value) in lines {
        if name.eq_ignore_ascii_case("authorization") {
            register(value.split_once(' ').map_or(value, |(_, secret)| secret));
        }
    }
}

/// The secrets in a text.
pub fn secrets_in(text: &str) -> Vec<String> {
    let used = USED.lock().unwrap();
    let words = WORDS.iter().copied().chain(used.iter().map(String::as_str));
    let words = words.filter(|word| text.contains(word)).map(str::to_owned);
    let shapes = SHAPES
        .find_iter(text)
        .map(|found| found.as_str().to_owned());
    words.chain(shapes).collect()
}

/// Fails the test if there is a secret in a text of `subject`.
pub fn assert_none(subject: &str, text: &str) {
    let secrets = secrets_in(text);
    assert!(
        secrets.is_empty(),
        "{subject} has secrets in it, {secrets:?}: {text}"
    );
}

/// The arguments of the processes that a watched process has started, by its ID.
static ARGUMENTS: Mutex<BTreeMap<u32, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// The interval of observation. Processes with a shorter life are missed.
const INTERVAL: Duration = Duration::from_millis(5);

/// Observes the processes that the process with this ID starts.
pub fn watch(id: u32) {
    static WATCHER: Once = Once::new();
    ARGUMENTS.lock().unwrap().insert(id, BTreeSet::new());
    WATCHER.call_once(|| {
        std::thread::spawn(|| {
            loop {
                let ids: Vec<u32> = ARGUMENTS.lock().unwrap().keys().copied().collect();
                for id in ids {
                    let seen = children(id).into_iter().filter_map(arguments);
                    let seen: Vec<_> = seen.collect();
                    if let Some(known) = ARGUMENTS.lock().unwrap().get_mut(&id) {
                        known.extend(seen);
                    }
                }
                std::thread::sleep(INTERVAL);
            }
        });
    });
}

/// The arguments observed since [`watch`], one line per process.
pub fn watched(id: u32) -> String {
    let seen = ARGUMENTS.lock().unwrap().remove(&id).unwrap_or_default();
    seen.into_iter().collect::<Vec<_>>().join("\n")
}

fn children(id: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else {
        return Vec::new();
    };
    let lists = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
            ids.collect::<Vec<u32>>()
        })
        .collect()
}

fn arguments(id: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).replace('\0', " "))
}
