//! PKCE (RFC 7636), the proof that a code is redeemed by the client that requested it, and other
//! random text.

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::credential::Error;

/// A verifier and its challenge: the challenge is sent to the authorize URL, and the verifier with
/// the code to the token endpoint.
pub struct Pkce {
    verifier: Zeroizing<String>,
    challenge: String,
}

impl Pkce {
    /// `code_challenge_method`: the challenge is the verifier's SHA-256.
    pub const METHOD: &str = "S256";

    /// Creates the pair for one login.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::of(random_text()?))
    }

    fn of(verifier: Zeroizing<String>) -> Self {
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        Self {
            verifier,
            challenge: BASE64_URL_SAFE_NO_PAD.encode(hash),
        }
    }

    /// `code_challenge`, for the authorize URL.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// `code_verifier`, for the token endpoint only.
    #[must_use]
    pub fn verifier(&self) -> &str {
        &self.verifier
    }
}

/// Returns 256 random bits as 43 letters, digits, `-` and `_`: a verifier, or a `state`.
///
/// # Errors
/// The system has no random bytes.
pub fn random_text() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| Error::NoRandomness)?;
    Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfcs_example() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let pkce = Pkce::of(Zeroizing::new(verifier.to_owned()));
        let expected = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(pkce.challenge(), expected);
    }

    #[test]
    fn a_verifier_is_long_enough_and_new_each_time() {
        let verifiers = [Pkce::new().unwrap(), Pkce::new().unwrap()];
        for one in &verifiers {
            assert!((43..=128).contains(&one.verifier().len()));
            let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            assert!(one.verifier().chars().all(unreserved));
        }
        assert_ne!(verifiers[0].verifier(), verifiers[1].verifier());
    }
}
