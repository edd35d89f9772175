//! Makes certificate requests by the thousand, to try `kubecerts bulk sign` with.
//!
//! ```text
//! cargo run --release -p kubecerts-examples --example make_requests -- 1000000 > requests.pem
//! cargo run --release -p kubecerts-examples --example make_requests -- 1000 json 16 > requests.jsonl
//! ```
//!
//! The arguments are: how many; the form, `pem` or `json`; and among how many P-256 keys they are shared, by default 16. Each asks for
//! a user of its own, `user-1` and so on, as `--profile kubernetes.io/kube-apiserver-client` signs them. The private keys are
//! forgotten: these requests are good for nothing else.

use std::error::Error;
use std::io::{self, BufWriter, Write};

use kubecerts_core::catalog::Slot;
use kubecerts_core::issue::{KeyRequest, KeySource};
use kubecerts_core::x509::{
    DistinguishedName, KeyAlgorithm, PrivateKey, SignatureAlgorithm, assemble, encode_request,
    request_to_be_signed,
};
use kubecerts_host::crypto::{Provider, Threads};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().as_deref().unwrap_or("3").parse()?;
    let is_json = match arguments.next().as_deref() {
        Some("json") => true,
        Some("pem") | None => false,
        Some(other) => return Err(format!("the form is pem or json, not {other:?}").into()),
    };
    let keys: usize = arguments.next().as_deref().unwrap_or("16").parse()?;
    let keys = make_keys(keys.max(1))?;

    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    for (number, (key, signing_key)) in (1..=count).zip(keys.iter().cycle()) {
        let name = format!("user-{number}");
        let subject = DistinguishedName::kubeadm(&name, &["example:users"]);
        let message = request_to_be_signed(&subject, &key.public_key(), None)?;
        let signature: Signature = signing_key.sign(&message);
        let der = assemble(&message, SignatureAlgorithm::EcdsaWithSha256, signature.to_der().as_bytes())?;
        let pem = encode_request(&der);
        let written = if is_json {
            writeln!(out, "{{\"name\":\"{name}\",\"csr\":\"{}\"}}", pem.replace('\n', "\\n"))
        } else {
            out.write_all(pem.as_bytes())
        };
        match written {
            // Whoever reads has enough of them.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(out.flush()?)
}

fn make_keys(count: usize) -> Result<Vec<(PrivateKey, SigningKey)>, Box<dyn Error>> {
    let wanted = vec![KeyRequest::new(Slot::KubeletClient, KeyAlgorithm::EcdsaP256); count];
    let mut keys = Vec::new();
    for reply in Provider::new(Threads::available()).generate(&wanted)? {
        let key = reply.into_private_key();
        let signing_key = SigningKey::from_pkcs8_der(key.secret_pkcs8_der().secret_bytes())?;
        keys.push((key, signing_key));
    }
    Ok(keys)
}
