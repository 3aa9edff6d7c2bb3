//! [`survey`]: where the first document of a YAML text ends, what it comes to with its aliases
//! written out, and which of its keys are given twice.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use granit_parser::{Event, Parser, Span};

/// Flow collections that may be nested.
pub(super) const FLOW_NESTING: usize = 1_100;

/// Collections in one another of which the walk keeps account; the parser refuses fewer.
const DEEPEST: usize = FLOW_NESTING;

/// What the first document of a text is, at a glance.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::kubeconfig) struct Survey {
    /// Where it ends, in bytes; that of the text where it is no YAML.
    pub(in crate::kubeconfig) end: usize,
    /// The line where something behind it begins that does not count, if there is any.
    pub(in crate::kubeconfig) rest: Option<usize>,
    /// The first key that is given twice in one mapping.
    pub(in crate::kubeconfig) repeated: Option<Repeated>,
    /// How many more there are.
    pub(in crate::kubeconfig) more_repeated: usize,
    /// Its nodes, with aliases written out.
    pub(super) nodes: usize,
    /// The bytes of its text, with aliases written out.
    pub(super) bytes: usize,
    /// Whether there are any.
    pub(super) has_aliases: bool,
}

/// A key that is given twice in one mapping.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kubeconfig) struct Repeated {
    /// The key, where it looks like the name of a field and nothing else.
    pub(in crate::kubeconfig) key: Option<String>,
    /// The lines on which it stands.
    pub(in crate::kubeconfig) lines: [usize; 2],
}

/// Looks at the first document in `text`, without writing its aliases out.
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
                if walk.open.len() > DEEPEST {
                    break None;
                }
            }
            // Behind a document that is complete, anything may stand.
            Some(Err(_)) => break root_end,
        }
    };
    let end = rest.and(root_end).unwrap_or(text.len());
    walk.survey.end = end;
    walk.survey.rest = first_line_that_says_something(text, end);
    walk.survey
}

/// The line behind `end` on which the first thing stands that is neither a comment nor a mark
/// between documents.
fn first_line_that_says_something(text: &str, end: usize) -> Option<usize> {
    let says_something = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line == "---" || line == "...")
    };
    let at = text[end..].lines().position(says_something)?;
    Some(text[..end].matches('\n').count() + at + 1)
}

#[derive(Default)]
struct Walk<'a> {
    survey: Survey,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Size>,
}

/// A collection that has begun.
struct Open<'a> {
    anchor: usize,
    size: Size,
    /// The keys of a mapping, with their lines.
    keys: Option<HashMap<Cow<'a, str>, usize>>,
    /// Whether a key comes next.
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
    /// Takes one event of a document's content; whether the document's value is complete.
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
                // One to what has not ended yet is an error, which the parser tells.
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
                let is_field = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
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

    /// A node of this size is complete.
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
