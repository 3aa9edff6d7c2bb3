//! Changes values of a YAML or JSON text in place. The rest of the text stays: comments, order, quotes
//! and unknown fields.

use std::collections::HashMap;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::outline::{Node, Shape};
use crate::kubeconfig::block::{self, is_leaf, scalar};

/// Changes `text`, whose content is `old`, so that its content becomes `new`; `None` if the text has a
/// form that this cannot change. The result is a proposal, which the caller must parse and compare.
pub(super) fn patched(text: &str, old: &Value, new: &Value) -> Option<Zeroizing<String>> {
    let mut patch = Patch {
        text,
        splices: Vec::new(),
    };
    match (old, new) {
        (Value::Null, Value::Object(_)) => {
            let end = text.trim_end().len();
            let line = if end == 0 { "" } else { patch.newline() };
            let block = patch.block(new, 0);
            let rest = if text.len() == end { "\n" } else { "" };
            patch.splice(end, end, &[line, &block, rest]);
        }
        _ => patch.value(&Node::outline(text)?, old, new)?,
    }
    patch.applied()
}

struct Patch<'a> {
    text: &'a str,
    /// Byte ranges, and the text that replaces each.
    splices: Vec<(usize, usize, Zeroizing<String>)>,
}

impl Patch<'_> {
    /// Changes the items of a collection; `None` if the value has to be replaced as a whole.
    fn value(&mut self, node: &Node, old: &Value, new: &Value) -> Option<()> {
        match (&node.shape, old, new) {
            (Shape::Map { flow, entries }, Value::Object(old), Value::Object(new)) => {
                self.map(node, *flow, entries, old, new)
            }
            (Shape::List { flow, items }, Value::Array(old), Value::Array(new)) => {
                self.list(node, *flow, items, old, new)
            }
            _ => None,
        }
    }

    fn map(
        &mut self,
        node: &Node,
        flow: bool,
        entries: &[(Node, Node)],
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Option<()> {
        // The last value of a repeated key is the one that counts.
        let keys = entries.iter().map(|(key, _)| key.text()).zip(0..);
        let last: HashMap<&str, usize> = keys.collect();
        if new.is_empty() || old.len() != last.len() {
            return None;
        }
        // Between keys that all go, there is no place for new ones.
        if !old.is_empty() && old.keys().all(|key| !new.contains_key(key)) {
            return None;
        }
        let spans = entries.iter().map(|(key, value)| {
            let span = (key.from, value.to);
            (span, new.contains_key(key.text()))
        });
        let spans: Vec<_> = spans.collect();
        for (at, (key, value)) in entries.iter().enumerate() {
            let before = old.get(key.text())?;
            match new.get(key.text()) {
                Some(_) if last[key.text()] != at => {}
                None if flow => self.remove_from_flow(&spans, at),
                None => self.remove_lines(key.from, value.to)?,
                Some(after) if after == before => {}
                Some(after) => {
                    let mark = self.splices.len();
                    if self.value(value, before, after).is_none() {
                        self.splices.truncate(mark);
                        self.replace(flow, key, value, after);
                    }
                }
            }
        }
        let added: Map<String, Value> = new
            .iter()
            .filter(|(key, _)| !old.contains_key(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if added.is_empty() {
            return Some(());
        }
        let (first, last) = (entries.first(), entries.last());
        if flow {
            let json = Zeroizing::new(Value::Object(added).to_string());
            let json = &json[1..json.len() - 1];
            self.append_to_flow(
                node,
                first.map(|(key, _)| key),
                last.map(|(_, value)| value),
                json,
            );
        } else {
            let block = self.block(&Value::Object(added), self.column(first?.0.from));
            let indent = " ".repeat(self.column(first?.0.from));
            let end = self.line_end(last?.1.to);
            self.splice(end, end, &[self.newline(), &indent, &block]);
        }
        Some(())
    }

    /// Changes a list of items with names.
    fn list(
        &mut self,
        node: &Node,
        flow: bool,
        items: &[Node],
        old: &[Value],
        new: &[Value],
    ) -> Option<()> {
        if new.is_empty() || items.is_empty() || old.len() != items.len() {
            return None;
        }
        // Items without a name, such as a plugin's args, cannot be matched.
        if !new.iter().any(|item| item["name"].is_string()) {
            return None;
        }
        let spans = items.iter().zip(old).map(|(item, old)| {
            let name = &old["name"];
            let stays = !name.is_string() || new.iter().any(|item| item["name"] == *name);
            ((item.from, item.to), stays)
        });
        let spans: Vec<_> = spans.collect();
        if flow && spans.iter().all(|(_, stays)| !stays) {
            return None;
        }
        for (at, (item, before)) in items.iter().zip(old).enumerate() {
            let Some(name) = before["name"].as_str() else {
                continue;
            };
            match new.iter().find(|item| item["name"] == name) {
                Some(after) if after == before => {}
                Some(after) => self.value(item, before, after)?,
                None if flow => self.remove_from_flow(&spans, at),
                None => self.remove_lines(self.dash(item.from)?, item.to)?,
            }
        }
        for item in new
            .iter()
            .filter(|item| old.iter().all(|old| old["name"] != item["name"]))
        {
            if flow {
                let json = Zeroizing::new(item.to_string());
                self.append_to_flow(node, items.first(), items.last(), &json);
            } else {
                let column = self.column(self.dash(items[0].from)?);
                let (indent, block) = (" ".repeat(column), self.block(item, column + 2));
                let end = self.line_end(items[items.len() - 1].to);
                self.splice(end, end, &[self.newline(), &indent, "- ", &block]);
            }
        }
        Some(())
    }

    /// Replaces the value of `key` by `new`.
    fn replace(&mut self, flow: bool, key: &Node, value: &Node, new: &Value) {
        // Includes the line breaks before the value, but not a comment behind the key.
        let from = self.text[..value.from].trim_end().len().max(key.to);
        if flow || is_leaf(new) {
            let text = Zeroizing::new(if flow { new.to_string() } else { scalar(new) });
            if self.text[key.to..value.from].contains('\n') {
                let colon = self.text[key.to..]
                    .find(':')
                    .map_or(key.to, |at| key.to + at + 1);
                self.splice(colon, colon, &[" ", &text]);
                self.splice(from, value.to, &[]);
            } else {
                let space = if value.from == value.to { " " } else { "" };
                self.splice(value.from, value.to, &[space, &text]);
            }
            return;
        }
        let column = self.column(key.from);
        let indent = column + if new.is_array() { 0 } else { 2 };
        let block = self.block(new, indent);
        let end = self.line_end(value.to);
        self.splice(from, value.to, &[]);
        self.splice(end, end, &[self.newline(), &" ".repeat(indent), &block]);
    }

    /// Appends JSON to a flow collection, on a line of its own if the other values have that.
    fn append_to_flow(
        &mut self,
        node: &Node,
        first: Option<&Node>,
        last: Option<&Node>,
        json: &str,
    ) {
        let (Some(first), Some(last)) = (first, last) else {
            self.splice(node.from + 1, node.from + 1, &[json]);
            return;
        };
        let line = self.line_start(first.from);
        let space = &self.text[line..first.from];
        if space.trim().is_empty() {
            self.splice(last.to, last.to, &[",", self.newline(), space, json]);
        } else {
            self.splice(last.to, last.to, &[", ", json]);
        }
    }

    /// Removes the value `at` of a flow collection, with one comma. Each value has its range and whether
    /// it stays; one does.
    fn remove_from_flow(&mut self, values: &[((usize, usize), bool)], at: usize) {
        let ((from, to), _) = values[at];
        let stays = |values: &[(_, bool)]| values.iter().any(|(_, stays)| *stays);
        match values.get(at + 1) {
            Some(((next, _), _)) if stays(&values[at + 1..]) => self.splice(from, *next, &[]),
            // Behind the last value that stays: from the end of the one before.
            _ => {
                let start = at.checked_sub(1).map_or(from, |at| values[at].0.1);
                self.splice(start, to, &[]);
            }
        }
    }

    /// Removes the lines of a value in block style that begins at `from`.
    fn remove_lines(&mut self, from: usize, to: usize) -> Option<()> {
        let start = self.line_start(from);
        if !self.text[start..from].trim().is_empty() {
            return None;
        }
        let end = self.line_end(to);
        // Includes the line break before them, not the one behind: text may be inserted there.
        let before = self.text[..start].strip_suffix('\n').unwrap_or_default();
        let before = before.strip_suffix('\r').unwrap_or(before);
        if start > 0 {
            self.splice(before.len(), end, &[]);
        } else {
            let next = self.text[end..].find('\n').map_or(end, |at| end + at + 1);
            self.splice(0, next, &[]);
        }
        Some(())
    }

    fn splice(&mut self, from: usize, to: usize, parts: &[&str]) {
        self.splices
            .push((from, to, Zeroizing::new(parts.concat())));
    }

    fn applied(mut self) -> Option<Zeroizing<String>> {
        // The sort is stable, so splices at the same position keep their order.
        self.splices.sort_by_key(|(from, ..)| *from);
        let added = self
            .splices
            .iter()
            .map(|(.., new)| new.len())
            .sum::<usize>();
        let mut edited = Zeroizing::new(String::with_capacity(self.text.len() + added));
        let mut done = 0;
        for (from, to, new) in &self.splices {
            edited.push_str(self.text.get(done..*from)?);
            edited.push_str(new);
            done = *to;
        }
        edited.push_str(self.text.get(done..)?);
        Some(edited)
    }

    /// The position of the dash of a list's item.
    fn dash(&self, item: usize) -> Option<usize> {
        self.text[..item].rfind('-')
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        // A block scalar ends behind its last line break.
        let at = at - (self.text[..at].len() - self.text[..at].trim_end().len());
        let rest = self.text[at..].split('\n').next().unwrap_or_default();
        at + rest.trim_end_matches('\r').len()
    }

    fn column(&self, at: usize) -> usize {
        at - self.line_start(at)
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// A value in block style without the indent of its first line.
    fn block(&self, value: &Value, indent: usize) -> Zeroizing<String> {
        block::block(value, &format!("{}{}", self.newline(), " ".repeat(indent)))
    }
}
