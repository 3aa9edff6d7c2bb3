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

/// A pseudo-terminal: the end of the user, and the end of the program.
fn terminal() -> (File, File) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let path = ptsname(&user, Vec::new()).unwrap();
    let program = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    (File::from(user), program)
}

/// Prompts, types `keys` once the prompt shows, and returns the line and what the terminal showed.
fn typed(keys: &str, echo: Echo) -> (Result<Zeroizing<String>, Error>, String) {
    let (mut user, mut program) = terminal();
    let kept = program.try_clone().unwrap();
    let before = tcgetattr(kept.as_fd()).unwrap().local_modes;
    assert!(before.contains(LocalModes::ECHO | LocalModes::ISIG));
    let prompting = thread::spawn(move || {
        let line = validated(prompt_line(&mut program, "Password: ", echo), "password");
        program.write_all(b"done").unwrap();
        line
    });
    let mut shown = String::new();
    let mut until = |user: &mut File, end: &str| {
        while !shown.ends_with(end) {
            let mut bytes = [0; 256];
            let read = user.read(&mut bytes).unwrap();
            shown.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    };
    until(&mut user, "Password: ");
    user.write_all(keys.as_bytes()).unwrap();
    until(&mut user, "done");
    let line = prompting.join().unwrap();
    assert_eq!(tcgetattr(kept.as_fd()).unwrap().local_modes, before);
    (line, shown)
}

#[test]
fn only_a_hidden_prompt_hides_what_is_typed() {
    let (line, shown) = typed("sesame ü\n", Echo::Off);
    assert_eq!(line.unwrap().as_str(), "sesame ü");
    assert_eq!(shown, "Password: \r\ndone");
    let (line, shown) = typed("jane\n", Echo::On);
    assert_eq!(line.unwrap().as_str(), "jane");
    assert_eq!(shown, "Password: jane\r\ndone");
}

#[test]
fn backspace_removes_a_character() {
    let (line, _) = typed("sesamm\x7fe\n", Echo::Off);
    assert_eq!(line.unwrap().as_str(), "sesame");
}

#[test]
fn ctrl_c_ends_the_prompt_and_restores_the_terminal() {
    for keys in ["\x03", "ses\x03", "ses\x1c", "\x04"] {
        let (line, shown) = typed(keys, Echo::Off);
        assert!(matches!(line, Err(Error::Interrupted)), "{keys:?}");
        assert!(!shown.contains("ses"), "{shown}");
    }
}

#[test]
fn an_empty_line_and_control_characters_are_refused() {
    for (keys, problem) in [("ses\x1a\n", "control"), ("\n", "empty")] {
        let (line, _) = typed(keys, Echo::Off);
        let error = line.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_first_piped_line_is_read_whole() {
    let piped = |text: &[u8]| validated(read_line(&mut Cursor::new(text)).map(Some), "password");
    for text in ["sesame\n", "sesame\r\n", "sesame", "sesame\nmore\n"] {
        assert_eq!(piped(text.as_bytes()).unwrap().as_str(), "sesame");
    }
    assert_eq!(piped(b" sesame ").unwrap().as_str(), " sesame ");
    // As `>` of Windows PowerShell writes it. One byte of the first character is a line break.
    let marked = "\u{feff}\u{10a}sesame\r\nmore\r\n";
    let utf16 = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect();
    let little: Vec<u8> = utf16(u16::to_le_bytes);
    for bytes in [marked.as_bytes().to_vec(), little, utf16(u16::to_be_bytes)] {
        assert_eq!(piped(&bytes).unwrap().as_str(), "\u{10a}sesame");
    }
    let long = "a".repeat(LIMIT);
    assert_eq!(piped(long.as_bytes()).unwrap().len(), LIMIT);
    for (text, problem) in [
        (&b"\n"[..], "empty"),
        (b"", "empty"),
        ("\u{feff}\n".as_bytes(), "empty"),
        (b"hunter2\xff\n", "UTF-8"),
        (format!("{long}a").as_bytes(), "64 KiB"),
    ] {
        let error = piped(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("hunter2"));
    }
}
