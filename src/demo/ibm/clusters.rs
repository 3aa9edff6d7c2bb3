//! The clusters, and how the container service describes them.

use serde_json::{Value, json};

use super::people::{ACCOUNT, STAGING_ACCOUNT};

/// A cluster.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) account: &'static str,
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) infrastructure: Infrastructure,
    /// `openshift`, or `kubernetes`.
    pub(super) openshift: bool,
    pub(super) state: &'static str,
    pub(super) public: Option<String>,
    pub(super) private: Option<String>,
    /// The CA of its API server, as there.
    pub(super) ca_pem: Option<String>,
}

/// What a cluster runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Infrastructure {
    Classic,
    Vpc,
    Satellite,
}

/// Where an API server is.
pub(super) struct Server {
    pub(super) public: String,
    pub(super) private: String,
    /// PEM; `None` where everybody trusts it already.
    pub(super) ca_pem: Option<String>,
}

/// Every cluster. Several have similar names, one has only a private endpoint, one none yet.
pub(super) fn all(iks: Server, roks: Server) -> Vec<Cluster> {
    let iks = Cluster {
        account: ACCOUNT,
        id: "bkiks0prod0000000001",
        name: "kubegate-iks",
        infrastructure: Infrastructure::Classic,
        openshift: false,
        state: "normal",
        public: Some(iks.public),
        private: Some(iks.private),
        ca_pem: iks.ca_pem,
    };
    vec![
        iks.clone(),
        Cluster {
            id: "bkiks0prod0000000002",
            name: "kubegate-iks-2",
            infrastructure: Infrastructure::Vpc,
            state: "warning",
            ..iks.clone()
        },
        Cluster {
            id: "bkroks0prod000000007",
            name: "kubegate-roks",
            infrastructure: Infrastructure::Vpc,
            openshift: true,
            public: Some(roks.public),
            private: Some(roks.private),
            ca_pem: roks.ca_pem,
            ..iks.clone()
        },
        Cluster {
            id: "bkiks0priv0000000003",
            name: "kubegate-private",
            infrastructure: Infrastructure::Vpc,
            public: None,
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
    /// An item of a list.
    pub(super) fn item(&self) -> Value {
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
            "type": if self.openshift { "openshift" } else { "kubernetes" },
            "provider": match self.infrastructure {
                Infrastructure::Classic => "classic",
                Infrastructure::Vpc => "vpc-gen2",
                Infrastructure::Satellite => "satellite",
            },
            "masterURL": self.default_url(),
            "masterKubeVersion":
                if self.openshift { "4.19.9_1550_openshift" } else { "1.35.0_1510" },
            "workerCount": 2,
        })
    }

    /// The whole cluster, with its endpoints at the top level or in an object of their own.
    pub(super) fn whole(&self, flat: bool) -> Value {
        let mut whole = self.item();
        if flat {
            if let (Some(whole), Value::Object(endpoints)) =
                (whole.as_object_mut(), self.endpoints())
            {
                whole.extend(endpoints);
            }
        } else {
            whole["serviceEndpoints"] = self.endpoints();
        }
        whole
    }

    /// The cluster as the first version has it: flat, and with another name for its URL.
    pub(super) fn first_version(&self) -> Value {
        let mut whole = self.whole(true);
        whole["serverURL"] = self.default_url().into();
        if let Some(fields) = whole.as_object_mut() {
            fields.remove("masterURL");
        }
        whole
    }

    /// The public endpoint where both are enabled.
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
