//! Certificates by template are those of the plain encoder, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, Certificate, Common, Damage, DistinguishedName, ExtendedKeyUsages,
    KeyAlgorithm, KeyType, KeyUsages, PublicKey, SerialNumber, SignatureAlgorithm, Template, ToBeSigned,
    Validity, Variable, assemble, certificates,
};
use kubecerts_testkit::{FIXTURES, Fixture, TreeBuilder, at};
use proptest::prelude::*;
use proptest::sample::select;

/// Every field of a certificate.
#[derive(Clone, Debug)]
struct Fields {
    serial: SerialNumber,
    signature: SignatureAlgorithm,
    issuer: DistinguishedName,
    validity: Validity,
    subject: DistinguishedName,
    public_key: PublicKey,
    key_usages: KeyUsages,
    extended_key_usages: ExtendedKeyUsages,
    is_ca: bool,
    subject_key_identifier: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
    alternative_names: AlternativeNames,
}

impl Fields {
    fn of(certificate: &Certificate) -> Option<Self> {
        let named =
            |algorithm: &SignatureAlgorithm| algorithm.name() == certificate.signature_algorithm().as_str();
        Some(Self {
            serial: certificate.serial().clone(),
            signature: SignatureAlgorithm::ALL.into_iter().find(named)?,
            issuer: certificate.issuer().clone(),
            validity: Validity::new(certificate.not_before(), certificate.not_after()).ok()?,
            subject: certificate.subject().clone(),
            public_key: certificate.public_key().clone(),
            key_usages: certificate.key_usages()?,
            extended_key_usages: certificate.extended_key_usages().clone(),
            is_ca: certificate.is_authority(),
            subject_key_identifier: certificate.subject_key_identifier().map(<[u8]>::to_vec),
            authority_key_identifier: certificate.authority_key_identifier().map(<[u8]>::to_vec),
            alternative_names: certificate.alternative_names().clone(),
        })
    }

    fn plainly(&self) -> Result<Vec<u8>, Damage> {
        ToBeSigned {
            serial: &self.serial,
            signature: self.signature,
            issuer: &self.issuer,
            validity: self.validity,
            subject: &self.subject,
            public_key: &self.public_key,
            key_usages: self.key_usages,
            extended_key_usages: &self.extended_key_usages,
            is_ca: self.is_ca,
            subject_key_identifier: self.subject_key_identifier.as_deref(),
            authority_key_identifier: self.authority_key_identifier.as_deref(),
            alternative_names: &self.alternative_names,
        }
        .to_der()
    }

    fn template(&self) -> Template {
        Template::new(&Common {
            signature: self.signature,
            issuer: &self.issuer,
            key_usages: self.key_usages,
            extended_key_usages: &self.extended_key_usages,
            is_ca: self.is_ca,
            authority_key_identifier: self.authority_key_identifier.as_deref(),
        })
        .unwrap()
    }

    fn by_template(&self, template: &Template, out: &mut Vec<u8>) -> Result<(), Damage> {
        let variable = Variable {
            serial: &self.serial,
            validity: self.validity,
            subject: &self.subject,
            public_key: &self.public_key,
            subject_key_identifier: self.subject_key_identifier.as_deref(),
            alternative_names: &self.alternative_names,
        };
        template.encode_into(&variable, out)
    }
}

#[test]
fn every_certificate_of_every_tree_is_the_one_of_its_template() {
    let fixtures = FIXTURES.into_iter().map(|name| Fixture::named(name).tree());
    let built = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384]
        .map(|it| TreeBuilder::kubeadm().algorithm(it).build());
    let mut compared = 0;
    for tree in fixtures.chain(built) {
        for (path, content, _) in tree.files().filter(|(path, ..)| path.as_str().ends_with(".crt")) {
            for certificate in certificates(content).unwrap().into_iter().flatten() {
                let Some(fields) = Fields::of(&certificate) else { continue };
                let (template, plainly) = (fields.template(), fields.plainly().unwrap());
                let mut out = Vec::new();
                fields.by_template(&template, &mut out).unwrap();
                assert_eq!(out, plainly, "{path}");
                out.clear();
                template.assemble_into(&plainly, certificate.signature(), &mut out).unwrap();
                assert_eq!(out, assemble(&plainly, fields.signature, certificate.signature()).unwrap());
                // What kubeadm itself issued is made again to the byte.
                if plainly == certificate.to_be_signed() {
                    assert_eq!(out, certificate.as_der(), "{path}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn a_failed_certificate_leaves_the_buffer_as_it_was() {
    let tree = TreeBuilder::kubeadm().build();
    let mut fields = Fields::of(&tree.certificate("/etc/kubernetes/pki/apiserver.crt")).unwrap();
    let template = fields.template();
    for broken in [&b""[..], b"\x88", b"\x88\x05abc", b"\x88\x81\x01a", b"\x88\x01ab"] {
        fields.alternative_names = AlternativeNames::new(vec![
            AlternativeName::Dns("a".to_owned()),
            AlternativeName::Other(broken.to_vec()),
        ]);
        assert!(fields.plainly().is_err());
        let mut out = b"before".to_vec();
        assert!(matches!(fields.by_template(&template, &mut out), Err(Damage::Der { .. })));
        assert_eq!(out, b"before");
    }
    for broken in [&b""[..], b"\x30", b"\x30\x05abc", b"\x30\x01ab", b"\x30\x80\x00\x00"] {
        assert!(assemble(broken, fields.signature, b"signature").is_err());
        let mut out = b"before".to_vec();
        assert!(template.assemble_into(broken, b"signature", &mut out).is_err());
        assert_eq!(out, b"before");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_template_gives_the_bytes_of_the_plain_encoder(
        fields in any_fields(),
        other in any_fields(),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let template = fields.template();
        // What one certificate varies in leaves nothing behind for the next.
        let second = Fields {
            signature: fields.signature,
            issuer: fields.issuer.clone(),
            key_usages: fields.key_usages,
            extended_key_usages: fields.extended_key_usages.clone(),
            is_ca: fields.is_ca,
            authority_key_identifier: fields.authority_key_identifier.clone(),
            ..other
        };
        for fields in [&fields, &second, &fields] {
            let mut out = b"before".to_vec();
            let by_template = fields.by_template(&template, &mut out);
            match fields.plainly() {
                Ok(plainly) => {
                    prop_assert_eq!(by_template, Ok(()));
                    prop_assert_eq!(out.strip_prefix(b"before"), Some(&plainly[..]));
                    let mut certificate = b"before".to_vec();
                    template.assemble_into(&plainly, &signature, &mut certificate).unwrap();
                    let assembled = assemble(&plainly, fields.signature, &signature).unwrap();
                    prop_assert_eq!(certificate.strip_prefix(b"before"), Some(&assembled[..]));
                }
                Err(_) => {
                    prop_assert!(by_template.is_err());
                    prop_assert_eq!(out, b"before");
                }
            }
        }
    }
}

/// Public keys of every kind and size that there is.
static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let rsa = ["kubeadm-v120-rsa", "kubeadm-v136-rsa2048"].map(|name| Fixture::named(name).tree());
    let ecdsa = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384]
        .map(|it| TreeBuilder::kubeadm().algorithm(it).build());
    let trees = rsa.into_iter().chain(ecdsa);
    let keys: Vec<_> =
        trees.map(|tree| tree.certificate("/etc/kubernetes/pki/ca.crt").public_key().clone()).collect();
    let kinds: Vec<_> = keys.iter().map(PublicKey::key_type).collect();
    assert!(kinds.contains(&&KeyType::EcdsaP384) && kinds.contains(&&KeyType::Rsa { bits: 2048 }));
    keys
});

fn any_fields() -> impl Strategy<Value = Fields> {
    let common = (
        select(SignatureAlgorithm::ALL.to_vec()),
        any_name(),
        any_key_usages(),
        any_purposes(),
        any::<bool>(),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..140)),
    );
    let variable = (
        "[0-9a-f]{2}{1,20}".prop_filter_map("too long", |text| text.parse::<SerialNumber>().ok()),
        any_validity(),
        any_name(),
        select(&**KEYS),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..140)),
        prop::collection::vec(any_alternative_name(), 0..7),
    );
    (common, variable).prop_map(|(common, variable)| {
        let (signature, issuer, key_usages, extended_key_usages, is_ca, authority_key_identifier) = common;
        let (serial, validity, subject, public_key, subject_key_identifier, names) = variable;
        Fields {
            serial,
            signature,
            issuer,
            validity,
            subject,
            public_key,
            key_usages,
            extended_key_usages,
            is_ca,
            subject_key_identifier,
            authority_key_identifier,
            alternative_names: AlternativeNames::new(names),
        }
    })
}

/// Lengths at which the form of a length changes, for this value or for one of those around it.
fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0..40_usize,
        2 => 90..140_usize,
        2 => 220..270_usize,
        1 => 65_400..65_560_usize,
    ]
}

fn any_name() -> impl Strategy<Value = DistinguishedName> {
    let empty = DistinguishedName::parse_der(&[0x30, 0]).unwrap();
    let kubeadms = ("[a-z0-9:_ -]{0,20}", any_length(), prop::collection::vec("[a-z:é]{0,20}", 0..3));
    prop_oneof![
        1 => Just(empty),
        8 => kubeadms.prop_map(|(start, length, groups)| {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            DistinguishedName::kubeadm(&format!("{start}{}", "x".repeat(length)), &groups)
        }),
    ]
}

fn any_alternative_name() -> impl Strategy<Value = AlternativeName> {
    let text = || any_length().prop_map(|length| "n".repeat(length));
    prop_oneof![
        4 => text().prop_map(AlternativeName::Dns),
        4 => any::<std::net::IpAddr>().prop_map(AlternativeName::Ip),
        1 => text().prop_map(AlternativeName::Email),
        1 => text().prop_map(AlternativeName::Uri),
        1 => Just(AlternativeName::Other(vec![0x88, 3, 42, 3, 4])),
        1 => Just(AlternativeName::Other([&[0xa0, 0x81, 0x80][..], &[5; 128]].concat())),
        1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(AlternativeName::Other),
    ]
}

fn any_key_usages() -> impl Strategy<Value = KeyUsages> {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    prop::sample::subsequence(NAMES.to_vec(), 0..=9).prop_map(|names| KeyUsages::from_names(names).unwrap())
}

fn any_purposes() -> impl Strategy<Value = ExtendedKeyUsages> {
    let purposes = ["serverAuth", "clientAuth", "anyExtendedKeyUsage", "1.3.6.1.5.5.7.3.17"];
    prop::sample::subsequence(purposes.to_vec(), 0..=4).prop_map(|names| {
        ExtendedKeyUsages::new(names.into_iter().map(|name| name.parse().unwrap()).collect())
    })
}

fn any_validity() -> impl Strategy<Value = Validity> {
    let turns =
        ["1949-12-31T23:59:59Z", "1950-01-01T00:00:00Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z"];
    let turns: Vec<Timestamp> = turns.map(at).into_iter().chain([Timestamp::MIN, Timestamp::MAX]).collect();
    let moment = prop_oneof![
        select(turns),
        (Timestamp::MIN.unix()..=Timestamp::MAX.unix()).prop_map(Timestamp::from_unix)
    ];
    (moment.clone(), moment).prop_map(|(one, other)| Validity::new(one.min(other), one.max(other)).unwrap())
}
