//! Flags for IBM Cloud clusters.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// A login at an IBM Cloud cluster.
// The doc comments are the help texts.
#[allow(clippy::doc_markdown, rustdoc::bare_urls)]
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct IbmFlags {
    /// Name of the saved login
    #[arg(long, value_name = "NAME")]
    pub login: Option<String>,
    /// Name or ID of the cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// File with an API key, in place of a saved login
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub apikey_file: Option<PathBuf>,
    /// Trusted profile (name, ID or CRN) to log in to with the token of the pod, or with --vpc-cri
    /// (ID or CRN) with the virtual server's identity, in place of a saved login
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Log in with the identity of this virtual server in a VPC, in place of a saved login
    #[arg(long)]
    pub vpc_cri: bool,
    /// The cluster is Red Hat OpenShift on IBM Cloud: log in at its OAuth server
    #[arg(long)]
    pub openshift: bool,
    /// URL of IAM [default: $IBMCLOUD_IAM_API_ENDPOINT, else https://iam.cloud.ibm.com]
    #[arg(long, value_name = "URL")]
    pub iam: Option<String>,
}

impl IbmFlags {
    /// Returns the arguments of `kubegate` that mean this login.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
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
        let mut args = vec!["credential".to_owned(), "ibm".to_owned()];
        for (flag, value) in values {
            args.extend(value.map(|value| format!("{flag}={value}")));
        }
        args.extend(self.vpc_cri.then(|| "--vpc-cri".to_owned()));
        args.extend(self.openshift.then(|| "--openshift".to_owned()));
        args
    }
}

/// An IBM Cloud cluster to proxy to, found by its name.
// The doc comments are the help texts.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
pub struct IbmTargetFlags {
    /// Proxy to this IBM Cloud cluster, by name or ID; all it needs is an API key in
    /// IBMCLOUD_API_KEY or --apikey-file, or a login by `kubegate login ibm`
    #[arg(long, value_name = "NAME")]
    pub ibm_cluster: Option<String>,
    /// Which endpoint of the cluster to use [default: its master URL at IBM Cloud]
    #[arg(long, value_name = "WHICH", value_enum, requires = "ibm_cluster")]
    pub ibm_endpoint: Option<IbmEndpoint>,
    /// ID of the account of the cluster
    #[arg(long, value_name = "ID", requires = "ibm_cluster")]
    pub ibm_account: Option<String>,
    /// File with an IBM Cloud API key, or - for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "ibm_cluster")]
    pub apikey_file: Option<PathBuf>,
    /// Log in to IBM Cloud with the identity of this virtual server in a VPC; its trusted profile may
    /// be in IBMCLOUD_CR_PROFILE
    #[arg(long, requires = "ibm_cluster", conflicts_with = "apikey_file")]
    pub vpc_cri: bool,
}

/// One of a cluster's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IbmEndpoint {
    /// On the internet
    Public,
    /// In IBM Cloud's private network
    Private,
    /// In the cluster's VPC
    Vpe,
    /// Through the Link of the cluster's Satellite location
    Link,
}
