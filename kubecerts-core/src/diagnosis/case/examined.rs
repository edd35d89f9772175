//! How much was looked at, for somebody who is told that nothing is wrong.

use std::fmt;

use crate::catalog::FileSlot;
use crate::inventory::Inventory;
use crate::observation::Observations;

/// How much was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Examined {
    /// Files of the tree that exist.
    pub files: usize,
    /// Certificates, in the tree and in copies of kubeconfigs.
    pub certificates: usize,
    /// Files with certificates around the tree.
    pub surroundings: usize,
    /// Endpoints that were shaken hands with.
    pub endpoints: usize,
    /// Programs that were seen to run.
    pub programs: usize,
}

impl Examined {
    /// Counts what is in `inventory` and in `observations`.
    #[must_use]
    pub fn of(inventory: &Inventory, observations: &Observations) -> Self {
        let authorities = crate::catalog::CaSlot::ALL.into_iter();
        let authorities = authorities.filter(|ca| inventory.authority(*ca).signer().is_some()).count();
        let leaves = inventory.credentials().filter(|(_, credential)| credential.leaf().is_some()).count();
        Self {
            files: FileSlot::all().filter(|file| inventory.file(*file).exists).count(),
            certificates: authorities + leaves,
            surroundings: inventory.surroundings().certificates.len(),
            endpoints: observations.sightings.len(),
            programs: observations.runs.len(),
        }
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, certificates, surroundings, endpoints, programs } = *self;
        write!(f, "{} and {}", counted(certificates, "certificate"), counted(files, "file"))?;
        if surroundings > 0 {
            write!(f, ", {} around them", counted(surroundings, "file"))?;
        }
        if endpoints + programs > 0 {
            write!(f, "; {} and {}", counted(endpoints, "endpoint"), counted(programs, "program"))?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
