//! What a run over many requests did.

use std::fmt;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::sign::SigningProfile;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::SignatureAlgorithm;
use kubecerts_host::bulk::{End, Shard, Totals};
use serde_json::{Value, json};

use super::documents::API_VERSION;
use super::text::counted;

/// A request that was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// Its place, counted from 1.
    pub(crate) position: u64,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// Why.
    pub(crate) reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, name, reason } = self;
        match name {
            Some(name) => write!(f, "request {position} ({name}): {reason}"),
            None => write!(f, "request {position}: {reason}"),
        }
    }
}

/// What a run was about.
pub(crate) struct Of {
    /// Who signed.
    pub(crate) ca: CaSlot,
    /// What for.
    pub(crate) profile: SigningProfile,
    /// With which algorithm.
    pub(crate) algorithm: SignatureAlgorithm,
    /// Which part of the requests.
    pub(crate) shard: Option<Shard>,
    /// When it was over.
    pub(crate) at: Timestamp,
}

/// Where the requests are that were refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    /// The first and the last of each row of neighbours, in order.
    ranges: Vec<[u64; 2]>,
    is_cut: bool,
}

impl Positions {
    /// Adds a position, which comes after those that are there.
    pub(crate) fn add(&mut self, position: u64) {
        if self.is_cut {
            return;
        }
        match self.ranges.last_mut() {
            Some([_, last]) if *last + 1 == position => *last = position,
            _ => {
                self.is_cut = self.ranges.len() == MOST_RANGES;
                if !self.is_cut {
                    self.ranges.push([position, position]);
                }
            }
        }
    }
}

/// The kind of document that a summary is.
pub(crate) const KIND: &str = "BulkSummary";

/// So many rows are listed, which is some 200 KiB; only an input that is bad throughout has more.
const MOST_RANGES: usize = 10_000;

/// Returns the summary, with the first of those that were refused, and the places of all.
pub(crate) fn summary(of: &Of, totals: &Totals, refused: &[Refused], positions: &Positions) -> Value {
    let Of { ca, profile, algorithm, shard, at } = of;
    let refused: Vec<Value> = refused
        .iter()
        .map(|Refused { position, name, reason }| json!({ "position": position, "name": name, "reason": reason }))
        .collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": at.to_string(),
        "authority": ca.name(),
        "profile": profile.to_string(),
        "algorithm": algorithm.name(),
        "verified": "every",
        "threads": totals.threads,
        "shard": shard.map(|shard| json!({ "index": shard.index(), "count": shard.count() })),
        "end": match &totals.end {
            Ok(End::Complete) => "complete",
            Ok(End::Refused) => "refused",
            Ok(End::Cancelled) => "cancelled",
            Err(_) => "failed",
        },
        "problem": totals.end.as_ref().err().map(ToString::to_string),
        "requests": totals.requests,
        "certificates": totals.issued,
        "alreadyThere": totals.before,
        "refused": {
            "count": totals.refused,
            "first": refused,
            "positions": positions.ranges,
            "positionsCut": positions.is_cut,
        },
        "seconds": f64::from(u32::try_from(totals.elapsed.as_millis()).unwrap_or(u32::MAX)) / 1000.0,
        "certificatesPerSecond": totals.rate(),
    })
}

/// Returns the same in one line.
pub(crate) fn told(totals: &Totals) -> String {
    let Totals { issued, before, refused, threads, elapsed, .. } = totals;
    let mut parts = vec![format!("{issued} signed")];
    if *before > 0 {
        parts.push(format!("{before} already there"));
    }
    if *refused > 0 {
        parts.push(format!("{refused} refused"));
    }
    let seconds = elapsed.as_millis();
    format!(
        "{} in {}.{} s on {}, {} certificates a second",
        parts.join(", "),
        seconds / 1000,
        seconds % 1000 / 100,
        counted(*threads, "thread"),
        totals.rate()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_row_and_the_rows_have_a_bound() {
        let mut positions = Positions::default();
        for position in [3, 101, 102, 103, 105] {
            positions.add(position);
        }
        assert_eq!(positions.ranges, [[3, 3], [101, 103], [105, 105]]);
        for number in 0..=MOST_RANGES as u64 {
            positions.add(200 + 2 * number);
        }
        assert_eq!((positions.ranges.len(), positions.is_cut), (MOST_RANGES, true));
        let last = positions.ranges[MOST_RANGES - 1];
        positions.add(last[1] + 1);
        assert_eq!(positions.ranges.last(), Some(&last));
    }
}
