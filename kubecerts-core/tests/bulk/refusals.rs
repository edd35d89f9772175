//! What is not in order is refused and leaves no trace.

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::bulk::{Batch, BulkError, VerificationPolicy};
use kubecerts_core::issue::sign::{SignerName, SigningProfile, SigningRefusal};
use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, FixedKey, PublicKey, encode_request,
};
use kubecerts_testkit::{Fixture, Seeded};
use proptest::prelude::*;

use super::{Counter, authority, key, names, profiles, terms};

/// Something to be added to a batch of clients.
#[derive(Clone, Debug)]
enum Item {
    Key(DistinguishedName, AlternativeNames),
    Request(Vec<u8>),
}

impl Item {
    fn add(&self, batch: &mut Batch<'_>, serials: &mut Counter) -> Result<(), BulkError> {
        match self {
            Self::Key(subject, names) => batch.add_key(subject, names, &key(), serials),
            Self::Request(bytes) => batch.add_request(bytes, serials).map(drop),
        }
    }
}

const CLIENTS: SigningProfile = SigningProfile::Signer(SignerName::ApiServerClient);

fn other(der: &[u8]) -> AlternativeNames {
    AlternativeNames::new(vec![AlternativeName::Other(der.to_vec())])
}

fn any_item() -> impl Strategy<Value = Item> {
    let request = Fixture::named("kubeadm-v136-ecdsa-p256").request("scheduler.conf.csr").unwrap();
    // Damage to a request shows in its structure or in its signature, by which it proves that it has the key.
    let cut = request[..request.len() / 2].to_vec();
    let mut spoiled = request.clone();
    spoiled[request.len() / 3] ^= 1;
    let of_clients = |user: &str| DistinguishedName::kubeadm(user, &["developers"]);
    let mut items = [request, cut, spoiled].map(Item::Request).to_vec();
    items.extend([
        Item::Request(Vec::new()),
        Item::Request(b"\x30\x03\x02\x01\x00".to_vec()),
        Item::Request(encode_request(b"\x30\x00").into_bytes()),
        Item::Key(of_clients("alice"), AlternativeNames::default()),
        Item::Key(of_clients("bob"), names(&["bob", "*.example.com"])),
        Item::Key(of_clients(""), AlternativeNames::default()),
        Item::Key(DistinguishedName::parse_der(&[0x30, 0]).unwrap(), names(&["nobody"])),
        Item::Key(DistinguishedName::kubeadm("root", &["system:masters"]), AlternativeNames::default()),
        Item::Key(of_clients("carol"), names(&["a_b"])),
        Item::Key(of_clients("carol"), other(&[0x88, 3, 42, 3, 4])),
        Item::Key(of_clients("carol"), other(&[0x88, 9, 42])),
        Item::Key(of_clients("carol"), AlternativeNames::new(vec![AlternativeName::Email("é".to_owned())])),
        Item::Key(of_clients("dave"), AlternativeNames::new(vec![AlternativeName::Email("d@e".to_owned())])),
    ]);
    prop::sample::select(items)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_refused_leaves_the_batch_as_it_was(items in prop::collection::vec(any_item(), 0..12)) {
        let authority = authority(CaSlot::Cluster);
        let fixed = FixedKey::new(authority.key().public_key, authority.algorithm());
        let [mut all, mut good] = [(); 2].map(|()| Batch::new(&authority, terms(CLIENTS)).unwrap());
        let (mut of_all, mut of_good) = (Counter(0), Counter(0));
        for item in items {
            let before = all.len();
            match item.add(&mut all, &mut of_all) {
                Ok(()) => {
                    prop_assert_eq!(item.add(&mut good, &mut of_good), Ok(()));
                    prop_assert_eq!(all.len(), before + 1);
                }
                Err(error) => {
                    prop_assert!(matches!(error, BulkError::Refused(_)), "{error:?}");
                    prop_assert_eq!(all.len(), before);
                }
            }
        }
        prop_assert_eq!(of_all.0, of_good.0);
        for batch in [&mut all, &mut good] {
            batch.issue(&Seeded::provider(1), &fixed, VerificationPolicy::Every).unwrap();
        }
        prop_assert!(all.certificates().eq(good.certificates()));
    }
}

#[test]
fn names_for_which_a_profile_has_no_place_are_refused_and_not_left_out() {
    for (profile, subject, own) in profiles() {
        let authority = authority(profile.issuer());
        let mut batch = Batch::new(&authority, terms(profile)).unwrap();
        let added = batch.add_key(&subject, &names(&["extra"]), &key(), &mut Counter(0));
        if own.is_empty() {
            let refusal = SigningRefusal::AlternativeName("DNS:extra".to_owned());
            assert_eq!(added, Err(BulkError::Refused(refusal)), "{profile}");
        } else {
            assert_eq!(added, Ok(()), "{profile}");
        }
    }
}

#[test]
fn a_key_that_nobody_should_use_is_refused() {
    let (profile, subject, names) = profiles().remove(0);
    let authority = authority(profile.issuer());
    let mut batch = Batch::new(&authority, terms(profile)).unwrap();
    // Ed25519.
    let der = [&[0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0][..], &[7; 32]].concat();
    let key = PublicKey::parse_der(&der).unwrap();
    let added = batch.add_key(&subject, &names, &key, &mut Counter(0));
    assert!(matches!(added, Err(BulkError::Refused(SigningRefusal::Key(_)))), "{added:?}");
    assert!(batch.is_empty());
}

#[test]
fn without_serial_numbers_nothing_is_added() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), ProviderError> {
            Err(ProviderError::new("dry"))
        }
    }
    let (profile, subject, names) = profiles().remove(0);
    let authority = authority(profile.issuer());
    let mut batch = Batch::new(&authority, terms(profile)).unwrap();
    let added = batch.add_key(&subject, &names, &key(), &mut Dry);
    assert!(matches!(added, Err(BulkError::Failed(_))), "{added:?}");
    assert!(batch.is_empty());
}
