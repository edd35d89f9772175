//! The laws that the readers of kubecerts keep, whatever they are given.
//!
//! Each function is one law over arbitrary bytes and panics when it is broken. libFuzzer calls them through
//! `fuzz_targets/`; `src/bin/smoke.rs` calls them on any stable toolchain; `fuzz/smoke.sh` does what works here.
//! A law is about what was understood: bytes that are refused are no finding, a panic or a hang on them is.

mod archive;
mod bulk;
mod explain;
mod kubeconfig;
mod seeds;

use kubecerts_core::catalog::{Directories, Layout, LeafSlot, PathSource};
use kubecerts_core::inspection::inspect;
use kubecerts_core::manifest::{KubeadmConfig, KubeletConfig, StaticPod};
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{ClusterIntent, IssuerRef, Plan};
use kubecerts_core::x509::{
    AlternativeName, Certificate, CertificateRequest, DistinguishedName, PrivateKey, PublicKey, SerialNumber,
    certificates, decode_blocks, encode_certificate, encode_public_key,
};

pub use archive::archive;
pub use bulk::{bulk_requests, cluster_line};
pub use explain::explain;
pub use kubeconfig::kubeconfig;
pub use seeds::{seeds, tokens};

/// A law over arbitrary bytes.
pub type Law = fn(&[u8]);

/// Every law by the name of its target.
pub const LAWS: [(&str, Law); 11] = [
    ("archive", archive),
    ("bulk_requests", bulk_requests),
    ("certificate", certificate),
    ("cluster_line", cluster_line),
    ("explain", explain),
    ("key", key),
    ("kubeadm_config", kubeadm_config),
    ("kubeconfig", kubeconfig),
    ("manifest", manifest),
    ("pem", pem),
    ("plan_document", plan_document),
];

/// Whatever decodes as PEM encodes again, and decodes to the same bytes.
pub fn pem(data: &[u8]) {
    for block in decode_blocks(data).into_iter().flatten() {
        let content = block.secret_bytes();
        for (text, label) in
            [(encode_certificate(content), "CERTIFICATE"), (encode_public_key(content), "PUBLIC KEY")]
        {
            let again = decode_blocks(text.as_bytes());
            let [Ok(only)] = again.as_slice() else { panic!("one block was encoded, not {again:?}") };
            assert_eq!((only.label(), only.secret_bytes()), (label, content));
            assert!(!only.is_encrypted(), "nothing was encrypted");
        }
    }
}

/// A certificate that parses is the bytes that it was parsed from, and so are its names; requests and whole files are
/// survived.
pub fn certificate(data: &[u8]) {
    let _ = CertificateRequest::parse(data);
    let _ = inspect(data);
    if let Ok(certificate) = Certificate::parse_der(data) {
        assert_eq!(certificate.as_der(), data, "a certificate keeps its bytes");
        same_again(&certificate);
    }
    for certificate in certificates(data).into_iter().flatten().flatten() {
        same_again(&certificate);
    }
}

fn same_again(certificate: &Certificate) {
    assert_eq!(Certificate::parse_der(certificate.as_der()).as_ref(), Ok(certificate));
    for name in [certificate.subject(), certificate.issuer()] {
        assert_eq!(DistinguishedName::parse_der(name.as_der()).as_ref(), Ok(name));
    }
    let key = certificate.public_key();
    assert_eq!(PublicKey::parse_der(key.as_der()).as_ref(), Ok(key));
    for name in certificate.alternative_names().as_slice() {
        // Characters that a terminal must not see are escaped when a name is shown, and an empty name cannot be given.
        if is_plain(name) {
            assert_eq!(name.to_string().parse().as_ref(), Ok(name), "{name} is another name");
        }
    }
    let serial = certificate.serial();
    // A number that is padded with zeros keeps its bytes, and is shown without them.
    let is_padded = matches!(serial.as_bytes(), [0, next, ..] if *next < 0x80);
    if serial.is_positive() && serial.as_bytes().len() <= 20 && !is_padded {
        assert_eq!(serial.to_string().parse::<SerialNumber>().as_ref(), Ok(serial));
    }
    let _ = (certificate.is_authority(), certificate.is_self_issued(), certificate.verify_signature(key));
    let _ = (serial.to_decimal(), certificate.not_before().civil(), certificate.not_after().to_string());
}

fn is_plain(name: &AlternativeName) -> bool {
    match name {
        AlternativeName::Dns(text) | AlternativeName::Email(text) | AlternativeName::Uri(text) => {
            !text.is_empty() && text.escape_debug().eq(text.chars())
        }
        _ => true,
    }
}

/// A private key that parses is written as PEM, and as PKCS#8, that parse to the same public key.
pub fn key(data: &[u8]) {
    // The time to check an RSA key grows with the cube of its length, and no key that is used is so long.
    if data.len() > 8192 {
        return;
    }
    let _ = PublicKey::parse_pem(data);
    let Ok(key) = PrivateKey::parse(data) else { return };
    let public = key.public_key();
    assert_eq!(*public.key_type(), key.key_type());
    let pem = PrivateKey::parse(key.secret_pem().secret_bytes()).expect("a key that was written can be read");
    assert_eq!(pem.public_key(), public);
    let pkcs8 = key.secret_pkcs8_der();
    let pkcs8 = PrivateKey::parse_pkcs8(pkcs8.secret_bytes()).expect("PKCS#8 that was written can be read");
    assert_eq!(pkcs8.public_key(), public);
}

/// Manifests and configurations are read or refused, and every path that comes out is absolute and normalised.
pub fn manifest(data: &[u8]) {
    if let Ok(pod) = StaticPod::parse(data) {
        let _ = (pod.name(), pod.component(), pod.image(), pod.version());
        let flags =
            ["client-ca-file", "tls-cert-file", "tls-private-key-file", "cert-file", "trusted-ca-file"];
        let named = flags.into_iter().flat_map(|flag| pod.flag_values(flag));
        let fixed = ["/", "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/../../x", "etc", "//a/./b/", ""];
        for path in named.chain(fixed) {
            pod.host_path(path).iter().for_each(normalised);
        }
    }
    if let Ok(config) = KubeadmConfig::parse(data) {
        config.certificates_dir().into_iter().for_each(normalised);
    }
    if let Ok(config) = KubeletConfig::parse(data) {
        let paths = [config.static_pod_path(), config.client_ca_file(), config.tls_cert_file()];
        paths.into_iter().chain([config.tls_private_key_file()]).flatten().for_each(normalised);
    }
}

/// A configuration asks only for names that kubeadm puts into certificates, each once; what is odd about it has a place in it.
pub fn kubeadm_config(data: &[u8]) {
    let Ok(nodes) = KubeadmConfig::parse_nodes(data) else { return };
    for config in nodes.into_iter().chain(KubeadmConfig::parse(data)) {
        let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        for remark in config.remarks() {
            assert!(remark.place().line as usize <= lines, "{remark}");
            assert!(remark.place().line > 0 && remark.place().column > 0, "{remark}");
        }
        for contradiction in config.contradictions() {
            assert!(contradiction.first.place <= contradiction.second.place, "{contradiction}");
        }
        let found = ClusterIntent::from_config(&config, None, None);
        let Ok(intent) = found else { continue };
        assert!(config.contradictions().is_empty(), "a contradiction is nothing to be made");
        for leaf in LeafSlot::ALL {
            let names = intent.alternative_names(leaf);
            for (index, name) in names.iter().enumerate() {
                let text = match name {
                    AlternativeName::Dns(text) => text.clone(),
                    AlternativeName::Ip(address) => address.to_string(),
                    other => panic!("{other} is no name of kubeadm's"),
                };
                assert_eq!(AlternativeName::of_kubeadm(&text).as_ref(), Some(name));
                assert!(!names[..index].contains(name), "{name} is there twice");
            }
        }
    }
}

fn normalised(path: &TreePath) {
    let text = path.as_str();
    assert!(text.starts_with('/') && !text.contains('\0'), "{text:?} is not absolute");
    assert!(text == "/" || text[1..].split('/').all(|part| !["", ".", ".."].contains(&part)), "{text:?}");
    assert_eq!(TreePath::parse(text).as_ref(), Ok(path));
}

/// A plan that is read writes to files of the layout only, files of its own slots, no secret open to everybody; and it
/// is written as a document that reads as the same plan.
pub fn plan_document(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(plan) = Plan::from_json(text) else { return };
    let layout = Layout::kubeadm(&Directories::default(), PathSource::Default);
    for step in plan.steps() {
        for write in step.writes() {
            let file = write.file();
            assert_eq!(file.slot(), step.slot(), "a step writes its own files");
            assert_eq!(layout.slot_of(layout.path(file)), Some(file), "a write stays within the layout");
            assert!(!file.is_secret() || write.mode() & 0o007 == 0, "{file} would be open to everybody");
            assert_eq!(write.mode() & !0o777, 0, "a mode is permissions and nothing else");
        }
        if let Some(certificate) = step.certificate() {
            assert_eq!(
                certificate.issuer.authority(),
                step.slot().issuer(),
                "the catalogue's authority signs"
            );
            assert_eq!(
                matches!(certificate.issuer, IssuerRef::Existing { .. }),
                !step.is_creation() && !step.is_extension(),
                "an authority that exists renews and makes nothing new"
            );
        }
    }
    let written = plan.to_json();
    assert_eq!(Plan::from_json(&written).as_ref(), Ok(&plan));
    assert_eq!(Plan::from_json(&written).map(|plan| plan.to_json()).as_ref(), Ok(&written));
}
