//! Refuses message framing that two readers could read in two ways, as far as headers still show it.
//!
//! hyper refuses lengths that differ and a `chunked` that is not the last coding; of a length beside
//! `chunked` it drops the length and closes. This file checks what it lets through.

use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::proxy::refusal::Refusal;

/// RFC 9112 section 6.3: a message with both a length and a transfer coding, or with
/// codings other than `chunked`, "might indicate an attempt to perform request smuggling".
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return refuse("Transfer-Encoding must be \"chunked\", once, and nothing else");
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return refuse("Content-Length and Transfer-Encoding cannot both be sent");
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !is_number(length.as_bytes()))
    {
        return refuse("Content-Length must be one number, sent once");
    }
    Ok(())
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn refuse(message: &str) -> Result<(), Refusal> {
    Err(Refusal::malformed("ambiguous framing", message).and_close())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, StatusCode};

    fn checked(headers: &[(HeaderName, &'static str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header value"));
        }
        check(&map)
    }

    #[test]
    fn plain_framing_passes() {
        for headers in [
            &[][..],
            &[(CONTENT_LENGTH, "0")],
            &[(CONTENT_LENGTH, "12")],
            &[(TRANSFER_ENCODING, "chunked")],
            &[(TRANSFER_ENCODING, "Chunked")],
        ] {
            assert_eq!(checked(headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn ambiguous_framing_is_400_and_closes() {
        for headers in [
            &[(TRANSFER_ENCODING, "gzip, chunked")][..],
            &[(TRANSFER_ENCODING, "chunked, chunked")],
            &[(TRANSFER_ENCODING, "identity")],
            &[(TRANSFER_ENCODING, "xchunked")],
            &[(TRANSFER_ENCODING, "")],
            &[
                (TRANSFER_ENCODING, "chunked"),
                (TRANSFER_ENCODING, "chunked"),
            ],
            &[(TRANSFER_ENCODING, "chunked"), (CONTENT_LENGTH, "5")],
            &[(CONTENT_LENGTH, "5"), (CONTENT_LENGTH, "5")],
            &[(CONTENT_LENGTH, "5, 5")],
            &[(CONTENT_LENGTH, "+5")],
            &[(CONTENT_LENGTH, "0x5")],
            &[(CONTENT_LENGTH, "")],
        ] {
            let refusal = checked(headers).expect_err("refused");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{headers:?}");
            assert!(refusal.close, "{headers:?}");
        }
    }
}
