//! Splits PEM text into sections as Go's `encoding/pem` does: a section without an END line, or with a
//! malformed BEGIN or END line, ends where the next one begins, and text between sections is ignored.
//!
//! In contrast to Go, this also accepts a byte order mark before the first section, lines that end with
//! a CR alone, and an END line that runs into the next BEGIN line (files joined without a line break).

use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with a section.
pub(super) type Problem = &'static str;

/// The text between a BEGIN line and its END line.
pub(super) struct Section {
    /// The number of the BEGIN line, from 1.
    pub(super) line: usize,
    /// The label, such as `CERTIFICATE`; empty if the BEGIN line is malformed.
    pub(super) label: String,
    headers: Headers,
    /// The base64 text without blanks and line breaks.
    body: Zeroizing<Vec<u8>>,
    problem: Option<Problem>,
}

/// The state of reading the lines `Key: value` before the body (RFC 1421 section 4.6).
#[derive(Default)]
struct Headers {
    /// No header has been read yet.
    is_first: bool,
    /// The body has begun.
    is_over: bool,
    /// A header says that the body is encrypted.
    is_encrypted: bool,
}

impl Section {
    fn begin(line: usize, label: &[u8]) -> Self {
        Self {
            line,
            label: String::from_utf8_lossy(label).into_owned(),
            headers: Headers {
                is_first: true,
                ..Headers::default()
            },
            body: Zeroizing::default(),
            problem: None,
        }
    }

    fn malformed(line: usize) -> Self {
        let mut section = Self::begin(line, b"");
        section.problem = Some("the BEGIN line is malformed");
        section
    }

    /// The base64 text.
    pub(super) fn body(&self) -> Result<&[u8], Problem> {
        self.problem.map_or(Ok(&self.body), Err)
    }

    /// Whether its headers say that it is encrypted with a passphrase.
    pub(super) fn is_encrypted(&self) -> bool {
        self.headers.is_encrypted
    }

    fn add(&mut self, line: &[u8]) {
        if !self.headers.take(line) {
            let base64 = line.iter().filter(|byte| !byte.is_ascii_whitespace());
            self.body.extend(base64);
        }
    }

    fn ended_by(mut self, end: &[u8]) -> Self {
        let label = end.strip_suffix(DASHES);
        if label != Some(self.label.as_bytes()) {
            self.problem = Some("the END line is malformed or of another section");
        }
        self
    }

    fn without_end(mut self) -> Self {
        self.problem = Some("the section has no END line (is the text cut off?)");
        self
    }
}

impl Headers {
    /// Reads a line. Returns `false` if it belongs to the body.
    fn take(&mut self, line: &[u8]) -> bool {
        let is_continuation = !self.is_first && line.first().is_some_and(u8::is_ascii_whitespace);
        self.is_over |= !line.contains(&b':') && !is_continuation;
        if self.is_over {
            return false;
        }
        self.is_first = false;
        self.is_encrypted |=
            line.starts_with(b"Proc-Type:") && line.windows(9).any(|part| part == b"ENCRYPTED");
        true
    }
}

/// Returns all sections of `pem` in order, including those that cannot be read.
pub(super) fn sections(pem: &[u8]) -> Vec<Section> {
    let mut found = Vec::new();
    let mut open: Option<Section> = None;
    for (number, line) in lines(pem) {
        if let Some(rest) = line.strip_prefix(BEGIN) {
            found.extend(open.take().map(Section::without_end));
            match rest.strip_suffix(DASHES) {
                Some(label) => open = Some(Section::begin(number, label)),
                None => found.push(Section::malformed(number)),
            }
        } else if line.trim_ascii_start().starts_with(BEGIN) {
            // Go ignores an indented section; here it is reported.
            found.extend(open.take().map(Section::without_end));
            found.push(Section::malformed(number));
        } else if let Some(end) = line.strip_prefix(END) {
            found.extend(open.take().map(|section| section.ended_by(end)));
        } else if let Some(section) = &mut open {
            section.add(line);
        }
    }
    found.extend(open.map(Section::without_end));
    found
}

/// The lines with their numbers, without trailing blanks.
fn lines(pem: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem);
    let mut number = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let here = number;
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (mut line, mut after) = rest.split_at(end.unwrap_or(rest.len()));
        if let Some(end) = end_before_begin(line) {
            (line, after) = rest.split_at(end);
        } else if !after.is_empty() {
            let width = if after.starts_with(b"\r\n") { 2 } else { 1 };
            after = &after[width..];
            number += 1;
        }
        rest = after;
        Some((here, line.trim_ascii_end()))
    })
}

/// The end of an END line that runs into a BEGIN line.
fn end_before_begin(line: &[u8]) -> Option<usize> {
    if !line.starts_with(END) {
        return None;
    }
    let dashes = [DASHES, BEGIN].concat();
    let at = line.windows(dashes.len()).position(|part| part == dashes)?;
    Some(at + DASHES.len())
}
