//! [`Node`]: the positions of the values in a YAML text.

use granit_parser::{Event, Parser, Span, StructureStyle};
use zeroize::Zeroizing;

/// A value and its position in bytes. A collection in block style ends with its last value.
pub(super) struct Node {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) shape: Shape,
}

/// The kind of a value.
pub(super) enum Shape {
    /// A scalar with its text, or an alias, whose text is left empty.
    Leaf(Zeroizing<String>),
    List {
        flow: bool,
        items: Vec<Node>,
    },
    Map {
        flow: bool,
        entries: Vec<(Node, Node)>,
    },
}

impl Node {
    /// Parses the one document in `text`; `None` if there is none, or the text is not YAML.
    pub(super) fn outline(text: &str) -> Option<Self> {
        let mut parser = Parser::new_from_str(text);
        loop {
            let (event, span) = parser.next()?.ok()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => return None,
                event => return node(text, &mut parser, event, &span),
            }
        }
    }

    /// The text of a key; empty for a key that is a collection.
    pub(super) fn text(&self) -> &str {
        match &self.shape {
            Shape::Leaf(text) => text,
            _ => "",
        }
    }
}

/// Reads the rest of the value that begins with `event`. The recursion is bounded, because the parser
/// has accepted the nesting of the same text before.
fn node<'a>(
    text: &str,
    parser: &mut impl Iterator<Item = Result<(Event<'a>, Span), granit_parser::ScanError>>,
    event: Event<'a>,
    span: &Span,
) -> Option<Node> {
    let mut from = span.tag_start.unwrap_or(span.start).byte_offset()?;
    let mut to = span.end.byte_offset()?;
    let shape = match event {
        Event::Scalar(text, ..) => Shape::Leaf(Zeroizing::new(text.into_owned())),
        Event::Alias(_) => Shape::Leaf(Zeroizing::default()),
        Event::SequenceStart(style, ..) => {
            let flow = style == StructureStyle::Flow;
            let mut items = Vec::new();
            loop {
                match parser.next()?.ok()? {
                    (Event::SequenceEnd, end) => {
                        break to = if flow { end.end.byte_offset()? } else { to };
                    }
                    (event, span) => items.push(node(text, parser, event, &span)?),
                }
                to = items.last()?.to.max(to);
            }
            if let Some(first) = items.first().filter(|_| !flow) {
                // The parser may let the list begin behind its first dash.
                from = from.min(text[..first.from].rfind('-')?);
            }
            Shape::List { flow, items }
        }
        Event::MappingStart(style, ..) => {
            let flow = style == StructureStyle::Flow;
            let mut entries = Vec::new();
            loop {
                let key = match parser.next()?.ok()? {
                    (Event::MappingEnd, end) => {
                        break to = if flow { end.end.byte_offset()? } else { to };
                    }
                    (event, span) => node(text, parser, event, &span)?,
                };
                let (event, span) = parser.next()?.ok()?;
                let value = node(text, parser, event, &span)?;
                to = value.to.max(key.to).max(to);
                entries.push((key, value));
            }
            Shape::Map { flow, entries }
        }
        _ => return None,
    };
    Some(Node { from, to, shape })
}
