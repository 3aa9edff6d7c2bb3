//! Reads `[routes."PATH"]`.

use toml::{Spanned, de::DeValue};

use super::{
    error::FileError,
    keys::nearest,
    source::{Source, name_of},
};
use crate::{
    printable::printable,
    settings::route::{Route, route_path, route_url},
};

/// The keys of a route.
const KEYS: [&str; 3] = [URL, CONTEXT, AUTHORITY];
const URL: &str = "url";
const CONTEXT: &str = "context";
const AUTHORITY: &str = "certificate-authority";

/// Returns the routes of a file.
pub(super) fn parse(
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<Route>, FileError> {
    let DeValue::Table(routes) = value.get_ref() else {
        let problem = "routes: expected tables, such as [routes.\"/registry/\"]".to_owned();
        return Err(source.error(value.span(), problem));
    };
    let mut found: Vec<Route> = Vec::new();
    for (path, value) in routes {
        let text = name_of(path);
        let shown = printable(&text).into_owned();
        let bad = |problem: &str| source.error(path.span(), format!("routes.{shown:?}: {problem}"));
        let path = route_path(&text).map_err(|problem| bad(&problem))?;
        if found.iter().any(|route| route.path == path) {
            return Err(bad("the path is there twice"));
        }
        let DeValue::Table(keys) = value.get_ref() else {
            return Err(bad("expected a table with url"));
        };
        let (mut url, mut context, mut certificate_authority) = (None, None, None);
        for (key, value) in keys {
            let name = name_of(key);
            let bad = |problem: String| {
                let name = printable(&name);
                source.error(key.span(), format!("routes.{shown:?}: {name}: {problem}"))
            };
            let DeValue::String(text) = value.get_ref() else {
                return Err(bad("expected a string in quotes".to_owned()));
            };
            match name.as_str() {
                URL => url = Some(route_url(text).map_err(bad)?),
                CONTEXT if !text.is_empty() => context = Some(text.clone().into_owned()),
                AUTHORITY if !text.is_empty() => certificate_authority = Some(source.path(text)),
                CONTEXT | AUTHORITY => return Err(bad("must not be empty".to_owned())),
                _ => {
                    let known = nearest(&name, KEYS.into_iter());
                    let known = known.unwrap_or_else(|| KEYS.join(", "));
                    return Err(bad(format!("unknown key; did you mean {known}?")));
                }
            }
        }
        found.push(Route {
            path,
            url: url.ok_or_else(|| bad("url is missing"))?,
            context,
            certificate_authority,
        });
    }
    Ok(found)
}
