//! JWTs signed with RS256 (RFC 7515, RFC 7518), and the key set that verifies them (RFC 7517).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use x509_parser::{prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};

use super::error::Error;
use crate::demo::random::new_uuid;

/// The signing key of an issuer.
#[derive(Debug)]
pub(crate) struct Signer {
    key: KeyPair,
    id: String,
}

impl Signer {
    /// Generates a key, which takes about a tenth of a second.
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Random)?;
        Ok(Self {
            key,
            id: new_uuid(),
        })
    }

    /// Signs a token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, Error> {
        let header = json!({"alg": "RS256", "kid": self.id, "typ": "JWT"});
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| Error::Random)?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{signed}.{signature}"))
    }

    /// The claims of a token that this key signed, even if the token has expired.
    pub(crate) fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = self.key.public_key().as_ref();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// Like [`Self::claims`], but `None` if the token has expired at `now`.
    pub(crate) fn unexpired_claims(&self, token: &str, now: SystemTime) -> Option<Value> {
        let claims = self.claims(token)?;
        (claims["exp"].as_u64()? > seconds(now)).then_some(claims)
    }

    /// The key set that verifies the tokens (RFC 7517, section 5).
    pub(crate) fn key_set(&self) -> Option<Value> {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().ok()?;
        let (_, info) = SubjectPublicKeyInfo::from_der(der.as_ref()).ok()?;
        let Ok(PublicKey::RSA(key)) = info.parsed() else {
            return None;
        };
        // Base64urlUInt (RFC 7518, section 2) omits the zero that DER puts before a high bit.
        let number = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            BASE64_URL_SAFE_NO_PAD.encode(&bytes[start..])
        };
        Some(json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id,
            "n": number(key.modulus), "e": number(key.exponent),
        }]}))
    }
}

/// Whole seconds since 1970, as in `iat` and `exp`.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH);
    since_epoch.as_ref().map_or(0, Duration::as_secs)
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_altered_or_foreign_token_is_invalid() {
        let signer = Signer::generate().unwrap();
        let now = SystemTime::now();
        let token = signer.sign(&json!({"exp": seconds(now) + 5})).unwrap();
        assert!(signer.unexpired_claims(&token, now).is_some());
        let later = now + Duration::from_secs(5);
        assert!(signer.unexpired_claims(&token, later).is_none());
        assert!(signer.claims(&token).is_some());

        let other = Signer::generate().unwrap();
        assert!(other.claims(&token).is_none());
        let (header, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let claims = encoded(&json!({"exp": seconds(now) + 500}));
        assert!(
            signer
                .claims(&format!("{header}.{claims}.{signature}"))
                .is_none()
        );
    }

    #[test]
    fn the_key_set_verifies_a_token() {
        let issuer = Signer::generate().unwrap();
        let key = &issuer.key_set().unwrap()["keys"][0];
        let number = |field: &str| BASE64_URL_SAFE_NO_PAD.decode(key[field].as_str().unwrap());
        let (n, e) = (number("n").unwrap(), number("e").unwrap());
        assert_eq!((n.len(), &e[..]), (256, &[1, 0, 1][..]));
        let token = issuer.sign(&json!({"sub": "jane"})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = aws_lc_rs::rsa::PublicKeyComponents { n, e };
        let verified = public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature);
        assert!(verified.is_ok());
    }
}
