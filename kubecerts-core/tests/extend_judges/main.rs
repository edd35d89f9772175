//! Old leaves against extended authorities in the eyes of other people's code: webpki, OpenSSL and Python's cryptography.
//!
//! Each tree has three certificates of every authority: kubeadm's own, one that ends soon, and the extended one. Each was made
//! with the same key, and each leaf by the first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the judges read files")]
#![expect(clippy::disallowed_types, reason = "two of the judges are programs")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use kubecerts_core::catalog::{CaSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::issue;
use kubecerts_core::plan::{Authorities, ExtendRequest, Permission, PlanRequest, Selection, extend};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{Certificate, DistinguishedName, Purpose, encode_certificate};
use kubecerts_testkit::{Fixture, MemoryTree, Seeded, TreeBuilder, at};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// When the authorities get a certificate that ends soon: after sixty days.
const SHORTENED: &str = "2026-12-01T00:00:00Z";
/// When they are extended, while that one is valid still.
const EXTENDED: &str = "2027-01-10T00:00:00Z";
/// When the old one has ended and the leaves have not.
const AFTER: &str = "2027-03-01T00:00:00Z";

const CA: &str = "/etc/kubernetes/pki/ca.crt";

/// A tree with the certificates that each of its authorities has had, and with leaves that the first of them signed.
struct Case {
    name: &'static str,
    leaves: Vec<Leaf>,
    /// Kubeadm's, the one that ends soon, the extended one.
    authorities: BTreeMap<CaSlot, [Certificate; 3]>,
}

struct Leaf {
    slot: Slot,
    certificate: Certificate,
    ca: CaSlot,
}

impl Leaf {
    fn purposes(&self) -> impl Iterator<Item = bool> {
        let purposes = self.certificate.extended_key_usages().as_slice();
        assert!(!purposes.is_empty(), "{} names no purpose", self.slot);
        purposes.iter().map(|purpose| *purpose == Purpose::SERVER_AUTH)
    }
}

/// A store of authorities, and whether it is to be accepted.
struct Store<'a> {
    name: &'a str,
    certificates: Vec<&'a Certificate>,
    moment: Timestamp,
    accepted: bool,
}

fn cases() -> Vec<Case> {
    let fixtures =
        ["kubeadm-v120-rsa", "kubeadm-v132-rsa2048", "kubeadm-v136-rsa2048", "kubeadm-v136-ecdsa-p256"];
    let mut trees: Vec<_> = fixtures.map(|name| (name, Fixture::named(name).tree())).into();
    trees.push(("utf8", tree_with_utf8_authority()));
    trees.into_iter().map(|(name, tree)| case(name, &tree)).collect()
}

fn case(name: &'static str, tree: &MemoryTree) -> Case {
    let mut request = ExtendRequest::default();
    request.authorities = Authorities::All;
    request.lifetime = Seconds::from_days(60);
    request.permissions.insert(Permission::Validity);
    let short = extended(tree, &request, at(SHORTENED));
    request.lifetime = Seconds::from_days(3650);
    let new = extended(&short, &request, at(EXTENDED));
    let inventories = [tree, &short, &new].map(MemoryTree::inventory);
    let signer = |inventory: &Inventory, ca| inventory.authority(ca).signer().unwrap().clone();
    let authorities =
        CaSlot::ALL.map(|ca| (ca, inventories.each_ref().map(|inventory| signer(inventory, ca)))).into();
    Case { name, leaves: leaves(&inventories[2]), authorities }
}

fn extended(tree: &MemoryTree, request: &ExtendRequest, now: Timestamp) -> MemoryTree {
    let snapshot = tree.snapshot();
    let plan = extend(&Inventory::parse(&snapshot), request, now, &mut Seeded::new(4)).unwrap();
    assert_eq!(plan.extended_authorities().count(), 3);
    let mut after = tree.clone();
    after.apply(&issue(&plan, &snapshot, &mut Seeded::provider(5)).unwrap());
    after
}

/// Returns every leaf and client certificate but kubelet.conf's, which no renewal of a whole tree renews.
fn leaves(inventory: &Inventory) -> Vec<Leaf> {
    let kubeconfigs =
        KubeconfigSlot::ALL.into_iter().filter(|kubeconfig| *kubeconfig != KubeconfigSlot::Kubelet);
    let slots = LeafSlot::ALL.map(Slot::Leaf).into_iter().chain(kubeconfigs.map(Slot::Kubeconfig));
    let leaf = |slot: Slot| {
        let certificate = inventory.credential(slot)?.leaf()?.clone();
        Some(Leaf { slot, certificate, ca: slot.issuer()? })
    };
    let leaves: Vec<_> = slots.filter_map(leaf).collect();
    assert!(leaves.len() >= 10);
    leaves
}

/// `CN=kubernetes` as a UTF8String, where kubeadm writes a PrintableString.
const CN_KUBERNETES_IN_UTF8: &[u8] = b"\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03\x0c\x0akubernetes";

fn spell_in_utf8(tree: &mut MemoryTree) {
    tree.redraft(CA, "/etc/kubernetes/pki/ca.key", |draft| {
        draft.subject = DistinguishedName::parse_der(CN_KUBERNETES_IN_UTF8).unwrap();
        draft.issuer = draft.subject.clone();
    });
}

/// Returns a tree whose authority writes its name in UTF-8, and so does everything that it has signed.
fn tree_with_utf8_authority() -> MemoryTree {
    let mut tree = TreeBuilder::kubeadm().made(at("2026-11-21T12:00:00Z")).build();
    spell_in_utf8(&mut tree);
    let all = PlanRequest::with_selection(Selection::All);
    tree.renew(&all, at("2026-11-22T00:00:00Z"), &mut Seeded::provider(2));
    assert_eq!(
        tree.certificate("/etc/kubernetes/pki/apiserver.crt").issuer().as_der(),
        CN_KUBERNETES_IN_UTF8
    );
    tree
}

/// Returns every way of trusting an authority, before and after the end of the old certificate.
fn stores([original, old, new]: &[Certificate; 3]) -> Vec<Store<'_>> {
    let mut stores = Vec::new();
    for (moment, old_is_valid) in [(at(EXTENDED), true), (at(AFTER), false)] {
        let lists: [(&str, &[&Certificate], bool); 7] = [
            ("new", &[new], true),
            ("old-new", &[old, new], true),
            ("new-old", &[new, old], true),
            ("original", &[original], true),
            ("original-new", &[original, new], true),
            ("new-original", &[new, original], true),
            ("old", &[old], old_is_valid),
        ];
        for (name, certificates, accepted) in lists {
            stores.push(Store { name, certificates: certificates.to_vec(), moment, accepted });
        }
    }
    stores
}

#[test]
fn webpki_accepts_old_leaves_of_extended_authorities() {
    let mut count = 0;
    for case in cases() {
        for leaf in &case.leaves {
            for store in stores(&case.authorities[&leaf.ca]) {
                for is_server in leaf.purposes() {
                    let verdict = ask_webpki(leaf, &store.certificates, store.moment, is_server);
                    // An anchor of webpki is a name and a key, and has no end.
                    assert_eq!(verdict, Ok(()), "{} {} {}", case.name, leaf.slot, store.name);
                    count += 1;
                }
            }
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn webpki_refuses_another_key_and_another_spelling_of_the_name() {
    let tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let case = case("controls", &tree);
    let leaf = case.leaves.iter().find(|leaf| leaf.slot == Slot::Leaf(LeafSlot::ApiServer)).unwrap();
    for impostor in impostors(&tree) {
        let verdict = ask_webpki(leaf, &[&impostor], at(EXTENDED), true);
        assert!(verdict.is_err(), "{verdict:?}");
    }
}

/// Returns an authority of the same name and another key, and the authority itself with its name in another encoding.
fn impostors(tree: &MemoryTree) -> [Certificate; 2] {
    let other_key = TreeBuilder::kubeadm().seed(9).build().certificate(CA);
    assert_eq!(other_key.subject(), tree.certificate(CA).subject());
    let mut respelled = tree.clone();
    spell_in_utf8(&mut respelled);
    [other_key, respelled.certificate(CA)]
}

fn ask_webpki(
    leaf: &Leaf,
    authorities: &[&Certificate],
    now: Timestamp,
    is_server: bool,
) -> Result<(), webpki::Error> {
    let ders: Vec<_> = authorities.iter().map(|authority| CertificateDer::from(authority.as_der())).collect();
    let anchors = ders.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>()?;
    let der = CertificateDer::from(leaf.certificate.as_der());
    let certificate = EndEntityCert::try_from(&der)?;
    let usage = if is_server { KeyUsage::server_auth() } else { KeyUsage::client_auth() };
    let now = std::time::Duration::from_secs(u64::try_from(now.unix()).unwrap());
    let now = UnixTime::since_unix_epoch(now);
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    certificate.verify_for_usage(algorithms, &anchors, &[], now, usage, None, None).map(|_| ())
}

#[test]
fn openssl_accepts_old_leaves_of_extended_authorities() {
    if Command::new("openssl").arg("version").output().is_err() {
        io::stderr().write_all(b"SKIPPED openssl: not installed\n").unwrap();
        return;
    }
    for case in cases() {
        let directory = written("openssl", &case);
        for ca in CaSlot::ALL {
            for store in stores(&case.authorities[&ca]) {
                for (is_server, purpose) in [(true, "sslserver"), (false, "sslclient")] {
                    let is_meant =
                        |leaf: &&Leaf| leaf.ca == ca && leaf.purposes().any(|one| one == is_server);
                    let files: Vec<String> = case
                        .leaves
                        .iter()
                        .filter(is_meant)
                        .map(|leaf| format!("{}.pem", leaf.slot))
                        .collect();
                    if files.is_empty() {
                        continue;
                    }
                    let (bundle, moment) = (bundle(&store, &directory), store.moment.unix().to_string());
                    let output = Command::new("openssl")
                        .args(["verify", "-attime", &moment, "-purpose", purpose, "-CAfile", &bundle])
                        .args(&files)
                        .current_dir(&directory)
                        .output()
                        .unwrap();
                    let told = String::from_utf8_lossy(&output.stdout).into_owned();
                    let accepted = told.lines().filter(|line| line.ends_with(": OK")).count();
                    let expected = if store.accepted { files.len() } else { 0 };
                    let complaints = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(accepted, expected, "{} {ca} {}: {told}{complaints}", case.name, store.name);
                }
            }
        }
    }
}

#[test]
fn cryptography_accepts_old_leaves_of_extended_authorities_and_refuses_impostors() {
    let Some(python) = python() else { return };
    let mut questions = String::new();
    let mut expected = Vec::new();
    let mut ask =
        |is_server: bool, leaf: &Leaf, moment: Timestamp, directory: &Path, files: &[String], accepted| {
            let purpose = if is_server { "server" } else { "client" };
            let name = if leaf.slot == Slot::Leaf(LeafSlot::ApiServer) { "kubernetes" } else { "localhost" };
            write!(questions, "{purpose} {} {name}", moment.unix()).unwrap();
            for file in [&format!("{}.pem", leaf.slot)].into_iter().chain(files) {
                write!(questions, " {}", directory.join(file).display()).unwrap();
            }
            questions.push('\n');
            expected
                .push((format!("{} {purpose} {files:?} in {}", leaf.slot, directory.display()), accepted));
        };
    for case in cases() {
        let directory = written("cryptography", &case);
        for leaf in &case.leaves {
            for store in stores(&case.authorities[&leaf.ca]) {
                for is_server in leaf.purposes() {
                    ask(
                        is_server,
                        leaf,
                        store.moment,
                        &directory,
                        &single_files(&store, &directory),
                        store.accepted,
                    );
                }
            }
        }
        if case.name == "kubeadm-v136-ecdsa-p256" {
            let leaf = case.leaves.iter().find(|leaf| leaf.slot == Slot::Leaf(LeafSlot::ApiServer)).unwrap();
            for impostor in &impostors(&Fixture::named(case.name).tree()) {
                let store = Store {
                    name: "impostor",
                    certificates: vec![impostor],
                    moment: at(EXTENDED),
                    accepted: false,
                };
                ask(true, leaf, store.moment, &directory, &single_files(&store, &directory), false);
            }
        }
    }
    let answers = answers(&python, &questions);
    assert_eq!(answers.len(), expected.len());
    for (answer, (question, accepted)) in answers.iter().zip(&expected) {
        assert_eq!(answer == "accepted", *accepted, "{question}: {answer}");
    }
    assert!(expected.len() > 500);
}

/// Returns what the script answers.
fn answers(python: &str, questions: &str) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/extend_judges/judge.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Beside reading, for the pipes are shorter than what goes through them.
    let output = std::thread::scope(|scope| {
        // What it did not read it has not answered, which shows.
        scope.spawn(move || drop(input.write_all(questions.as_bytes())));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Returns a Python whose cryptography can verify clients without alternative names: 45 and later.
fn python() -> Option<String> {
    let python = env::var("KUBECERTS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let can = Command::new(&python)
        .args(["-c", "from cryptography.x509.verification import ExtensionPolicy"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !can {
        let reason =
            b"SKIPPED cryptography: not installed for python3, or older than 45; see KUBECERTS_PYTHON\n";
        io::stderr().write_all(reason).unwrap();
    }
    can.then_some(python)
}

/// Writes the leaves of `case` into a directory of its own, and returns it.
fn written(judge: &str, case: &Case) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("extend").join(judge).join(case.name);
    fs::create_dir_all(&directory).unwrap();
    for leaf in &case.leaves {
        let pem = encode_certificate(leaf.certificate.as_der());
        fs::write(directory.join(format!("{}.pem", leaf.slot)), pem).unwrap();
    }
    directory
}

/// Writes the certificates of `store` into one file, and returns its name.
fn bundle(store: &Store<'_>, directory: &Path) -> String {
    let text: String =
        store.certificates.iter().map(|certificate| encode_certificate(certificate.as_der())).collect();
    let name = format!("store-{}.pem", store.name);
    fs::write(directory.join(&name), text).unwrap();
    name
}

/// Writes each certificate of `store` into a file, and returns their names in its order.
fn single_files(store: &Store<'_>, directory: &Path) -> Vec<String> {
    let write = |certificate: &&Certificate| {
        let name = format!("ca-{}.pem", certificate.fingerprint());
        fs::write(directory.join(&name), encode_certificate(certificate.as_der())).unwrap();
        name
    };
    store.certificates.iter().map(write).collect()
}
