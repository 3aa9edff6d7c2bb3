//! A URL as a QR code of characters, for a phone to read from the terminal.

use std::ffi::OsString;

use qrcode::{QrCode, render::unicode::Dense1x2};

use crate::console;

/// The width of a terminal that does not say.
const DEFAULT_WIDTH: usize = 80;

/// Draws the code, unless standard error is no terminal that is wide enough and shows Unicode.
pub(super) fn drawn(url: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Option<String> {
    if !console::is_on_terminal() || !shows_unicode(env) {
        return None;
    }
    drawn_within(url, console::columns().unwrap_or(DEFAULT_WIDTH))
}

fn drawn_within(url: &str, width: usize) -> Option<String> {
    let code = QrCode::new(url).ok()?;
    // Most terminals are dark: the light modules are drawn.
    let text = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    let fits = text.lines().all(|line| line.chars().count() <= width);
    fits.then_some(text + "\n\n")
}

/// Returns whether the locale has Unicode, by the first variable that is set (POSIX, section 8.2).
fn shows_unicode(env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env);
    let locale = set.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_is_drawn_if_it_fits() {
        let drawn = drawn_within("https://issuer.example/device?user_code=WDJB-MJHT", 80).unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        // The margin of four light modules.
        assert!(lines[0].chars().all(|char| char == '█'), "{drawn}");
        assert!(lines[2].starts_with("████ ▄▄▄▄▄ █"), "{drawn}");
        assert_eq!(drawn_within("https://issuer.example/device", 20), None);
    }

    #[test]
    fn the_locale_says_whether_the_terminal_shows_unicode() {
        let shows = |set: &[(&str, &str)]| {
            shows_unicode(&|name| {
                let found = set.iter().find(|(key, _)| *key == name)?;
                Some(found.1.into())
            })
        };
        assert!(shows(&[("LANG", "de_DE.UTF-8")]) && shows(&[("LC_CTYPE", "C.utf8")]));
        assert!(!shows(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !shows(&[]));
    }
}
