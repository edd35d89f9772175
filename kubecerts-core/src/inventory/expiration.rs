//! When everything ends: the rows of `kubecerts check` and of `kubeadm certs check-expiration`.

use super::{Credential, Custody, Inventory, Place, Reading};
use crate::catalog::{CaSlot, KubeconfigSlot, Slot};
use crate::snapshot::EtcdPlacement;
use crate::x509::Certificate;

/// One certificate, or its absence, as a table lists it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExpirationRow<'a> {
    /// Which certificate it is.
    pub place: Place,
    /// The certificate, or why there is none.
    pub certificate: RowState<'a>,
    /// The authority that signs it; `None` for an authority and for what signs itself.
    pub authority: Option<CaSlot>,
    /// Whether the key that signs it is kept elsewhere.
    pub externally_managed: bool,
}

/// What a row has to show.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a table shows a certificate, its absence or its damage")]
pub enum RowState<'a> {
    /// There is a certificate.
    Present(&'a Certificate),
    /// There is nothing.
    Missing,
    /// There is something that cannot be used, for this reason.
    Unusable(String),
}

impl Inventory {
    /// Returns the rows of `kubeadm certs check-expiration` for leaves and kubeconfigs, sorted by name.
    ///
    /// With an external etcd kubeadm leaves out the four leaves that etcd's authority signs. It lists super-admin.conf
    /// on every node, though most nodes have none.
    #[must_use]
    pub fn kubeadm_expirations(&self) -> Vec<ExpirationRow<'_>> {
        let external_etcd = matches!(self.node.etcd(), EtcdPlacement::External(_));
        let listed = |slot: &Slot| {
            slot.renewed_by_kubeadm() && !(external_etcd && slot.issuer() == Some(CaSlot::Etcd))
        };
        Slot::ALL.into_iter().filter(listed).filter_map(|slot| self.row(slot)).collect()
    }

    /// Returns the rows of every certificate that exists or should: kubeadm's, the kubelet's, and copies.
    #[must_use]
    pub fn expirations(&self) -> Vec<ExpirationRow<'_>> {
        let rows = self.credentials.iter().filter_map(|(place, credential)| {
            let exists = credential.certificate_file().exists;
            let shown = match place {
                Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => exists,
                Place::Slot(slot) => exists || self.node.expects(*slot),
                // A kubeconfig with a token is no certificate, damaged or not.
                Place::Copy(_) => credential.leaf().is_some(),
            };
            shown.then(|| self.row_of(place.clone(), credential))
        });
        rows.collect()
    }

    /// Returns the rows of the authorities that this node should have, and of any other that it has.
    #[must_use]
    pub fn authority_expirations(&self) -> Vec<ExpirationRow<'_>> {
        let rows = self.authorities.iter().filter(|(ca, authority)| {
            self.node.expects(Slot::Ca(**ca)) || authority.certificate_file().exists
        });
        rows.map(|(ca, authority)| ExpirationRow {
            place: Place::Slot(Slot::Ca(*ca)),
            certificate: match authority.signer() {
                Some(certificate) => RowState::Present(certificate),
                None => absence(authority.certificate()),
            },
            authority: None,
            externally_managed: authority.custody() == Custody::External,
        })
        .collect()
    }

    /// Returns the rows of the authorities in `kubeadm certs check-expiration`.
    #[must_use]
    pub fn kubeadm_authority_expirations(&self) -> Vec<ExpirationRow<'_>> {
        let mut rows = self.authority_expirations();
        rows.retain(|row| row.place.slot().is_some_and(|slot| self.node.expects(slot)));
        rows
    }

    fn row(&self, slot: Slot) -> Option<ExpirationRow<'_>> {
        let place = Place::Slot(slot);
        let credential = self.credentials.get(&place)?;
        Some(self.row_of(place, credential))
    }

    fn row_of<'a>(&'a self, place: Place, credential: &'a Credential) -> ExpirationRow<'a> {
        let authority = match &place {
            Place::Slot(slot) => slot.issuer(),
            Place::Copy(_) => Some(CaSlot::Cluster),
        };
        ExpirationRow {
            certificate: match credential.leaf() {
                Some(certificate) => RowState::Present(certificate),
                None if !credential.certificate_file().exists => RowState::Missing,
                None if credential.certificate().is_absent() => {
                    RowState::Unusable("holds no client certificate".to_owned())
                }
                None => absence(credential.certificate()),
            },
            externally_managed: authority.is_some_and(|ca| self.authority(ca).custody() == Custody::External),
            authority,
            place,
        }
    }
}

fn absence<T>(reading: &Reading<T>) -> RowState<'static> {
    match reading.problem() {
        Some(reason) => RowState::Unusable(reason),
        None => RowState::Missing,
    }
}
