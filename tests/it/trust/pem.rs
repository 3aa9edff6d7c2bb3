//! PEM files of various forms are read as by kubectl, and sections that cannot be read are named.

use tempfile::TempDir;

use super::*;

fn text(name: &str) -> String {
    std::fs::read_to_string(cert(name)).unwrap()
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

const NOT_BASE64: &str = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";

#[tokio::test]
async fn an_unreadable_section_of_a_ca_bundle_is_skipped_with_a_warning() {
    let folder = TempDir::new().unwrap();
    let no_end = text("other-ca.pem").replace("-----END CERTIFICATE-----\n", "");
    let bundle = format!("# ours\n{NOT_BASE64}{no_end}{}", text("ca.pem"));
    let bundle = file(&folder, "bundle.pem", bundle.replace('\n', "\r\n"));
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let trust = ["--certificate-authority".to_owned(), bundle.clone()];
    let kubegate = Kubegate::spawn(command(&upstream.url(), &trust));
    all_answered(&kubegate, &upstream, &["sesame"]).await;
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    for place in [
        "line 2: the section holds something",
        "line 5: the section has no END",
    ] {
        let warnings: Vec<_> = log.lines().filter(|line| line.contains(place)).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(
            warnings[0].contains("WARN") && warnings[0].contains(&bundle),
            "{log}"
        );
    }

    // A skipped section is not trusted: the control for the section without END.
    let trust = ["--certificate-authority".to_owned(), bundle];
    refused("self-signed", "localhost", &trust, &["not issued by"]).await;
}

#[tokio::test]
async fn an_unreadable_ca_bundle_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let bundle = file(&folder, "bundle.pem", NOT_BASE64);
    let trust = ["--certificate-authority".to_owned(), bundle.clone()];
    let ended = Kubegate::refused(command("https://localhost:1", &trust));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let words = "holds no certificate that can be read: line 1: the section holds";
    assert!(
        ended.stderr.contains(words) && ended.stderr.contains(&bundle),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_client_certificate_and_its_key_may_share_a_file() {
    let folder = TempDir::new().unwrap();
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let key = text("client-sec1.key").replace("EC PRIVATE KEY", "RSA PRIVATE KEY");
    let all = format!(
        "\u{feff}{parameters}{key}{NOT_BASE64}{}",
        text("client.pem")
    );
    let all = file(&folder, "all.pem", all.replace("-----\n", "-----\t\n"));
    let with = |certificate: &str, key: &str| {
        let flags = ["--client-certificate", certificate, "--client-key", key];
        [&trusting("ca")[..], &flags.map(str::to_owned)].concat()
    };
    answered(
        "localhost",
        "localhost",
        &with(&all, &all),
        &["client=client.pem"],
    )
    .await;

    // A key of another certificate, and keys with a passphrase.
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    for (key, words) in [
        (
            "localhost.key",
            ["localhost.key", "does not belong to the certificate in"],
        ),
        (
            "rsa-pkcs1-encrypted.key",
            ["rsa-pkcs1-encrypted.key", "is encrypted"],
        ),
        (
            "client-encrypted.key",
            ["client-encrypted.key", "is encrypted"],
        ),
    ] {
        let key = cert(key).display().to_string();
        let ended = Kubegate::refused(command(&upstream.url(), &with(&all, &key)));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{}", ended.stderr);
        }
    }
    assert_eq!(upstream.bytes(), 0);
}
