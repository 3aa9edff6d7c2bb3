//! Frames a response anew for the client's connection: what its headers say of the body's length is
//! made true there, or the response is refused.

use http::{
    HeaderMap, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING},
};

use super::Error;

/// Normalises what the head says of the body: one `Content-Length` of digits only, or none. The body
/// was read by the same rules.
///
/// # Errors
/// Lengths that differ, and codings that cannot be undone: the client would read another response.
pub(super) fn normalise<B>(response: &mut Response<B>) -> Result<(), Error> {
    // The version belongs to the server's connection (RFC 9110 section 2.5).
    *response.version_mut() = Version::HTTP_11;
    let status = response.status();
    let headers = response.headers_mut();
    if headers.contains_key(TRANSFER_ENCODING) {
        // As Go's transport: chunked alone, once.
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let coding = codings.next().map(|line| line.as_bytes().trim_ascii());
        if coding.is_none_or(|coding| !coding.eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Err(Error::BadFraming {
                header: "Transfer-Encoding",
                problem: "names a coding other than chunked",
            });
        }
    } else if headers.contains_key(CONTENT_LENGTH) {
        normalise_length(headers)?;
    }
    // These have no body, and no length either (RFC 9110 section 8.6).
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

fn normalise_length(headers: &mut HeaderMap) -> Result<(), Error> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    if let (Some(line), None) = (lines.next(), lines.next())
        && is_plain(line.as_bytes())
    {
        return Ok(());
    }
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    let mut values = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let first = values.next().and_then(number);
    match first {
        Some(length) if values.all(|value| number(value) == first) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            Ok(())
        }
        _ => Err(Error::BadFraming {
            header: "Content-Length",
            problem: "is not one number",
        }),
    }
}

/// Whether a value is a number in its shortest form.
fn is_plain(value: &[u8]) -> bool {
    matches!(value, [b'0'] | [b'1'..=b'9', ..])
        && value.len() < 19
        && value.iter().all(u8::is_ascii_digit)
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn normalised(status: u16, lines: &[(&str, &str)]) -> Option<Vec<String>> {
        let mut response = Response::builder().status(status).version(Version::HTTP_10);
        for (name, value) in lines {
            response = response.header(*name, *value);
        }
        let mut response = response.body(()).unwrap();
        normalise(&mut response).ok()?;
        assert_eq!(response.version(), Version::HTTP_11);
        let lengths = response.headers().get_all(CONTENT_LENGTH).iter();
        Some(lengths.map(|v| v.to_str().unwrap().to_owned()).collect())
    }

    fn length(lines: &[&str]) -> Option<Vec<String>> {
        let lines: Vec<_> = lines.iter().map(|v| ("content-length", *v)).collect();
        normalised(200, &lines)
    }

    #[test]
    fn equal_lengths_become_one() {
        for lines in [&["2"][..], &["2, 2"], &["2", "2"], &["2,2", "2"], &["002"]] {
            assert_eq!(length(lines).unwrap(), ["2"], "{lines:?}");
        }
        assert_eq!(length(&["0"]).unwrap(), ["0"]);
        assert_eq!(
            length(&["18446744073709551615"]).unwrap(),
            [u64::MAX.to_string()]
        );
        assert!(length(&[]).unwrap().is_empty());
    }

    #[test]
    fn lengths_that_differ_or_are_no_numbers_are_refused() {
        for lines in [
            &["2, 3"][..],
            &["2", "3"],
            &["+2"],
            &["-2"],
            &["0x2"],
            &["2,"],
            &[""],
            &["2 2"],
            &["18446744073709551616"],
        ] {
            assert!(length(lines).is_none(), "{lines:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_coding() {
        let coded = |coding| normalised(200, &[("transfer-encoding", coding)]);
        assert!(coded("chunked").is_some());
        assert!(coded("Chunked").is_some());
        for coding in ["gzip, chunked", "identity", "chunked, chunked", ""] {
            assert!(coded(coding).is_none(), "{coding}");
        }
        let twice = [("transfer-encoding", "chunked"); 2];
        assert!(normalised(200, &twice).is_none());
    }

    #[test]
    fn responses_without_a_body_have_no_length() {
        for (status, kept) in [(204, 0), (101, 0), (304, 1), (200, 1)] {
            let lengths = normalised(status, &[("content-length", "5")]).unwrap();
            assert_eq!(lengths.len(), kept, "{status}");
        }
    }
}
