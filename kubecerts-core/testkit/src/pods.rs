//! What pods on a node were given to reach the API server.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use kubecerts_core::x509::PublicKey;

use crate::{MemoryTree, path};

impl MemoryTree {
    /// Adds a pod that was given the authority `ca` and `token`, behind links as the kubelet makes them.
    pub fn add_pod(&mut self, uid: &str, ca: &[u8], token: &str) {
        let volume = pod_volume(uid);
        for (name, content) in [("ca.crt", ca), ("token", token.as_bytes())] {
            self.write(&path(&format!("{volume}/..2026_01_01/{name}")), content, 0o644);
            self.link(&format!("{volume}/{name}"), &format!("..data/{name}"));
        }
        self.link(&format!("{volume}/..data"), "..2026_01_01");
    }
}

/// Returns where the pod `uid` finds its token.
#[must_use]
pub fn pod_volume(uid: &str) -> String {
    format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-x")
}

/// Returns a token as Kubernetes signs them, by the key whose public half is `public`, in PEM; without a true signature.
#[must_use]
pub fn service_account_token(public: &[u8]) -> String {
    let key = PublicKey::parse_pem(public).expect("the public half of the key is in PEM");
    let key_id = Base64UrlUnpadded::encode_string(key.fingerprint().as_bytes());
    let header = format!("{{\"alg\":\"ES256\",\"kid\":\"{key_id}\"}}");
    let claims =
        r#"{"iss":"https://kubernetes.default.svc.cluster.local","sub":"system:serviceaccount:x:y"}"#;
    let [header, claims] =
        [header.as_str(), claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
    format!("{header}.{claims}.{TOKEN_SIGNATURE}")
}

/// What stands for the signature of a token.
pub const TOKEN_SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtaXMtYS1zZWNyZXQ";
