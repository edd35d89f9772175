//! Which fields each version of kubeadm's configuration has (`cmd/kubeadm/app/apis/kubeadm/v1beta1` to `v1beta4`, `types.go`).

use std::fmt;
use std::str::FromStr;

/// A version of `kubeadm.k8s.io`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum ApiVersion {
    V1Beta1,
    V1Beta2,
    V1Beta3,
    V1Beta4,
}

impl ApiVersion {
    const ALL: [Self; 4] = [Self::V1Beta1, Self::V1Beta2, Self::V1Beta3, Self::V1Beta4];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Beta2 => "v1beta2",
            Self::V1Beta3 => "v1beta3",
            Self::V1Beta4 => "v1beta4",
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    /// Parses what stands behind `kubeadm.k8s.io/`.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|version| version.name() == text).ok_or(())
    }
}

/// A field, the versions that have it, and the fields below it.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) since: ApiVersion,
    pub(super) until: ApiVersion,
    /// Empty where nobody looks deeper: lists, maps with free keys, and what is not certificates' business.
    pub(super) below: &'static [Self],
}

impl Field {
    const fn within(name: &'static str, since: ApiVersion, until: ApiVersion) -> Self {
        Self { name, since, until, below: &[] }
    }

    const fn holding(self, below: &'static [Self]) -> Self {
        Self { below, ..self }
    }
}

const fn always(name: &'static str) -> Field {
    Field::within(name, ApiVersion::V1Beta1, ApiVersion::V1Beta4)
}

const fn since(name: &'static str, version: ApiVersion) -> Field {
    Field::within(name, version, ApiVersion::V1Beta4)
}

const fn until(name: &'static str, version: ApiVersion) -> Field {
    Field::within(name, ApiVersion::V1Beta1, version)
}

const VERSION: Field = always("apiVersion");
const KIND: Field = always("kind");

const REGISTRATION: &[Field] = &[
    always("name"),
    always("criSocket"),
    always("taints"),
    always("kubeletExtraArgs"),
    since("ignorePreflightErrors", ApiVersion::V1Beta2),
    since("imagePullPolicy", ApiVersion::V1Beta3),
    since("imagePullSerial", ApiVersion::V1Beta4),
];

const ENDPOINT: &[Field] = &[always("advertiseAddress"), always("bindPort")];

const PATCHES: &[Field] = &[always("directory")];

pub(super) const INIT: &[Field] = &[
    VERSION,
    KIND,
    always("bootstrapTokens"),
    always("nodeRegistration").holding(REGISTRATION),
    always("localAPIEndpoint").holding(ENDPOINT),
    since("certificateKey", ApiVersion::V1Beta2),
    since("skipPhases", ApiVersion::V1Beta3),
    since("patches", ApiVersion::V1Beta3).holding(PATCHES),
    since("dryRun", ApiVersion::V1Beta4),
    since("timeouts", ApiVersion::V1Beta4),
];

pub(super) const JOIN: &[Field] = &[
    VERSION,
    KIND,
    always("nodeRegistration").holding(REGISTRATION),
    always("caCertPath"),
    always("discovery").holding(&[
        always("bootstrapToken").holding(&[
            always("token"),
            always("apiServerEndpoint"),
            always("caCertHashes"),
            always("unsafeSkipCAVerification"),
        ]),
        always("file").holding(&[always("kubeConfigPath")]),
        always("tlsBootstrapToken"),
        until("timeout", ApiVersion::V1Beta3),
    ]),
    always("controlPlane").holding(&[
        always("localAPIEndpoint").holding(ENDPOINT),
        since("certificateKey", ApiVersion::V1Beta2),
    ]),
    since("skipPhases", ApiVersion::V1Beta3),
    since("patches", ApiVersion::V1Beta3).holding(PATCHES),
    since("dryRun", ApiVersion::V1Beta4),
    since("timeouts", ApiVersion::V1Beta4),
];

const COMPONENT: &[Field] =
    &[always("extraArgs"), always("extraVolumes"), since("extraEnvs", ApiVersion::V1Beta4)];

pub(super) const CLUSTER: &[Field] = &[
    VERSION,
    KIND,
    always("etcd").holding(&[
        always("local").holding(&[
            always("imageRepository"),
            always("imageTag"),
            always("dataDir"),
            always("extraArgs"),
            since("extraEnvs", ApiVersion::V1Beta4),
            always("serverCertSANs"),
            always("peerCertSANs"),
        ]),
        always("external").holding(&[
            always("endpoints"),
            since("httpEndpoints", ApiVersion::V1Beta4),
            always("caFile"),
            always("certFile"),
            always("keyFile"),
        ]),
    ]),
    always("networking").holding(&[always("serviceSubnet"), always("podSubnet"), always("dnsDomain")]),
    always("kubernetesVersion"),
    always("controlPlaneEndpoint"),
    always("apiServer").holding(&[
        always("extraArgs"),
        always("extraVolumes"),
        since("extraEnvs", ApiVersion::V1Beta4),
        always("certSANs"),
        until("timeoutForControlPlane", ApiVersion::V1Beta3),
    ]),
    always("controllerManager").holding(COMPONENT),
    always("scheduler").holding(COMPONENT),
    always("dns").holding(&[
        until("type", ApiVersion::V1Beta2),
        always("imageRepository"),
        always("imageTag"),
        since("disabled", ApiVersion::V1Beta4),
    ]),
    since("proxy", ApiVersion::V1Beta4).holding(&[always("disabled")]),
    always("certificatesDir"),
    always("imageRepository"),
    until("useHyperKubeImage", ApiVersion::V1Beta2),
    always("featureGates"),
    always("clusterName"),
    since("encryptionAlgorithm", ApiVersion::V1Beta4),
    since("certificateValidityPeriod", ApiVersion::V1Beta4),
    since("caCertificateValidityPeriod", ApiVersion::V1Beta4),
];
