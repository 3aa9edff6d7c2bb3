//! Credentials that others replace, twenty times each, while requests come: none is refused.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    credentials::{Home, bearer, exec, fingerprint},
    support::{Connection, Kubegate, PATIENCE, Upstream, cert, get, in_time, status},
};

const ROTATIONS: usize = 20;
/// The files of a user's two certificates.
const PAIRS: [&str; 2] = ["client", "client-purpose"];

/// Answers with the number of the client certificate that the connection was made with.
async fn certified() -> Upstream {
    let known = PAIRS.map(|name| {
        let pem = fs::read(cert(&format!("{name}.pem"))).unwrap();
        let mut chain = kubegate::tls::pem::certificates(&pem, name).unwrap();
        fingerprint(&chain.remove(0))
    });
    Upstream::tls("localhost", move |mut connection: Connection| async move {
        let handshake = connection.handshake.clone().unwrap();
        let shown = handshake.certificate.map(|der| fingerprint(&der));
        let number = known.iter().position(|known| Some(*known) == shown);
        while connection.request().await.is_some() {
            connection.answer(&format!("certificate {number:?}")).await;
        }
    })
    .await
}

/// Asks until the answer holds `mark`; every answer on the way must be good.
async fn until(kubegate: &Kubegate, mark: &str) -> usize {
    let (started, mut requests) = (Instant::now(), 0);
    loop {
        let response = get(&kubegate.address, "/x").await;
        assert_eq!(status(&response), 200, "{response}\n{}", kubegate.log());
        requests += 1;
        if response.contains(mark) {
            return requests;
        }
        assert!(started.elapsed() < PATIENCE, "no {mark}: {response}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn twenty_tokens_of_a_file_follow_each_other_unnoticed() {
    // As with a kubelet's token, the one before holds for a while after its successor came.
    let accepted = Arc::new(Mutex::new(Vec::<String>::new()));
    let book = accepted.clone();
    let upstream = Upstream::tls("localhost", move |mut connection: Connection| {
        let book = book.clone();
        async move {
            while let Some(request) = connection.request().await {
                let holds = book
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|t| t == bearer(&request.head));
                if holds {
                    connection.answer(&request.head).await;
                } else {
                    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
                    connection.write(refused).await;
                }
            }
        }
    })
    .await;
    let issue = |n: usize| {
        let token = format!("sesame-file-{n:02}");
        let mut accepted = accepted.lock().unwrap();
        accepted.push(token.clone());
        let old = accepted.len().saturating_sub(2);
        accepted.drain(..old);
        token
    };
    let home = Home::new();
    fs::write(home.path("token"), issue(0)).unwrap();
    let kubegate = home.start(&upstream, &json!({"tokenFile": "token"}));
    let mut requests = until(&kubegate, "sesame-file-00").await;
    for n in 1..=ROTATIONS {
        let token = issue(n);
        fs::write(home.path("new"), &token).unwrap();
        fs::rename(home.path("new"), home.path("token")).unwrap();
        requests += until(&kubegate, &token).await;
    }
    println!("{ROTATIONS} tokens of a file, {requests} requests, none refused");
    // The first one is refused by now.
    fs::write(home.path("token"), "sesame-file-00").unwrap();
    let refused = async {
        while status(&get(&kubegate.address, "/x").await) != 401 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(refused).await;
}

#[tokio::test]
async fn twenty_certificates_in_files_follow_each_other_unnoticed() {
    let upstream = certified().await;
    let home = Home::new();
    for name in PAIRS {
        fs::create_dir(home.path(name)).unwrap();
        for kind in ["pem", "key"] {
            let from = cert(&format!("{name}.{kind}"));
            fs::copy(from, home.path(name).join(kind)).unwrap();
        }
    }
    // Both files at once, as the kubelet swaps a mounted Secret.
    let put = |n: usize| {
        symlink(PAIRS[n % 2], home.path("..data_tmp")).unwrap();
        fs::rename(home.path("..data_tmp"), home.path("..data")).unwrap();
    };
    put(0);
    let user = json!({"client-certificate": "..data/pem", "client-key": "..data/key"});
    let kubegate = home.start(&upstream, &user);
    let mut requests = until(&kubegate, "certificate Some(0)").await;
    for n in 1..=ROTATIONS {
        put(n);
        requests += until(&kubegate, &format!("certificate Some({})", n % 2)).await;
    }
    println!("{ROTATIONS} certificates in files, {requests} requests, none refused");
    // Each connection was made with one of them, and none is used for another.
    assert!(upstream.connections() > ROTATIONS);
}

#[tokio::test]
async fn twenty_certificates_of_a_plugin_follow_each_other_unnoticed() {
    let upstream = certified().await;
    let home = Home::new();
    for (n, name) in PAIRS.into_iter().enumerate() {
        let [certificate, key] = ["pem", "key"].map(|kind| {
            let pem = fs::read_to_string(cert(&format!("{name}.{kind}"))).unwrap();
            serde_json::to_string(&pem).unwrap()
        });
        let response = format!(
            r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
            "status":{{"clientCertificateData":{certificate},"clientKeyData":{key},
            "expirationTimestamp":"@when@"}}}}"#
        );
        fs::write(home.path(&format!("answer-{n}")), response).unwrap();
    }
    home.plugin(
        "n=$(wc -l <spawns)\nend=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
         sed \"s/@when@/$end/\" answer-$(((n + 1) % 2))",
    );
    let kubegate = home.start(&upstream, &exec(&json!({})));
    let mut requests = until(&kubegate, "certificate Some(0)").await;
    for n in 1..=ROTATIONS {
        requests += until(&kubegate, &format!("certificate Some({})", n % 2)).await;
    }
    println!("{ROTATIONS} certificates of a plugin, {requests} requests, none refused");
}
