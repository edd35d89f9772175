//! How many signatures are verified, and what happens when one is wrong.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::bulk::{Batch, VerificationPolicy};
use kubecerts_core::issue::sign::{SigningError, SigningProfile};
use kubecerts_core::issue::{IssueError, Signature, Signer, SigningRequest};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::x509::{FixedKey, SignedMessage, ToBeSigned, Validity, Verifier, assemble};
use kubecerts_testkit::Seeded;

use super::{Counter, TREE, authority, key, parsed, profiles, terms};

/// Signs, and spoils the signature of one request; or gives some too few or too many.
struct Spoiling {
    wrong: Option<usize>,
    surplus: isize,
}

impl Signer for Spoiling {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let mut signatures = Seeded::provider(1).sign(requests)?;
        if let Some(wrong) = self.wrong {
            // The signature of another message: well-formed, and by the right key.
            let other = requests[(wrong + 1) % requests.len()];
            signatures[wrong] = Seeded::provider(1).sign(&[other])?.remove(0);
        }
        match self.surplus {
            0 => {}
            1.. => signatures.push(signatures[0].clone()),
            _ => drop(signatures.pop()),
        }
        Ok(signatures)
    }
}

/// Notes which messages it is asked about and answers as it is told.
struct Asking<'a> {
    messages: RefCell<Vec<Vec<u8>>>,
    calls: RefCell<usize>,
    inner: Option<&'a FixedKey>,
}

impl Verifier for Asking<'_> {
    fn first_invalid(&self, signed: &[SignedMessage<'_>]) -> Option<usize> {
        *self.calls.borrow_mut() += 1;
        self.messages.borrow_mut().extend(signed.iter().map(|signed| signed.message.to_vec()));
        self.inner.and_then(|inner| inner.first_invalid(signed))
    }
}

fn asking(inner: Option<&FixedKey>) -> Asking<'_> {
    Asking { messages: RefCell::default(), calls: RefCell::default(), inner }
}

fn filled(authority: &kubecerts_core::issue::bulk::BulkAuthority, count: usize) -> Batch<'_> {
    let (profile, subject, names) = profiles().remove(0);
    let mut batch = Batch::new(authority, terms(profile)).unwrap();
    let mut serials = Counter(0);
    for _ in 0..count {
        batch.add_key(&subject, &names, &key(), &mut serials).unwrap();
    }
    batch
}

#[test]
fn certificates_of_the_last_issue_are_gone_once_something_was_added() {
    let authority = authority(CaSlot::Cluster);
    let (_, subject, names) = profiles().remove(0);
    let mut batch = filled(&authority, 2);
    let issue = |batch: &mut Batch<'_>| {
        batch.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
    };
    issue(&mut batch);
    assert_eq!(batch.certificates().len(), 2);
    batch.add_key(&subject, &names, &key(), &mut Counter(7)).unwrap();
    assert_eq!((batch.len(), batch.certificates().len()), (3, 0));
    issue(&mut batch);
    assert_eq!(batch.certificates().len(), 3);
}

#[test]
fn every_signature_is_verified_unless_somebody_says_otherwise() {
    assert_eq!(VerificationPolicy::default(), VerificationPolicy::Every);
}

#[test]
fn one_wrong_signature_anywhere_in_a_batch_leaves_no_certificate() {
    let authority = authority(CaSlot::Cluster);
    let fixed = FixedKey::new(authority.key().public_key, authority.algorithm());
    let mut batch = filled(&authority, 5);
    for wrong in 0..5 {
        let signer = Spoiling { wrong: Some(wrong), surplus: 0 };
        let refused = batch.issue(&signer, &fixed, VerificationPolicy::Every);
        assert!(matches!(refused, Err(SigningError::Issue(IssueError::WrongSignature { .. }))), "{wrong}");
        assert_eq!((batch.certificates().len(), batch.len()), (0, 5));
    }
    // What was added is still there, and a signer that does its work gets it signed.
    batch.issue(&Spoiling { wrong: None, surplus: 0 }, &fixed, VerificationPolicy::Every).unwrap();
    assert_eq!(batch.certificates().len(), 5);
    // A failure after that takes the certificates of before away.
    batch.issue(&Spoiling { wrong: Some(4), surplus: 0 }, &fixed, VerificationPolicy::Every).unwrap_err();
    assert_eq!(batch.certificates().len(), 0);
}

#[test]
fn each_policy_looks_at_the_signatures_that_it_names() {
    let authority = authority(CaSlot::Cluster);
    for (policy, seen) in [
        (VerificationPolicy::Every, vec![0, 1, 2, 3, 4, 5, 6]),
        (VerificationPolicy::Sample(NonZeroUsize::MIN), vec![0, 1, 2, 3, 4, 5, 6]),
        (VerificationPolicy::Sample(NonZeroUsize::new(3).unwrap()), vec![0, 3, 6]),
        (VerificationPolicy::Sample(NonZeroUsize::new(7).unwrap()), vec![0]),
        (VerificationPolicy::Sample(NonZeroUsize::MAX), vec![0]),
        (VerificationPolicy::None, vec![]),
    ] {
        let mut batch = filled(&authority, 7);
        let verifier = asking(None);
        batch.issue(&Seeded::provider(1), &verifier, policy).unwrap();
        let messages: Vec<Vec<u8>> =
            parsed(&batch).iter().map(|certificate| certificate.to_be_signed().to_vec()).collect();
        let expected: Vec<Vec<u8>> = seen.iter().map(|index: &usize| messages[*index].clone()).collect();
        assert_eq!(verifier.messages.into_inner(), expected, "{policy:?}");
        assert_eq!(verifier.calls.into_inner(), usize::from(!seen.is_empty()));
    }
}

#[test]
fn a_sample_finds_what_it_looks_at_and_nothing_else() {
    let authority = authority(CaSlot::Cluster);
    let fixed = FixedKey::new(authority.key().public_key, authority.algorithm());
    let mut batch = filled(&authority, 5);
    let sample = VerificationPolicy::Sample(NonZeroUsize::new(2).unwrap());
    for wrong in 0..5 {
        let verifier = asking(Some(&fixed));
        let issued = batch.issue(&Spoiling { wrong: Some(wrong), surplus: 0 }, &verifier, sample);
        assert_eq!(issued.is_err(), wrong % 2 == 0, "{wrong}");
    }
}

#[test]
fn a_signer_that_gives_too_few_or_too_many_is_an_error_under_every_policy() {
    let authority = authority(CaSlot::Cluster);
    for policy in [VerificationPolicy::Every, VerificationPolicy::None] {
        for surplus in [-1, 1] {
            let mut batch = filled(&authority, 3);
            let issued = batch.issue(&Spoiling { wrong: None, surplus }, &asking(None), policy);
            let given = if surplus > 0 { 4 } else { 2 };
            let expected = IssueError::Count { what: "signatures", asked: 3, given };
            assert_eq!(issued, Err(SigningError::Issue(expected)));
            assert_eq!(batch.certificates().len(), 0);
        }
    }
}

#[test]
fn a_batch_with_nothing_in_it_gives_nothing() {
    let authority = authority(CaSlot::Cluster);
    let mut batch = filled(&authority, 0);
    batch.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
    assert_eq!((batch.certificates().len(), batch.is_empty()), (0, true));
}

#[test]
fn a_cleared_batch_begins_anew() {
    let authority = authority(CaSlot::Cluster);
    let mut used = filled(&authority, 3);
    used.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
    used.clear();
    assert_eq!((used.len(), used.certificates().len()), (0, 0));
    let (_, subject, names) = profiles().remove(0);
    used.add_key(&subject, &names, &key(), &mut Counter(0)).unwrap();
    used.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
    let mut fresh = filled(&authority, 1);
    fresh.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
    assert!(used.certificates().eq(fresh.certificates()));
}

#[test]
fn certificates_of_every_profile_are_those_of_the_plain_encoder() {
    for (profile, subject, names) in profiles() {
        let authority = authority(profile.issuer());
        let mut batch = Batch::new(&authority, terms(profile)).unwrap();
        batch.add_key(&subject, &names, &key(), &mut Counter(0)).unwrap();
        batch.issue(&Seeded::provider(1), &asking(None), VerificationPolicy::Every).unwrap();
        let [certificate] = parsed(&batch).try_into().unwrap();
        let plainly = ToBeSigned {
            serial: certificate.serial(),
            signature: authority.algorithm(),
            issuer: certificate.issuer(),
            validity: Validity::new(certificate.not_before(), certificate.not_after()).unwrap(),
            subject: &subject,
            public_key: &key(),
            key_usages: certificate.key_usages().unwrap(),
            extended_key_usages: certificate.extended_key_usages(),
            is_ca: false,
            subject_key_identifier: None,
            authority_key_identifier: certificate.authority_key_identifier(),
            alternative_names: &names,
        };
        let message = plainly.to_der().unwrap();
        assert_eq!(certificate.to_be_signed(), message, "{profile}");
        let assembled = assemble(&message, authority.algorithm(), certificate.signature()).unwrap();
        assert_eq!(certificate.as_der(), assembled, "{profile}");
        // The usages are those of the certificate that kubeadm's rules made for the same slot.
        if let SigningProfile::Slot(slot) = profile {
            let inventory = TREE.inventory();
            let own = inventory.credential(slot).and_then(|credential| credential.leaf()).unwrap();
            assert_eq!(certificate.key_usages(), own.key_usages(), "{profile}");
            assert_eq!(certificate.extended_key_usages(), own.extended_key_usages(), "{profile}");
        }
    }
}
