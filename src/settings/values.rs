//! Parsers of the values of flags.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};

use crate::kubeconfig::ExecApiVersion;

/// Returns a parser of paths that, unlike clap's own, accepts an empty value.
pub(super) fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Returns a parser of `v1` and `v1beta1`.
pub(crate) fn exec_api_version() -> impl TypedValueParser<Value = ExecApiVersion> {
    let versions = [ExecApiVersion::V1, ExecApiVersion::V1beta1];
    PossibleValuesParser::new(versions.map(ExecApiVersion::version)).map(move |text| {
        let mut versions = versions.into_iter();
        let version = versions.find(|version| version.version() == text);
        version.unwrap_or_default()
    })
}

/// Parses a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// Parses an IP address, or `localhost`.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .map_err(|_| "give an IP address, such as 127.0.0.1 or ::1".to_owned())
}

/// Parses an address and a port, as Go's `net.Listen` takes them: `127.0.0.1:8000`, `:8000` for every
/// address.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let explain = || "give an IP address and a port, such as 127.0.0.1:8000".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(explain)?;
    let port = port.parse().map_err(|_| explain())?;
    let host = match host {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        host => address(host).map_err(|_| explain())?,
    };
    Ok(SocketAddr::new(host, port))
}

/// Parses a duration as Go writes it (`1m30s`), or a number of seconds. Caps it at a century, because
/// points in time beyond that cannot be computed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(100 * 366 * 86_400);
    let explain = || "give a duration such as 30s, 1m30s or 0".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds).min(MAX));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| explain())?;
    let duration = Duration::try_from(parsed).map_err(|_| explain())?;
    Ok(duration.min(MAX))
}

/// Parses `key=value`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give key=value".to_owned()),
    }
}

/// Returns the path unless it is empty, which means that the flag is not given.
pub(super) fn non_empty_path(value: Option<&PathBuf>) -> Option<&Path> {
    value
        .map(PathBuf::as_path)
        .filter(|p| !p.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        let now = std::time::Instant::now();
        for endless in ["18446744073709551615", "2562047788015h"] {
            let long = duration(endless).map(|long| now.checked_add(2 * long));
            assert!(matches!(long, Ok(Some(_))), "{endless}");
        }
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn addresses_are_ip_addresses_or_localhost() {
        assert_eq!(address("localhost"), Ok(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address("[::1]"), address("::1"));
        assert!(address("example.com").is_err());
    }

    #[test]
    fn an_extra_field_needs_a_key() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        for (text, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("localhost:1", "127.0.0.1:1"),
            (":8000", "0.0.0.0:8000"),
            ("[::1]:0", "[::1]:0"),
        ] {
            let parsed = listen_address(text).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
        }
        for text in ["127.0.0.1", "8000", "host.example:80", "127.0.0.1:x", ""] {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }
}
