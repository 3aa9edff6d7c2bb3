//! [`Keys`]: the keys of settings files, which are the long flags of a command.

use std::{any::TypeId, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command};

use crate::{
    secret::Secret,
    settings::{Patterns, UpstreamHeader},
};

/// Long flags that choose the settings file or print something, and so cannot stand in it.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];

/// How alike two names must be for one to be suggested for the other (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// The keys that settings files may have.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

/// A key, which is a flag.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about a flag"
)]
pub struct Key {
    /// The long name of the flag.
    pub name: String,
    /// The id of the flag in clap's matches.
    pub id: String,
    /// What its value is.
    pub kind: Kind,
    /// Whether it takes a list.
    pub is_several: bool,
    /// Whether the flag means something without a value.
    pub is_optional: bool,
    /// Whether the value may be a secret.
    pub is_secret: bool,
    /// Whether `false` means the same as no value.
    pub is_false_by_default: bool,
}

/// What the value of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number.
    Integer,
    /// A number of seconds, or a string such as `1m30s`.
    Duration,
    /// The path of a file, relative to the folder of the settings file.
    Path,
    /// A regular expression.
    Pattern,
    /// The name of a header and the file of its value.
    Header,
    /// Any other string.
    Text,
}

impl Keys {
    /// Returns the keys of a command and of `global` flags.
    pub fn new<'a>(command: &'a Command, global: impl Iterator<Item = &'a Arg>) -> Self {
        let own: Vec<&Arg> = command.get_arguments().collect();
        let is_own = |arg: &&Arg| own.iter().any(|own| own.get_id() == arg.get_id());
        let global: Vec<&Arg> = global.filter(|arg| !is_own(arg)).collect();
        let keys = own.into_iter().chain(global);
        Self(keys.filter_map(Key::of_flag).collect())
    }

    /// The keys, in the order of the flags.
    #[must_use]
    pub fn all(&self) -> &[Key] {
        &self.0
    }

    /// Returns the key of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// Returns which of the keys, or of `more` names, is most like `name`, if one is.
    pub(super) fn nearest(&self, name: &str, more: &[&'static str]) -> Option<String> {
        let names = self.0.iter().map(|key| key.name.as_str());
        nearest(name, names.chain(more.iter().copied()))
    }
}

/// Returns the name that is most like `name`, if one is.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let likeness = |known: &str| strsim::jaro_winkler(known, name);
    let alike = names.filter(|known| likeness(known) >= ALIKE);
    let best = alike.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.map(str::to_owned)
}

impl Key {
    /// Returns the key of a flag; `None` for one without a long name or without a meaning.
    fn of_flag(arg: &Arg) -> Option<Self> {
        let name = arg.get_long()?;
        if arg.is_hide_set() || NO_KEYS.contains(&name) {
            return None;
        }
        let value = arg.get_value_parser().type_id();
        let is = |id: TypeId| value == id;
        let kind = if is(TypeId::of::<bool>()) {
            Kind::Boolean
        } else if is(TypeId::of::<u8>()) || is(TypeId::of::<u16>()) || is(TypeId::of::<u32>()) {
            Kind::Integer
        } else if is(TypeId::of::<Duration>()) {
            Kind::Duration
        } else if is(TypeId::of::<PathBuf>()) {
            Kind::Path
        } else if is(TypeId::of::<Patterns>()) {
            Kind::Pattern
        } else if is(TypeId::of::<UpstreamHeader>()) {
            Kind::Header
        } else {
            Kind::Text
        };
        let is_list =
            matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
        let may_be_alone = arg.get_num_args().is_some_and(|n| n.min_values() == 0);
        Some(Self {
            name: name.to_owned(),
            id: arg.get_id().to_string(),
            kind,
            is_several: is_list || kind == Kind::Pattern,
            is_optional: may_be_alone && kind != Kind::Boolean,
            is_false_by_default: arg.get_default_values() == ["false"],
            is_secret: is(TypeId::of::<Secret>()),
        })
    }

    /// Describes the value, for an error.
    pub(super) fn expected(&self) -> String {
        let one = match self.kind {
            Kind::Boolean => "true or false",
            Kind::Integer => "a number, such as 1",
            Kind::Duration => "a duration, such as \"1m30s\", or a number of seconds",
            Kind::Path => "a path in quotes",
            Kind::Pattern => "a regular expression in quotes",
            Kind::Header => "\"NAME: @FILE\"",
            Kind::Text => "a string in quotes",
        };
        if self.is_several {
            format!("{one}, or a list of them in brackets")
        } else if self.is_optional {
            format!("{one}, or true")
        } else {
            one.to_owned()
        }
    }
}
