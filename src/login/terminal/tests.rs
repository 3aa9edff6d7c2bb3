#![allow(clippy::unwrap_used)]
use std::{
    fs::{File, OpenOptions},
    io::{Cursor, Read as _, Write as _},
    os::fd::AsFd as _,
    thread,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use super::*;

/// A terminal: the side that a human sits at, and the one that a program sees.
fn terminal() -> (File, File) {
    let human = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&human).unwrap();
    unlockpt(&human).unwrap();
    let path = ptsname(&human, Vec::new()).unwrap();
    let program = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    (File::from(human), program)
}

/// Asks, has `keys` typed once the question shows, and gives the answer and what was shown.
fn typed(keys: &str, echo: Echo) -> (Result<Zeroizing<String>, Error>, String) {
    let (mut human, mut program) = terminal();
    let kept = program.try_clone().unwrap();
    let before = tcgetattr(kept.as_fd()).unwrap().local_modes;
    assert!(before.contains(LocalModes::ECHO | LocalModes::ISIG));
    let asking = thread::spawn(move || {
        let answer = answer(question(&mut program, "Password: ", echo), "password");
        program.write_all(b"done").unwrap();
        answer
    });
    let mut shown = String::new();
    let mut until = |human: &mut File, end: &str| {
        while !shown.ends_with(end) {
            let mut bytes = [0; 256];
            let read = human.read(&mut bytes).unwrap();
            shown.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    };
    until(&mut human, "Password: ");
    human.write_all(keys.as_bytes()).unwrap();
    until(&mut human, "done");
    let answer = asking.join().unwrap();
    assert_eq!(tcgetattr(kept.as_fd()).unwrap().local_modes, before);
    (answer, shown)
}

#[test]
fn what_is_hidden_is_not_shown_and_what_is_not_is() {
    let (answer, shown) = typed("sesame ü\n", Echo::Off);
    assert_eq!(answer.unwrap().as_str(), "sesame ü");
    assert_eq!(shown, "Password: \r\ndone");
    let (answer, shown) = typed("jane\n", Echo::On);
    assert_eq!(answer.unwrap().as_str(), "jane");
    assert_eq!(shown, "Password: jane\r\ndone");
}

#[test]
fn backspace_works_as_everywhere() {
    let (answer, _) = typed("sesamm\x7fe\n", Echo::Off);
    assert_eq!(answer.unwrap().as_str(), "sesame");
}

#[test]
fn ctrl_c_and_its_like_end_the_question_and_leave_the_terminal_as_it_was() {
    for keys in ["\x03", "ses\x03", "ses\x1c", "\x04"] {
        let (answer, shown) = typed(keys, Echo::Off);
        assert!(matches!(answer, Err(Error::Interrupted)), "{keys:?}");
        assert!(!shown.contains("ses"), "{shown}");
    }
}

#[test]
fn a_control_character_and_nothing_at_all_are_no_answers() {
    for (keys, problem) in [("ses\x1a\n", "control"), ("\n", "empty")] {
        let (answer, _) = typed(keys, Echo::Off);
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_first_line_that_is_piped_counts_whole() {
    let piped = |text: &[u8]| answer(line(&mut Cursor::new(text)).map(Some), "password");
    for text in ["sesame\n", "sesame\r\n", "sesame", "sesame\nmore\n"] {
        assert_eq!(piped(text.as_bytes()).unwrap().as_str(), "sesame");
    }
    assert_eq!(piped(b" sesame ").unwrap().as_str(), " sesame ");
    let long = "a".repeat(LIMIT);
    assert_eq!(piped(long.as_bytes()).unwrap().len(), LIMIT);
    for (text, problem) in [
        (&b"\n"[..], "empty"),
        (b"", "empty"),
        (b"hunter2\xff\n", "UTF-8"),
        (format!("{long}a").as_bytes(), "64 KiB"),
    ] {
        let error = piped(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("hunter2"));
    }
}
