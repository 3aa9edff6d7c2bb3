//! Reads `[contexts."NAME"]`.

use std::collections::BTreeMap;

use toml::{Spanned, de::DeValue};

use super::{
    error::FileError,
    setting::ContextSettings,
    source::{Source, name_of},
};
use crate::{
    printable::printable,
    secret::Secret,
    settings::upstream_header::{HeaderSource, UpstreamHeader, header_name},
};

/// The only key of a context.
const HEADERS: &str = "upstream-headers";

/// Returns what a file says of contexts, and where the first secret stands.
pub(super) fn parse(
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<BTreeMap<String, ContextSettings>, FileError> {
    let DeValue::Table(contexts) = value.get_ref() else {
        let problem = "contexts: expected tables, such as [contexts.\"NAME\"]".to_owned();
        return Err(source.error(value.span(), problem));
    };
    let mut found = BTreeMap::new();
    for (context, value) in contexts {
        let shown = printable(context.get_ref()).into_owned();
        let DeValue::Table(keys) = value.get_ref() else {
            let problem = format!("contexts.{shown:?}: expected a table with {HEADERS}");
            return Err(source.error(value.span(), problem));
        };
        let mut settings = ContextSettings::default();
        for (key, value) in keys {
            if key.get_ref() != HEADERS {
                let name = printable(key.get_ref());
                let problem =
                    format!("unknown key {name:?} of context {shown:?}; did you mean {HEADERS}?");
                return Err(source.error(key.span(), problem));
            }
            settings.upstream_headers = headers(source, value)?;
        }
        if let Some(words) = settings.words() {
            settings.secret = Some(source.place(keys_place(keys, words)));
        }
        found.insert(context.get_ref().clone().into_owned(), settings);
    }
    Ok(found)
}

fn headers(
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<UpstreamHeader>, FileError> {
    let DeValue::Table(headers) = value.get_ref() else {
        let problem = format!("{HEADERS}: expected a table, such as {{ \"X-Name\" = \"@FILE\" }}");
        return Err(source.error(value.span(), problem));
    };
    let mut found = Vec::new();
    for (name, value) in headers {
        let text = name_of(name);
        let bad = |problem: String| source.error(name.span(), format!("{HEADERS}: {problem}"));
        let name = header_name(&text).map_err(bad)?;
        let DeValue::String(value) = value.get_ref() else {
            return Err(bad(format!(
                "{name}: expected a string in quotes: \"@FILE\", or the value"
            )));
        };
        let value = match value.strip_prefix('@') {
            Some(file) => HeaderSource::File(source.path(file)),
            None => HeaderSource::Words(Secret::new(value.clone().into_owned())),
        };
        found.push(UpstreamHeader { name, value });
    }
    Ok(found)
}

/// Returns where the header `name` stands.
fn keys_place(keys: &toml::de::DeTable<'_>, name: &http::HeaderName) -> std::ops::Range<usize> {
    let tables = keys.iter().filter_map(|(_, value)| match value.get_ref() {
        DeValue::Table(headers) => Some(headers),
        _ => None,
    });
    let mut headers = tables.flat_map(|headers| headers.iter());
    let found = headers.find(|(key, _)| key.get_ref().eq_ignore_ascii_case(name.as_str()));
    found.map(|(key, _)| key.span()).unwrap_or_default()
}
