//! Flags for clusters of IBM Cloud.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// A cluster of IBM Cloud.
// The doc comments are the help's text.
#[allow(clippy::doc_markdown, rustdoc::bare_urls)]
#[derive(Args, Clone, Debug, Default)]
pub struct IbmFlags {
    /// Name of the saved login
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// Name or id of the cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// File with an API key, in place of a saved login
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub apikey_file: Option<PathBuf>,
    /// Trusted profile (name, id or CRN) to use the pod's own token with, in place of a saved login
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The cluster is Red Hat OpenShift on IBM Cloud: log in at its OAuth server
    #[arg(long)]
    pub openshift: bool,
    /// URL of IAM [default: $IBMCLOUD_IAM_API_ENDPOINT, else https://iam.cloud.ibm.com]
    #[arg(long, value_name = "URL")]
    pub iam: Option<String>,
}

impl IbmFlags {
    /// The words behind `kubegate` that say the same.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let file = self
            .apikey_file
            .as_ref()
            .map(|path| path.display().to_string());
        let values = [
            ("--login", self.login.clone()),
            ("--cluster", self.cluster.clone()),
            ("--apikey-file", file),
            ("--profile", self.profile.clone()),
            ("--iam", self.iam.clone()),
        ];
        let mut words = vec!["credential".to_owned(), "ibm".to_owned()];
        for (flag, value) in values {
            words.extend(value.map(|value| format!("{flag}={value}")));
        }
        words.extend(self.openshift.then(|| "--openshift".to_owned()));
        words
    }
}

/// A cluster of IBM Cloud to proxy to, found by its name.
// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
pub struct IbmTargetFlags {
    /// Proxy to this cluster of IBM Cloud, by name or id; an API key in IBMCLOUD_API_KEY or
    /// --apikey-file, or a login by `kubegate login ibm`, is all it needs
    #[arg(long, value_name = "NAME")]
    pub ibm_cluster: Option<String>,
    /// Which of the cluster's endpoints to use [default: what IBM Cloud calls its master URL]
    #[arg(long, value_name = "WHICH", value_enum, requires = "ibm_cluster")]
    pub ibm_endpoint: Option<IbmEndpoint>,
    /// Id of the account that the cluster is in
    #[arg(long, value_name = "ID", requires = "ibm_cluster")]
    pub ibm_account: Option<String>,
    /// File with an API key of IBM Cloud
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "ibm_cluster")]
    pub apikey_file: Option<PathBuf>,
}

/// One of a cluster's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IbmEndpoint {
    /// On the internet
    Public,
    /// In IBM Cloud's private network
    Private,
}
