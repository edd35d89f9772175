//! Public halves of private keys.

#[cfg(feature = "aws-lc")]
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use kubecerts_core::provider::PublicHalves;
use kubecerts_core::secret::SecretBytes;

/// Public halves of private keys, as fast as this machine has them.
///
/// AWS-LC multiplies the base point of P-256 in constant time, some times as fast as the core. Without the feature `aws-lc` the core
/// does everything.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct FastHalves;

impl PublicHalves for FastHalves {
    #[cfg(feature = "aws-lc")]
    fn p256_point(&self, secret: &SecretBytes) -> Option<[u8; 65]> {
        let key = PrivateKey::from_private_key(&ECDH_P256, secret.secret_bytes()).ok()?;
        key.compute_public_key().ok()?.as_ref().try_into().ok()
    }

    #[cfg(not(feature = "aws-lc"))]
    fn p256_point(&self, _: &SecretBytes) -> Option<[u8; 65]> {
        None
    }
}

#[cfg(all(test, feature = "aws-lc"))]
mod tests {
    use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use kubecerts_core::inventory::{Inventory, Reading};
    use kubecerts_core::x509::{PrivateKey as CoreKey, decode_blocks, encode_certificate};
    use kubecerts_testkit::Fixture;

    use super::*;

    #[test]
    fn the_point_is_that_of_the_key() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
        let point = FastHalves.p256_point(&SecretBytes::new(secret.as_ref().to_vec()));
        assert_eq!(point.as_ref().map(|point| &point[..]), Some(pair.public_key().as_ref()));
    }

    #[test]
    fn numbers_that_are_no_key_have_no_point() {
        for secret in [vec![0; 32], vec![0xff; 32], vec![1; 31], vec![1; 33], Vec::new()] {
            assert_eq!(FastHalves.p256_point(&SecretBytes::new(secret)), None);
        }
    }

    #[test]
    fn trees_read_as_without_it() {
        for tree in ["kubeadm-v136-ecdsa-p256", "kubeadm-v136-rsa2048", "kubeadm-v120-rsa"] {
            let snapshot = Fixture::named(tree).tree().snapshot();
            let inventory = Inventory::parse_with(&snapshot, &FastHalves);
            assert!(inventory.service_account().key.present().is_some(), "{tree}");
            assert_eq!(inventory, Inventory::parse(&snapshot), "{tree}");
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_are_found_as_without_it() {
        const KEY: &str = "/etc/kubernetes/pki/sa.key";
        let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
        let other = tree.private_key("/etc/kubernetes/pki/ca.key");
        let der = |pem: &[u8]| decode_blocks(pem).remove(0).unwrap().secret_bytes().to_vec();
        let (mut own, other) = (der(tree.read_file(KEY)), der(other.secret_pem().secret_bytes()));
        // SEQUENCE, INTEGER 1, OCTET STRING: the private half has the 32 bytes from the eighth on.
        own[7..39].copy_from_slice(&other[7..39]);
        assert!(CoreKey::parse_der(&own).is_err());
        let text = encode_certificate(&own).replace("CERTIFICATE", "EC PRIVATE KEY");
        tree.edit(KEY, |content| *content = text.into());
        let snapshot = tree.snapshot();
        let inventory = Inventory::parse_with(&snapshot, &FastHalves);
        assert!(matches!(inventory.service_account().key, Reading::Damaged(_)));
        assert_eq!(inventory, Inventory::parse(&snapshot));
    }
}
