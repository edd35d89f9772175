//! One broken tree for each finding, which has it and no other.
//!
//! Every tree is kubeadm's default one, made 2026-01-01 and valid for a year with authorities for ten, without
//! kubelet.conf, and with one thing broken. The entries are the tests; together they are the table that is compared
//! with [`FindingCode::ALL`] and with `docs/findings.md`. Each module has the entries of one kind, and tells what is no finding.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the documentation is read")]

use std::collections::BTreeSet;
use std::fs;

use kubecerts_core::diagnosis::FindingCode;

/// Defines one test for each broken tree, and the table of all codes that are so tested.
macro_rules! broken_trees {
    ($($test:ident: $code:ident => $codes:expr;)+) => {
        $(
            #[test]
            fn $test() {
                assert_eq!($codes, [FindingCode::$code]);
            }
        )+

        pub(crate) const TABLE: &[FindingCode] = &[$(FindingCode::$code),+];
    };
}

mod causes;
mod fleet;
mod healthy;
mod manifests;
mod remedies;
mod running;
mod support;
mod surroundings;
mod tree;

/// The tables of all modules.
const TABLES: [&[FindingCode]; 6] =
    [causes::TABLE, fleet::TABLE, manifests::TABLE, running::TABLE, surroundings::TABLE, tree::TABLE];

#[test]
fn every_code_has_a_broken_tree() {
    let table: BTreeSet<FindingCode> = TABLES.into_iter().flatten().copied().collect();
    assert_eq!(table, FindingCode::ALL.into_iter().collect());
}

#[test]
fn every_code_has_an_entry_in_the_documentation_in_the_order_of_names() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
    let text = fs::read_to_string(file).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings, FindingCode::ALL.map(FindingCode::name));
}
