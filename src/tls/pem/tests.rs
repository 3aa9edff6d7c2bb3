#![allow(clippy::unwrap_used)]

use super::super::testing::file;
use super::*;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

fn count(pem: impl AsRef<[u8]>) -> usize {
    certificates(pem.as_ref(), "x").map_or(0, |found| found.len())
}

#[test]
fn certificates_are_read_in_order_and_keys_are_skipped() {
    let both = [file("client.key"), file("chain.pem")].concat();
    let found = certificates(&both, "x").unwrap();
    assert_eq!(found.len(), 2);
    let intermediate = certificates(&file("intermediate-ca.pem"), "x").unwrap();
    assert_eq!(found[1], intermediate[0]);
}

#[test]
fn an_unreadable_section_is_skipped() {
    let (good, other) = (text("ca.pem"), text("other-ca.pem"));
    for bad in [
        format!("{BEGIN}\n!!no base64!!\n{END}\n"),
        format!("{BEGIN}\nMIIB\n"),
        format!("{BEGIN}\n"),
        format!("{BEGIN}\n{END}\n"),
        "-----BEGIN CERTIFICATE\nMIIB\n".to_owned(),
        "-----BEGIN CERTIFICATE----\nMIIB\n-----END CERTIFICATE----\n".to_owned(),
        format!("{BEGIN}\nMIIB\n-----END CERTIFICATES-----\n"),
        format!("{BEGIN}\nMIIB\n{END} trailing\n"),
        format!("{BEGIN}\naHVudGVyMg==\n{END}\n"),
        good.replace(END, ""),
        good.replace(BEGIN, "-----BEGIN TRUSTED CERTIFICATE-----")
            .replace(END, "-----END TRUSTED CERTIFICATE-----"),
        good.replace("-----BEGIN", "  -----BEGIN"),
        good.chars().filter(|c| *c != 'M').collect(),
    ] {
        for bundle in [
            format!("{bad}{other}"),
            format!("{other}{bad}"),
            format!("{other}{bad}{other}"),
        ] {
            let expected = bundle.matches(other.as_str()).count();
            assert_eq!(count(&bundle), expected, "{bundle}");
        }
        let error = certificates(bad.as_bytes(), "ca.crt").unwrap_err();
        let shown = error.to_string();
        assert!(
            shown.starts_with("ca.crt: holds no certificate that can be read: line 1: "),
            "{shown}"
        );
    }
}

#[test]
fn each_unreadable_section_is_named_by_its_line() {
    let bundle = format!("# one\n{BEGIN}\n!\n{END}\n\n{BEGIN}\nMIIB\n{BEGIN}\nMIIB\n{END}\n");
    let error = certificates(bundle.as_bytes(), "ca.crt").unwrap_err();
    assert_eq!(
        error.to_string(),
        "ca.crt: holds no certificate that can be read: line 2: the section holds something \
         other than base64; line 6: the section has no END line (is the text cut off?); line 8: \
         not a valid X.509 certificate"
    );
    for ending in ["\r\n", "\r"] {
        let other = certificates(bundle.replace('\n', ending).as_bytes(), "ca.crt").unwrap_err();
        assert_eq!(other.to_string(), error.to_string());
    }
}

#[test]
fn blanks_headers_line_endings_and_text_between_are_read() {
    let good = text("ca.pem");
    let expected = certificates(good.as_bytes(), "x").unwrap();
    for variant in [
        good.replace(BEGIN, &format!("{BEGIN}\t")),
        good.replace(BEGIN, &format!("{BEGIN}  \t ")),
        good.replace(END, &format!("{END} \t")),
        good.replace('\n', "\r\n"),
        good.replace('\n', "\r"),
        good.replace('\n', " \r\n"),
        good.replace('\n', "\n\n").replacen("\n\n", "\n", 1),
        good.replace("MII", "M I\tI"),
        good.replace(BEGIN, &format!("{BEGIN}\nsubject: /CN=a\nX-Note: b\n")),
        good.replace(BEGIN, &format!("{BEGIN}\nComment: it goes\n  on here\n")),
        format!("\u{feff}{good}"),
        format!("subject=/CN=test\nissuer: -----\n{good}trailing"),
        good.trim_end().to_owned(),
        good.replace('\n', "")
            .replace(BEGIN, &format!("{BEGIN}\n"))
            .replace(END, &format!("\n{END}")),
    ] {
        let found =
            certificates(variant.as_bytes(), "x").unwrap_or_else(|e| panic!("{e}: {variant}"));
        assert_eq!(found, expected, "{variant}");
    }
    // Files joined by `cat`, of which the first one has no line break at its end.
    let joined = [good.trim_end(), &text("other-ca.pem")].concat();
    assert_eq!(count(joined), 2);
}

#[test]
fn every_key_format_is_read_under_every_label() {
    let form = |text: &str| private_key(text.as_bytes(), "x").unwrap();
    let labels = [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ANY PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
    ];
    for (name, label) in [
        ("client.key", "PRIVATE KEY"),
        ("client-sec1.key", "EC PRIVATE KEY"),
        ("rsa-pkcs1.key", "RSA PRIVATE KEY"),
        ("rsa.key", "PRIVATE KEY"),
    ] {
        let original = text(name);
        for other in labels {
            let relabelled = original
                .replace(&format!("BEGIN {label}-"), &format!("BEGIN {other}-"))
                .replace(&format!("END {label}-"), &format!("END {other}-"));
            assert!(
                relabelled.contains(&format!("BEGIN {other}-----")),
                "{name}"
            );
            let key = form(&relabelled);
            assert_eq!(key, form(&original), "{name} as {other}");
            let right = match (name, &key) {
                ("client-sec1.key", key) => matches!(key, PrivateKeyDer::Sec1(_)),
                ("rsa-pkcs1.key", key) => matches!(key, PrivateKeyDer::Pkcs1(_)),
                (_, key) => matches!(key, PrivateKeyDer::Pkcs8(_)),
            };
            assert!(right, "{name} as {other}");
        }
    }
    let several = [text("client.pem"), text("rsa.key"), text("client.key")].concat();
    assert_eq!(form(&several), form(&text("rsa.key")));

    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let before = [parameters, &text("client-sec1.key")].concat();
    assert_eq!(form(&before), form(&text("client-sec1.key")));
}

#[test]
fn an_unreadable_key_is_skipped_while_one_remains() {
    let good = text("client.key");
    let bad = "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
    for text in [
        [bad, &good].concat(),
        [&good, bad].concat(),
        [text("client-encrypted.key"), good.clone()].concat(),
    ] {
        let key = private_key(text.as_bytes(), "x").unwrap();
        assert_eq!(key, private_key(good.as_bytes(), "x").unwrap());
    }
    let open_ssh =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n";
    for (text, words) in [
        (
            bad,
            "k.pem: line 1: the section holds something other than base64",
        ),
        (open_ssh, "ssh-keygen -p -m PKCS8"),
        (
            "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
            "neither a PKCS#8",
        ),
    ] {
        let shown = private_key(text.as_bytes(), "k.pem")
            .unwrap_err()
            .to_string();
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn an_encrypted_key_is_named() {
    for name in ["client-encrypted.key", "rsa-pkcs1-encrypted.key"] {
        for ending in ["\n", "\r\n", "\r", "\t\n"] {
            let text = text(name).replace('\n', ending);
            let error = private_key(text.as_bytes(), "user \"me\": client-key").unwrap_err();
            assert!(
                matches!(error, Error::EncryptedKey { .. }),
                "{name}: {error}"
            );
            assert!(error.to_string().starts_with("user \"me\": client-key: "));
        }
    }
    let error = private_key(&file("client.pem"), "x").unwrap_err();
    assert!(matches!(error, Error::NoKey { .. }));
}

#[test]
fn text_without_a_certificate_is_an_error() {
    for text in [
        &b""[..],
        b"apiVersion: v1",
        b"\xef\xbb\xbf",
        &file("client.key"),
    ] {
        let error = certificates(text, "ca.crt").unwrap_err();
        assert!(matches!(error, Error::NoCertificate { .. }));
    }
}

#[test]
fn errors_show_nothing_of_the_text() {
    let broken = "-----BEGIN PRIVATE KEY-----\nhunter2!hunter2\n-----END PRIVATE KEY-----\n";
    let cut = "-----BEGIN PRIVATE KEY-----\nhunter2\n";
    let odd = "-----BEGIN hunter2\nhunter2\n";
    for text in [broken, cut, odd] {
        let as_certificate = text.replace("PRIVATE KEY", "CERTIFICATE");
        for error in [
            private_key(text.as_bytes(), "k.pem").unwrap_err(),
            certificates(as_certificate.as_bytes(), "k.pem").unwrap_err(),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("k.pem") && shown.contains("line"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A section is found whatever text surrounds it, as in Go.
        #[test]
        fn text_around_a_section_does_not_matter(before in ".{0,80}", after in ".{0,80}") {
            let good = text("ca.pem");
            let bundle = format!("{before}\n{good}{after}");
            prop_assert_eq!(count(bundle), 1);
        }
    }
}
