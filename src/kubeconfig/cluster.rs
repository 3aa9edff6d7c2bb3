//! Builds a [`Cluster`] from a cluster's entry and the flags.

use serde_json::Value;

use crate::kubeconfig::{
    Cluster, Error, Overrides, Pem, ProxyUrl,
    fields::{Entry, Fields},
    server_url,
};

/// Key of the extension that exec plugins get as `config`
/// (client-go's `clientcmd/api`: `ExecConfig`).
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// The fields of a cluster before validation: flags may still replace invalid values of the file.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    /// The source of `server`, for errors.
    pub(super) origin: String,
    pub(super) server: Option<String>,
    pub(super) certificate_authority: Option<Pem>,
    pub(super) insecure_skip_tls_verify: bool,
    pub(super) tls_server_name: Option<String>,
    pub(super) proxy_url: Option<ProxyUrl>,
    pub(super) disable_compression: bool,
    pub(super) exec_config: Option<Value>,
}

impl Draft {
    pub(super) fn from_entry(name: Option<&str>, entry: &Entry) -> Result<Self, Error> {
        let fields = entry.fields();
        Ok(Self {
            name: name.map(str::to_owned),
            origin: fields.origin(),
            server: fields.owned("server")?,
            certificate_authority: fields
                .pem("certificate-authority-data", "certificate-authority")?,
            insecure_skip_tls_verify: fields.flag("insecure-skip-tls-verify")?,
            tls_server_name: fields.owned("tls-server-name")?,
            proxy_url: proxy_url(&fields)?,
            disable_compression: fields.flag("disable-compression")?,
            exec_config: exec_config(&fields),
        })
    }

    /// Applies the flags as client-go's `DirectClientConfig.getCluster` does: `--server` drops the
    /// file's `tls-server-name`, and a flag about verification replaces all that the file says about
    /// it.
    pub(super) fn apply(&mut self, flags: &Overrides) -> Result<(), Error> {
        if let Some(server) = &flags.server {
            self.server = Some(server.clone());
            "flags".clone_into(&mut self.origin);
            self.tls_server_name = None;
        }
        if let Some(name) = &flags.tls_server_name {
            self.tls_server_name = Some(name.clone());
        }
        if let Some(path) = &flags.certificate_authority {
            if flags.insecure_skip_tls_verify == Some(true) {
                return Err(Error::field(
                    "flags",
                    "--certificate-authority",
                    "contradicts --insecure-skip-tls-verify; give one of them",
                ));
            }
            self.certificate_authority = Some(Pem::from_flag("--certificate-authority", path));
            self.insecure_skip_tls_verify = false;
        }
        if let Some(insecure) = flags.insecure_skip_tls_verify {
            self.insecure_skip_tls_verify = insecure;
            if insecure {
                self.certificate_authority = None;
            }
        }
        if let Some(url) = &flags.proxy_url {
            let parsed = ProxyUrl::read(url.expose()).map_err(|problem| Error::Field {
                location: "flags".to_owned(),
                field: "--proxy-url".to_owned(),
                problem: problem.to_owned(),
            })?;
            self.proxy_url = Some(parsed);
        }
        if let Some(disable) = flags.disable_compression {
            self.disable_compression = disable;
        }
        Ok(())
    }

    /// Validates the fields.
    pub(super) fn finish(self) -> Result<Cluster, Error> {
        let error = |field, problem| Error::field(&self.origin, field, problem);
        let server = self.server.as_deref().unwrap_or_default();
        if server.is_empty() {
            return Err(error("server", "is missing; set it or give --server"));
        }
        let field = if self.origin == "flags" {
            "--server"
        } else {
            "server"
        };
        let server = server_url::parse(server).map_err(|problem| error(field, problem))?;
        if self.insecure_skip_tls_verify && self.certificate_authority.is_some() {
            return Err(error(
                "insecure-skip-tls-verify",
                "contradicts certificate-authority in the same entry; remove one of them",
            ));
        }
        Ok(Cluster {
            name: self.name,
            server,
            certificate_authority: self.certificate_authority,
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            tls_server_name: self.tls_server_name,
            proxy_url: self.proxy_url,
            disable_compression: self.disable_compression,
            exec_config: self.exec_config,
        })
    }
}

fn proxy_url(fields: &Fields<'_>) -> Result<Option<ProxyUrl>, Error> {
    let parse = |text| ProxyUrl::read(text).map_err(|problem| fields.error("proxy-url", problem));
    fields.text("proxy-url")?.map(parse).transpose()
}

/// Extensions belong to other programs, so one of an unknown shape is ignored.
fn exec_config(fields: &Fields<'_>) -> Option<Value> {
    let extensions = fields.value("extensions")?.as_array()?;
    let named = |item: &&Value| item.get("name").and_then(Value::as_str) == Some(EXEC_EXTENSION);
    extensions.iter().find(named)?.get("extension").cloned()
}
