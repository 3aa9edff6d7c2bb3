//! Reads the text of a settings file.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    contexts,
    error::FileError,
    keys::{Key, Keys, Kind},
    routes,
    setting::{ContextSettings, Place, Setting},
    source::Source,
};
use crate::{
    printable::printable,
    settings::{Patterns, Route},
};

/// The table with what is set for each context by its name.
const CONTEXTS: &str = "contexts";
/// The table with the routes to other servers.
const ROUTES: &str = "routes";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) values: Vec<Setting>,
    pub(super) contexts: BTreeMap<String, ContextSettings>,
    pub(super) routes: Vec<Route>,
    /// Where the first secret stands.
    pub(super) secret: Option<Place>,
}

/// Parses the text of a file.
pub(super) fn parse(file: &Path, text: &str, keys: &Keys) -> Result<Document, FileError> {
    let source = Source { file, text };
    let table = DeTable::parse(text).map_err(|error| {
        // The error's own text shows the line, which may have a secret.
        let problem = printable(error.message()).into_owned();
        source.error(error.span().unwrap_or_default(), problem)
    })?;
    let mut document = Document::default();
    for (name, value) in table.get_ref() {
        if name.get_ref() == CONTEXTS {
            document.contexts = contexts::parse(&source, value)?;
            let mut secrets = document.contexts.values().filter_map(|c| c.secret.clone());
            document.secret = document.secret.or_else(|| secrets.next());
            continue;
        }
        if name.get_ref() == ROUTES {
            document.routes = routes::parse(&source, value)?;
            continue;
        }
        let key = keys
            .get(name.get_ref())
            .ok_or_else(|| unknown(&source, name, keys))?;
        let args = arguments(&source, key, value)?;
        let place = source.place(name.span());
        if key.is_secret && args.iter().any(is_secret) {
            document.secret.get_or_insert_with(|| place.clone());
        }
        document.values.push(Setting {
            key: key.name.clone(),
            args,
            place,
        });
    }
    // In the order of the lines, for errors and for `config show`.
    document.values.sort_by_key(|setting| setting.place.line);
    Ok(document)
}

fn unknown(source: &Source<'_>, name: &Spanned<impl AsRef<str>>, keys: &Keys) -> FileError {
    let text = name.get_ref().as_ref();
    let hint = match keys.nearest(text, &[CONTEXTS, ROUTES]) {
        Some(known) => format!("did you mean {known}?"),
        None => "the keys are the long flags of `kubegate proxy --help` and `kubegate options`, without \
                 their dashes"
            .to_owned(),
    };
    let shown = printable(text).into_owned();
    source.error(name.span(), format!("unknown key {shown:?}; {hint}"))
}

/// Returns the arguments that mean a key with this value.
fn arguments(
    source: &Source<'_>,
    key: &Key,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<OsString>, FileError> {
    let flag = |text: &str| OsString::from(format!("--{}={text}", key.name));
    if key.is_optional
        && let DeValue::Boolean(given) = value.get_ref()
    {
        let alone = OsString::from(format!("--{}", key.name));
        return Ok(given.then_some(alone).into_iter().collect());
    }
    // As an argument it could require another flag.
    if key.is_false_by_default && matches!(value.get_ref(), DeValue::Boolean(false)) {
        return Ok(Vec::new());
    }
    let DeValue::Array(items) = value.get_ref() else {
        return Ok(vec![flag(&single(source, key, value)?)]);
    };
    if !key.is_several {
        return Err(mismatch(source, key, value));
    }
    let texts = items.iter().map(|item| single(source, key, item));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    if key.kind != Kind::Pattern {
        return Ok(texts.iter().map(|text| flag(text)).collect());
    }
    let joined = texts.join(",");
    if Patterns::from(joined.as_str()).0 != texts {
        let problem = format!(
            "{}: an expression of the list is incomplete, is empty or has a comma outside of parentheses \
             and brackets; write such a comma as [,]",
            key.name
        );
        return Err(source.error(value.span(), problem));
    }
    Ok(vec![flag(&joined)])
}

/// Returns one value as the text of an argument.
fn single(
    source: &Source<'_>,
    key: &Key,
    value: &Spanned<DeValue<'_>>,
) -> Result<String, FileError> {
    match (key.kind, value.get_ref()) {
        (Kind::Boolean, DeValue::Boolean(value)) => Ok(value.to_string()),
        (Kind::Integer | Kind::Duration, DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            let number = number.map_err(|_| mismatch(source, key, value))?;
            Ok(number.to_string())
        }
        (Kind::Path, DeValue::String(path)) => source
            .path(path)
            .into_os_string()
            .into_string()
            .map_err(|_| mismatch(source, key, value)),
        (Kind::Duration | Kind::Pattern | Kind::Text, DeValue::String(text)) => {
            Ok(text.clone().into_owned())
        }
        (Kind::Header, DeValue::String(text)) => {
            // A value in words is refused by the flag.
            let at = text
                .split_once('@')
                .filter(|(name, _)| name.trim_end().ends_with(':'));
            let Some((name, file)) = at else {
                return Ok(text.clone().into_owned());
            };
            Ok(format!("{name}@{}", source.path(file).display()))
        }
        _ => Err(mismatch(source, key, value)),
    }
}

fn mismatch(source: &Source<'_>, key: &Key, value: &Spanned<DeValue<'_>>) -> FileError {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let problem = format!("{}: expected {}, found {found}", key.name, key.expected());
    source.error(value.span(), problem)
}

/// Whether an argument of a flag for secrets has one: a URL without user info has none.
fn is_secret(arg: &OsString) -> bool {
    let text = arg.to_string_lossy();
    let value = text.split_once('=').map_or("", |(_, value)| value);
    !value.is_empty() && (!value.contains("://") || value.contains('@'))
}
