//! The host and path that `kubegate open` opens.

use anyhow::{Context as _, bail};

use crate::{
    kubeconfig::Slug,
    proxy::app_origin::{App, AppOrigin},
    settings::RunningProxyFlags,
};

/// A host with its port, as a browser writes them, and a path there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) path: String,
}

/// Returns the place of a target at the proxy of `proxy`: a path, or an app at its own origin.
pub(super) fn of(
    target: &str,
    (namespace, context): (&str, Option<&str>),
    proxy: &RunningProxyFlags,
) -> anyhow::Result<Place> {
    if target.starts_with('/') {
        return Ok(Place {
            host: proxy.host(),
            path: target.to_owned(),
        });
    }
    let app = app(target, namespace).with_context(|| {
        format!(
            "{target:?} is neither a path nor an app; write /PATH, svc/NAME, svc/NAME:PORT, \
             svc/https:NAME:PORT or pod/NAME"
        )
    })?;
    let (app, path) = app;
    // `*.localhost` leads browsers to these alone.
    let server = proxy.server().ip();
    if !matches!(server.to_string().as_str(), "127.0.0.1" | "::1") {
        bail!(
            "an app has an origin of its own only where the proxy listens on 127.0.0.1 or ::1, and not on \
             {server}; give a path of the API (/api/v1/namespaces/NAMESPACE/services/NAME/proxy/)"
        );
    }
    let slug = context.map(Slug::of_context);
    let name = AppOrigin { app, slug }.host();
    let name =
        name.context("this app has no host name: it would be too long, or mean another app")?;
    let port = if proxy.names_port() {
        format!(":{}", proxy.tcp.port)
    } else {
        String::new()
    };
    Ok(Place {
        host: format!("{name}{port}"),
        path,
    })
}

/// Reads `KIND/[SCHEME:]NAME[:PORT][/PATH]`.
fn app(target: &str, namespace: &str) -> Option<(App, String)> {
    let (kind, rest) = target.split_once('/')?;
    let plural = match kind {
        "svc" | "service" | "services" => "services",
        "po" | "pod" | "pods" => "pods",
        _ => return None,
    };
    let (id, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let proxy = format!("/api/v1/namespaces/{namespace}/{plural}/{id}/proxy");
    let (app, _) = App::split_path(&proxy)?;
    Some((app, path.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[arg(default_value = "/")]
        target: String,
        #[arg(short, default_value = "default")]
        namespace: String,
        #[arg(long)]
        context: Option<String>,
        #[command(flatten)]
        proxy: RunningProxyFlags,
    }

    fn place(arguments: &str) -> anyhow::Result<(String, String)> {
        let arguments = std::iter::once("open").chain(arguments.split_whitespace());
        let command = Command::try_parse_from(arguments)?;
        let context = (command.namespace.as_str(), command.context.as_deref());
        let place = of(&command.target, context, &command.proxy)?;
        Ok((place.host, place.path))
    }

    #[test]
    fn an_app_opens_at_its_own_origin() {
        for (arguments, host, path) in [
            ("", "127.0.0.1:8001", "/"),
            ("/api -p 8002", "127.0.0.1:8002", "/api"),
            (
                "svc/grafana -n monitoring",
                "grafana.monitoring.svc.localhost:8001",
                "/",
            ),
            (
                "service/grafana:3000",
                "3000.grafana.default.svc.localhost:8001",
                "/",
            ),
            (
                "svc/https:d:443/a?b -p 80",
                "https-443.d.default.svc.localhost",
                "/a?b",
            ),
            (
                "pod/web-0.x:80",
                "80.web-0.x.default.pod.localhost:8001",
                "/",
            ),
            (
                "svc/a --address 0.0.0.0",
                "a.default.svc.localhost:8001",
                "/",
            ),
        ] {
            let place = place(arguments).unwrap();
            assert_eq!(place, (host.to_owned(), path.to_owned()), "{arguments}");
        }
    }

    #[test]
    fn a_context_is_named_by_its_slug() {
        let slug = Slug::of_context("prod/eu");
        let (host, _) = place("svc/a --context prod/eu").unwrap();
        assert_eq!(host, format!("a.default.svc.{slug}.localhost:8001"));
    }

    #[test]
    fn what_is_neither_a_path_nor_an_app_is_an_error() {
        for arguments in [
            "grafana",
            "deploy/grafana",
            "svc/",
            "svc/Grafana",
            "svc/a:b:c:d",
            "svc/a -n x/y",
            "svc/a --address 10.0.0.1",
        ] {
            assert!(place(arguments).is_err(), "{arguments}");
        }
    }
}
