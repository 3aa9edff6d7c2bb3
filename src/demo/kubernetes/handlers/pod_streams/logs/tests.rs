#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http_body_util::BodyExt as _;
use jiff::Timestamp;

use super::{Options, Reader, body};
use crate::demo::form::Form;
use crate::demo::kubernetes::handlers::pod_streams::main_process::MainProcess;

const STARTED: &str = "2026-01-01T00:00:00Z";

/// Ten lines are written by now: the banner and nine ticks.
fn now() -> Timestamp {
    "2026-01-01T00:00:09.5Z".parse().unwrap()
}

fn process() -> MainProcess {
    let started = STARTED.parse().unwrap();
    MainProcess::new("app", "nginx:1", Some(started), Duration::from_secs(1))
}

async fn log_at(now: Timestamp, query: &str) -> String {
    let options = Options::parse(&Form::parse(Some(query)), now).unwrap();
    let bytes = body(process(), options, now).collect().await.unwrap();
    String::from_utf8(bytes.to_bytes().to_vec()).unwrap()
}

async fn log(query: &str) -> String {
    log_at(now(), query).await
}

#[tokio::test]
async fn a_log_has_every_line_until_now() {
    let log = log("").await;
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0], "started app from nginx:1");
    assert_eq!(lines[9], "tick 9");
    assert!(log.ends_with('\n'));
}

#[tokio::test]
async fn old_lines_are_rotated_away() {
    let much_later = "2026-01-02T00:00:00Z".parse().unwrap();
    let log = log_at(much_later, "").await;
    assert_eq!(log.lines().count(), 1000);
    assert_eq!(log.lines().last(), Some("tick 86400"));
}

#[tokio::test]
async fn tail_and_since_select_the_last_lines() {
    assert_eq!(log("tailLines=2").await, "tick 8\ntick 9\n");
    assert_eq!(log("tailLines=0").await, "");
    assert_eq!(log("tailLines=99").await, log("").await);
    assert_eq!(log("sinceSeconds=2").await, "tick 8\ntick 9\n");
    assert_eq!(
        log("sinceTime=2026-01-01T00:00:08Z").await,
        "tick 8\ntick 9\n",
        "the line of that very moment belongs to it"
    );
    assert_eq!(log("sinceTime=2026-01-01T00:00:08.1Z").await, "tick 9\n");
    assert_eq!(log("sinceTime=2027-01-01T00:00:00Z").await, "");
    assert_eq!(log("sinceSeconds=5&tailLines=1").await, "tick 9\n");
}

#[tokio::test]
async fn timestamps_come_first_on_each_line() {
    assert_eq!(
        log("tailLines=1&timestamps=true").await,
        "2026-01-01T00:00:09.000000000Z tick 9\n"
    );
}

#[tokio::test]
async fn a_byte_limit_cuts_exactly_even_while_following() {
    assert_eq!(log("limitBytes=10").await, "started ap");
    assert_eq!(
        log("tailLines=2&follow=true&limitBytes=17").await,
        "tick 8\ntick 9\ntic"
    );
}

#[tokio::test]
async fn following_continues_where_the_log_ended() {
    let soon = Duration::from_millis(5);
    let process = MainProcess::new("app", "nginx:1", None, soon);
    let options = Options::parse(&Form::parse(Some("follow=1")), Timestamp::now()).unwrap();
    let mut reader = Reader {
        next: 0,
        written: 1,
        remaining: None,
        process,
        options,
    };
    let mut text = String::new();
    for _ in 0..4 {
        text += std::str::from_utf8(&reader.next_piece().await.unwrap()).unwrap();
    }
    assert_eq!(text, "started app from nginx:1\ntick 1\ntick 2\ntick 3\n");
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refusal = |query| {
        let refused = Options::parse(&Form::parse(Some(query)), now());
        refused.unwrap_err().message
    };
    assert_eq!(
        refusal("tailLines=-1"),
        "PodLogOptions \"\" is invalid: tailLines: Invalid value: -1: \
         must be greater than or equal to 0"
    );
    assert!(refusal("limitBytes=0").contains("limitBytes"));
    assert!(refusal("sinceSeconds=x").contains("sinceSeconds"));
    assert!(refusal("sinceTime=yesterday").contains("sinceTime"));
    assert!(refusal("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z").contains("at most one"));
    assert!(Options::parse(&Form::parse(Some("tailLines=0&limitBytes=1")), now()).is_ok());
}
