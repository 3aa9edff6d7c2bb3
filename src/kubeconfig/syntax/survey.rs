//! [`survey`]: finds the end of the first document in a YAML text, its size with aliases expanded, and
//! its repeated keys.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use granit_parser::{Event, Parser, Span};

/// The deepest nesting of flow collections.
pub(super) const FLOW_NESTING: usize = 1_100;

/// The nesting at which the survey stops. The parser refuses less.
const MAX_DEPTH: usize = FLOW_NESTING;

/// Facts about the first document of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::kubeconfig) struct Survey {
    /// Its end in bytes; the end of the text if that is not YAML.
    pub(in crate::kubeconfig) end: usize,
    /// The line on which content behind it begins, which is ignored.
    pub(in crate::kubeconfig) rest: Option<usize>,
    /// The first repeated key.
    pub(in crate::kubeconfig) repeated: Option<Repeated>,
    /// The number of further repeated keys.
    pub(in crate::kubeconfig) more_repeated: usize,
    /// Its nodes, with aliases expanded.
    pub(super) nodes: usize,
    /// The bytes of its text, with aliases expanded.
    pub(super) bytes: usize,
    /// Whether it has aliases.
    pub(super) has_aliases: bool,
}

/// A key that is given twice in one mapping.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kubeconfig) struct Repeated {
    /// The key, if it looks like the name of a field; other keys may be secrets.
    pub(in crate::kubeconfig) key: Option<String>,
    /// The lines of its first two occurrences.
    pub(in crate::kubeconfig) lines: [usize; 2],
}

/// Surveys the first document in `text` without expanding its aliases.
pub(in crate::kubeconfig) fn survey(text: &str) -> Survey {
    let options = granit_parser::options! { flow_nesting_limit: FLOW_NESTING };
    let mut walk = Walk::default();
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut root_end = None;
    let rest = loop {
        match parser.next() {
            Some(Ok((Event::StreamStart | Event::DocumentStart(..), _))) => {}
            Some(Ok((Event::StreamEnd, _))) | None => break None,
            Some(Ok((Event::DocumentEnd, span))) => {
                root_end = span.start.byte_offset();
                break match parser.next() {
                    Some(Ok((Event::StreamEnd, _))) | None => None,
                    Some(_) => root_end,
                };
            }
            Some(Ok((event, span))) => {
                if walk.take(event, &span) {
                    root_end = span.end.byte_offset();
                }
                if walk.open.len() > MAX_DEPTH {
                    break None;
                }
            }
            // Text behind a complete document need not be YAML.
            Some(Err(_)) => break root_end,
        }
    };
    let end = rest.and(root_end).unwrap_or(text.len());
    walk.survey.end = end;
    walk.survey.rest = first_line_with_content(text, end);
    walk.survey
}

/// The first line behind `end` that is neither blank, nor a comment, nor a document marker.
fn first_line_with_content(text: &str, end: usize) -> Option<usize> {
    let has_content = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line == "---" || line == "...")
    };
    let at = text[end..].lines().position(has_content)?;
    Some(text[..end].matches('\n').count() + at + 1)
}

#[derive(Default)]
struct Walk<'a> {
    survey: Survey,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Size>,
}

/// A collection whose end has not been reached.
struct Open<'a> {
    anchor: usize,
    size: Size,
    /// The keys of a mapping with their lines; `None` for a list.
    keys: Option<HashMap<Cow<'a, str>, usize>>,
    /// Whether the next node is a key.
    at_key: bool,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl<'a> Walk<'a> {
    /// Handles one event of a document's content. Returns whether the document's value is complete.
    fn take(&mut self, event: Event<'a>, span: &Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let size = Size {
                    nodes: 1,
                    bytes: text.len(),
                };
                let is_merge = style == granit_parser::ScalarStyle::Plain && text == "<<";
                if !is_merge {
                    self.key(text, span.start.line());
                }
                self.done(size, anchor)
            }
            Event::Alias(anchor) => {
                self.survey.has_aliases = true;
                // An alias to a collection that contains it is an error, which the parser reports.
                let size = self.anchors.get(&anchor).copied().unwrap_or_default();
                self.done(size, 0)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, None),
            Event::MappingStart(_, anchor, _) => self.begin(anchor, Some(HashMap::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(ended) => self.done(ended.size, ended.anchor),
                None => false,
            },
            _ => false,
        }
    }

    fn begin(&mut self, anchor: usize, keys: Option<HashMap<Cow<'a, str>, usize>>) -> bool {
        self.open.push(Open {
            anchor,
            size: Size { nodes: 1, bytes: 0 },
            at_key: keys.is_some(),
            keys,
        });
        false
    }

    fn key(&mut self, text: Cow<'a, str>, line: usize) {
        let Some(Open {
            keys: Some(keys),
            at_key: true,
            ..
        }) = self.open.last_mut()
        else {
            return;
        };
        match keys.entry(text) {
            Entry::Vacant(free) => {
                free.insert(line);
            }
            Entry::Occupied(mut taken) if self.survey.repeated.is_none() => {
                let is_field = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                let key = taken.key();
                let is_field = key.len() <= 40 && key.chars().all(is_field);
                self.survey.repeated = Some(Repeated {
                    key: is_field.then(|| key.to_string()),
                    lines: [taken.insert(line), line],
                });
            }
            Entry::Occupied(_) => self.survey.more_repeated += 1,
        }
    }

    /// Handles the end of a node of this size.
    fn done(&mut self, size: Size, anchor: usize) -> bool {
        if anchor != 0 {
            self.anchors.insert(anchor, size);
        }
        if let Some(open) = self.open.last_mut() {
            open.size.add(size);
            if open.keys.is_some() {
                open.at_key = !open.at_key;
            }
            return false;
        }
        (self.survey.nodes, self.survey.bytes) = (size.nodes, size.bytes);
        true
    }
}
