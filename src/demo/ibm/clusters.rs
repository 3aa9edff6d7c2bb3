//! The clusters, and their descriptions by the container service.

use serde_json::{Value, json};

use super::fixtures::{ACCOUNT, STAGING_ACCOUNT};

/// A cluster of an account.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) account: &'static str,
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) infrastructure: Infrastructure,
    /// Whether its type is `openshift`, not `kubernetes`.
    pub(super) is_openshift: bool,
    pub(super) state: &'static str,
    /// URL of the public endpoint, if it has one.
    pub(super) public: Option<String>,
    /// URL of the private endpoint, if it has one.
    pub(super) private: Option<String>,
    /// URL of the endpoint in its VPC, if it is in one.
    pub(super) vpe: Option<String>,
    /// URL of the endpoint of its Satellite location, if it is in one. Only a kubeconfig names it.
    pub(super) link: Option<String>,
    /// See [`ApiServer::ca_pem`].
    pub(super) ca_pem: Option<String>,
}

/// The infrastructure that a cluster runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Infrastructure {
    Classic,
    Vpc,
    Satellite,
}

/// The endpoints of an API server.
pub(super) struct ApiServer {
    pub(super) public: String,
    pub(super) private: String,
    pub(super) vpe: String,
    pub(super) link: String,
    /// The CA of its certificate; `None` if it is the cloud's CA, which clients trust already.
    pub(super) ca_pem: Option<String>,
}

/// All clusters. Several have similar names, one has only a private endpoint, and one is still
/// being deployed and has no endpoint.
pub(super) fn all(iks: ApiServer, roks: ApiServer) -> Vec<Cluster> {
    let vpe = Some(iks.vpe);
    let link = Some(iks.link);
    let iks = Cluster {
        account: ACCOUNT,
        id: "bkiks0prod0000000001",
        name: "kubegate-iks",
        infrastructure: Infrastructure::Classic,
        is_openshift: false,
        state: "normal",
        public: Some(iks.public),
        private: Some(iks.private),
        vpe: None,
        link: None,
        ca_pem: iks.ca_pem,
    };
    vec![
        iks.clone(),
        Cluster {
            id: "bkiks0prod0000000002",
            name: "kubegate-iks-2",
            infrastructure: Infrastructure::Vpc,
            state: "warning",
            vpe: vpe.clone(),
            ..iks.clone()
        },
        Cluster {
            id: "bkroks0prod000000007",
            name: "kubegate-roks",
            infrastructure: Infrastructure::Vpc,
            is_openshift: true,
            public: Some(roks.public),
            private: Some(roks.private),
            vpe: Some(roks.vpe),
            ca_pem: roks.ca_pem,
            ..iks.clone()
        },
        Cluster {
            id: "bkiks0priv0000000003",
            name: "kubegate-private",
            infrastructure: Infrastructure::Vpc,
            public: None,
            vpe,
            ..iks.clone()
        },
        Cluster {
            id: "bkiks0young000000004",
            name: "kubegate-young",
            infrastructure: Infrastructure::Vpc,
            state: "deploying",
            public: None,
            private: None,
            ..iks.clone()
        },
        Cluster {
            id: "bkiks0edge0000000005",
            name: "edge-satellite",
            infrastructure: Infrastructure::Satellite,
            link,
            ..iks.clone()
        },
        Cluster {
            account: STAGING_ACCOUNT,
            id: "bkiks0stag0000000006",
            name: "staging-iks",
            ..iks
        },
    ]
}

impl Cluster {
    /// The cluster as an item of a list.
    pub(super) fn summary(&self) -> Value {
        let (region, location) = match self.infrastructure {
            Infrastructure::Classic => ("us-south", "Dallas"),
            Infrastructure::Vpc => ("eu-de", "Frankfurt"),
            Infrastructure::Satellite => ("us-east", "satloc_demo"),
        };
        json!({
            "id": self.id,
            "name": self.name,
            "region": region,
            "location": location,
            "resourceGroup": "caf60fc4514c420c86d2040feb352ef2",
            "resourceGroupName": "default",
            "state": self.state,
            "status": if self.state == "deploying" { "Deploying" } else { "All Workers Normal" },
            "type": if self.is_openshift { "openshift" } else { "kubernetes" },
            "provider": match self.infrastructure {
                Infrastructure::Classic => "classic",
                Infrastructure::Vpc => "vpc-gen2",
                Infrastructure::Satellite => "satellite",
            },
            "masterURL": self.default_url(),
            "masterKubeVersion":
                if self.is_openshift { "4.19.9_1550_openshift" } else { "1.35.0_1510" },
            "workerCount": 2,
        })
    }

    /// The cluster with its endpoints, as top-level fields or under `serviceEndpoints`.
    pub(super) fn details(&self, flat: bool) -> Value {
        let mut details = self.summary();
        if flat {
            if let (Some(details), Value::Object(endpoints)) =
                (details.as_object_mut(), self.endpoints())
            {
                details.extend(endpoints);
            }
        } else {
            details["serviceEndpoints"] = self.endpoints();
        }
        if let Some(vpe) = &self.vpe {
            details["virtualPrivateEndpointURL"] = vpe.as_str().into();
        }
        details
    }

    /// The cluster in API version 1: with top-level endpoints, and `serverURL` in place of
    /// `masterURL`.
    pub(super) fn details_v1(&self) -> Value {
        let mut details = self.details(true);
        details["serverURL"] = self.default_url().into();
        if let Some(fields) = details.as_object_mut() {
            fields.remove("masterURL");
        }
        details
    }

    /// The public endpoint if it is enabled, else the private one; empty if there is none.
    pub(super) fn default_url(&self) -> &str {
        let url = self.public.as_deref().or(self.private.as_deref());
        url.unwrap_or_default()
    }

    fn endpoints(&self) -> Value {
        json!({
            "privateServiceEndpointEnabled": self.private.is_some(),
            "privateServiceEndpointURL": self.private.as_deref().unwrap_or_default(),
            "publicServiceEndpointEnabled": self.public.is_some(),
            "publicServiceEndpointURL": self.public.as_deref().unwrap_or_default(),
        })
    }
}
