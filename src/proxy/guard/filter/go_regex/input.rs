//! [`Input`]: what is still to be parsed of a pattern.

#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a str);

impl<'a> Input<'a> {
    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.0.chars().next()?;
        self.0 = &self.0[next.len_utf8()..];
        Some(next)
    }

    /// Removes `prefix`; whether it was there.
    pub(super) fn skip(&mut self, prefix: &str) -> bool {
        let rest = self.0.strip_prefix(prefix);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Returns what precedes `end`, and removes both.
    pub(super) fn take_until(&mut self, end: char) -> Option<&'a str> {
        let (taken, rest) = self.0.split_once(end)?;
        self.0 = rest;
        Some(taken)
    }
}
