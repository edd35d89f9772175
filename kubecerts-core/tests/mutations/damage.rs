//! The kinds of damage, drawn by number.

use kubecerts_core::kubeconfig::{Edit, edit};
use kubecerts_core::provider::Entropy;
use kubecerts_core::x509::encode_certificate;
use kubecerts_testkit::{Draft, MemoryTree, Seeded, path, service_account_token};

use crate::node::{ADMINISTRATORS, DATED, Nodes, PEM, POD};

/// What is done to a tree.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Swap,
    SwapKeys,
    Truncate,
    FlipBit,
    ChangeByte,
    Resign,
    ForeignAuthority,
    CopyFromNode,
    OpenMode,
    Remove,
    Empty,
    OtherCluster,
    AppendGarbage,
    Duplicate,
    KubeconfigAuthority,
    ServiceAccount,
    ManifestFlag,
    Surroundings,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Swap,
        Self::SwapKeys,
        Self::Truncate,
        Self::FlipBit,
        Self::ChangeByte,
        Self::Resign,
        Self::ForeignAuthority,
        Self::CopyFromNode,
        Self::OpenMode,
        Self::Remove,
        Self::Empty,
        Self::OtherCluster,
        Self::AppendGarbage,
        Self::Duplicate,
        Self::KubeconfigAuthority,
        Self::ServiceAccount,
        Self::ManifestFlag,
        Self::Surroundings,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Swap => "swap two files",
            Self::SwapKeys => "swap two keys",
            Self::Truncate => "truncate",
            Self::FlipBit => "flip a bit",
            Self::ChangeByte => "change a byte",
            Self::Resign => "sign by another authority",
            Self::ForeignAuthority => "replace an authority",
            Self::CopyFromNode => "copy from another node",
            Self::OpenMode => "change a mode",
            Self::Remove => "remove",
            Self::Empty => "empty",
            Self::OtherCluster => "take another cluster's",
            Self::AppendGarbage => "append garbage",
            Self::Duplicate => "duplicate a block",
            Self::KubeconfigAuthority => "trust another authority",
            Self::ServiceAccount => "change the service account",
            Self::ManifestFlag => "change a flag",
            Self::Surroundings => "change what is around",
        }
    }
}

/// Returns the tree that damage number `number` makes, and what was done.
pub(crate) fn damage(nodes: &Nodes, number: u64) -> (Kind, MemoryTree, String) {
    let mut dice = Dice(Seeded::new(number));
    let kind = Kind::ALL[usize::try_from(number).unwrap() % Kind::ALL.len()];
    // A draw that changes nothing is no damage: draw again.
    loop {
        let mut tree = nodes.tree.clone();
        let what = act(kind, nodes, &mut tree, &mut dice);
        if tree != nodes.tree {
            return (kind, tree, format!("{}: {what}", kind.name()));
        }
    }
}

fn act(kind: Kind, nodes: &Nodes, tree: &mut MemoryTree, dice: &mut Dice) -> String {
    // Without the kubelet's configuration kubeadm's defaults hold, which are what it says.
    let files = files(tree, |file| is_of_tree(file) && !file.ends_with("/config.yaml"));
    let pki = files_of_pki(tree);
    match kind {
        Kind::Swap => {
            let (one, other) = (dice.of(&pki), dice.of(&pki));
            swap(tree, &one, &other)
        }
        Kind::SwapKeys => {
            let keys: Vec<String> = pki.into_iter().filter(|file| file.ends_with(".key")).collect();
            let (one, other) = (dice.of(&keys), dice.of(&keys));
            swap(tree, &one, &other)
        }
        Kind::Truncate => {
            let file = dice.of(&pki);
            let length = dice.below(tree.read_file(&file).len());
            tree.edit(&file, |content| content.truncate(length));
            format!("{file} to {length}")
        }
        Kind::FlipBit => {
            let file = dice.of(&pki);
            let (position, bit) = (dice.below(tree.read_file(&file).len()), dice.below(8));
            tree.edit(&file, |content| content[position] ^= 1 << bit);
            told(nodes, tree, &file, position)
        }
        Kind::ChangeByte => {
            let file = dice.of(&pki);
            let position = dice.below(tree.read_file(&file).len());
            // Printable, so that texts stay texts and base64 often stays base64.
            let byte = u8::try_from(32 + dice.below(95)).unwrap();
            tree.edit(&file, |content| content[position] = byte);
            told(nodes, tree, &file, position)
        }
        Kind::Resign => {
            let (file, ca) = dice.of(&LEAVES.map(|(file, ca)| (file.to_owned(), ca)));
            let other = dice.of(&[&nodes.stranger, &nodes.tree]);
            let ca = if std::ptr::eq(other, &nodes.tree) { dice.of(&AUTHORITIES) } else { ca };
            let draft = Draft::of(&tree.certificate(&file));
            let signed = draft.signed_by(&other.private_key(&format!("{ca}.key")));
            let end = "-----END CERTIFICATE-----
";
            let text = String::from_utf8(tree.read_file(&file).to_vec()).unwrap();
            // What follows is the kubelet's key.
            let (_, rest) = text.split_once(end).unwrap();
            let changed = encode_certificate(&signed) + rest;
            tree.edit(&file, |content| *content = changed.into_bytes());
            format!("{file} by {ca}")
        }
        Kind::ForeignAuthority => {
            let ca = dice.of(&AUTHORITIES);
            let endings: &[&str] = dice.of(&[&[".crt"][..], &[".key"], &[".crt", ".key"]]);
            for ending in endings {
                take(&nodes.stranger, tree, &format!("{ca}{ending}"));
            }
            format!("{ca} {endings:?}")
        }
        Kind::CopyFromNode => {
            let own: Vec<String> = pki.into_iter().filter(|file| !file.contains("super-admin")).collect();
            let file = dice.of(&own);
            take(&nodes.sibling, tree, &file);
            let both = dice.below(2) == 0;
            if both && let Some(stem) = file.strip_suffix(".crt").or_else(|| file.strip_suffix(".key")) {
                take(&nodes.sibling, tree, &format!("{stem}.crt"));
                take(&nodes.sibling, tree, &format!("{stem}.key"));
            }
            format!("{file} {}", if both { "with what belongs to it" } else { "alone" })
        }
        Kind::OpenMode => {
            let file = dice.of(&pki);
            let mode =
                dice.of(&[0o604, 0o606, 0o644, 0o666, 0o640, 0o660, 0o600, 0o400, 0o755, 0o777, 0o602]);
            tree.set_mode(&file, mode);
            format!("{file} {mode:o}")
        }
        Kind::Remove => {
            let file = dice.of(&files);
            tree.remove(&file);
            file
        }
        Kind::Empty => {
            let file = dice.of(&files);
            tree.edit(&file, Vec::clear);
            file
        }
        Kind::OtherCluster => {
            let file = dice.of(&pki);
            take(&nodes.stranger, tree, &file);
            file
        }
        Kind::AppendGarbage => {
            let file = dice.of(&pki);
            let foreign = nodes.stranger.read_file("/etc/kubernetes/pki/ca.crt").to_vec();
            let garbage = match dice.below(4) {
                0 => foreign[..200].to_vec(),
                1 => b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
                2 => (0..1 + dice.below(64)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect(),
                _ => b"<<<<<<< HEAD\n".to_vec(),
            };
            let shown = garbage.escape_ascii().to_string();
            tree.edit(&file, |content| content.extend(&garbage));
            format!("{file} {shown}")
        }
        Kind::Duplicate => {
            let file = dice.of(&pki);
            let any = dice.of(&files_of_pki(tree));
            let source = dice.of(&[file.clone(), any]);
            let more = tree.read_file(&source).to_vec();
            let before = dice.below(2) == 0;
            tree.edit(&file, |content| {
                let place = if before { 0 } else { content.len() };
                content.splice(place..place, more).for_each(drop);
            });
            format!("{source} {} {file}", if before { "before" } else { "behind" })
        }
        Kind::KubeconfigAuthority => {
            let kubeconfigs: Vec<String> = pki.into_iter().filter(|file| file.ends_with(".conf")).collect();
            let file = dice.of(&kubeconfigs);
            let ca = dice.of(&AUTHORITIES);
            let from = dice.of(&[&nodes.stranger, &nodes.tree]);
            let mut pem = from.read_file(&format!("{ca}.crt")).to_vec();
            if dice.below(4) == 0 {
                pem.truncate(1 + dice.below(pem.len() - 1));
            }
            let edited = edit(tree.read_file(&file), &Edit::new().authority(&pem, "kubernetes")).unwrap();
            tree.edit(&file, |content| *content = edited.secret_bytes().to_vec());
            format!("{file} {ca}, {} bytes", pem.len())
        }
        Kind::ServiceAccount => {
            let files: &[&str] = dice.of(&[&["sa.key"][..], &["sa.pub"]]);
            let from = dice.of(&[&nodes.stranger, &nodes.tree]);
            let source = dice.of(&["sa.key", "sa.pub", "ca.key", "apiserver.key", "ca.crt"]);
            for file in files {
                let content = from.read_file(&format!("/etc/kubernetes/pki/{source}")).to_vec();
                tree.edit(&format!("/etc/kubernetes/pki/{file}"), |target| *target = content);
            }
            format!("{files:?} from {source}")
        }
        Kind::ManifestFlag => flag(tree, dice),
        Kind::Surroundings => around(nodes, tree, dice),
    }
}

/// Changes links, and what is not of the tree itself.
fn around(nodes: &Nodes, tree: &mut MemoryTree, dice: &mut Dice) -> String {
    let volume = format!("{POD}/..2026_01_01");
    match dice.below(8) {
        0 => {
            tree.unlink(PEM);
            "no link".to_owned()
        }
        1 => {
            tree.unlink(PEM);
            tree.link(PEM, "kubelet-client-2025-01-01-00-00-00.pem");
            "a link to nothing".to_owned()
        }
        2 => {
            tree.unlink(PEM);
            tree.copy(DATED, PEM);
            "a file in place of the link".to_owned()
        }
        3 => {
            let target = dice.of(&files_of_pki(tree));
            tree.unlink(PEM);
            tree.link(PEM, &target);
            format!("a link to {target}")
        }
        4 => {
            let ca = dice.of(&AUTHORITIES);
            let from = dice.of(&[&nodes.stranger, &nodes.tree]);
            tree.edit(&format!("{volume}/ca.crt"), |content| {
                *content = from.read_file(&format!("{ca}.crt")).to_vec();
            });
            format!("a pod with {ca}")
        }
        5 => {
            let token = service_account_token(nodes.stranger.read_file("/etc/kubernetes/pki/sa.pub"));
            tree.edit(&format!("{volume}/token"), |content| *content = token.into_bytes());
            "a pod with a token of another cluster".to_owned()
        }
        6 => {
            let manifest = dice.of(&files(tree, |file| file.contains("/manifests/")));
            let suffix = dice.of(&[".bak", "~", ".old", ".rpmsave", ".20260101"]);
            tree.copy(&manifest, &format!("{manifest}{suffix}"));
            format!("{manifest}{suffix}")
        }
        _ => {
            let mode = dice.of(&[0o644, 0o604, 0o666]);
            tree.set_mode(ADMINISTRATORS, mode);
            format!("{ADMINISTRATORS} {mode:o}")
        }
    }
}

/// Changes, removes or repeats a flag that is about certificates.
fn flag(tree: &mut MemoryTree, dice: &mut Dice) -> String {
    let manifests = files(tree, |file| file.contains("/manifests/"));
    let manifest = dice.of(&manifests);
    let text = String::from_utf8(tree.read_file(&manifest).to_vec()).unwrap();
    let is_ours = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("- --")
            && (line.contains(".crt")
                || line.contains(".key")
                || line.contains(".pub")
                || line.contains(".conf"))
    };
    let lines: Vec<&str> = text.lines().filter(is_ours).collect();
    let line = dice.of(&lines);
    let (flag, value) = line.split_once('=').unwrap();
    let replacement = match dice.below(4) {
        0 => String::new(),
        1 => format!("{line}.old\n"),
        2 => {
            let others = files_of_pki(tree);
            format!("{flag}={}\n", dice.of(&others))
        }
        _ => format!("{flag}={}\n", value.replace("/etc/kubernetes", "/etc/kubernetes.old")),
    };
    let changed = text.replacen(&format!("{line}\n"), &replacement, 1);
    tree.edit(&manifest, |content| *content = changed.into_bytes());
    format!("{} to {}", line.trim(), replacement.trim())
}

fn swap(tree: &mut MemoryTree, one: &str, other: &str) -> String {
    let (first, second) = (tree.read_file(one).to_vec(), tree.read_file(other).to_vec());
    tree.edit(one, |content| *content = second);
    tree.edit(other, |content| *content = first);
    format!("{one} and {other}")
}

/// Copies `file` of another tree over that of `tree`; its mode too.
fn take(from: &MemoryTree, tree: &mut MemoryTree, file: &str) {
    let Some((_, content, mode)) = from.files().find(|(path, ..)| path.as_str() == file) else { return };
    tree.write(&path(file), content, mode);
}

/// Says what has become of the line in which a byte was changed.
fn told(nodes: &Nodes, tree: &MemoryTree, file: &str, position: usize) -> String {
    let line = |content: &[u8]| {
        let start = content[..position].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text: Vec<u8> = content[start..].iter().take(position - start + 30).copied().collect();
        text.escape_ascii().to_string()
    };
    format!("{file} {position}: {} was {}", line(tree.read_file(file)), line(nodes.tree.read_file(file)))
}

fn files(tree: &MemoryTree, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let paths = tree.files().map(|(path, ..)| path.as_str());
    paths.filter(|path| is_wanted(path)).map(str::to_owned).collect()
}

/// Returns everything that holds a certificate or a key.
fn files_of_pki(tree: &MemoryTree) -> Vec<String> {
    files(tree, |file| is_of_tree(file) && !file.ends_with(".yaml"))
}

fn is_of_tree(file: &str) -> bool {
    ["/etc/kubernetes/", "/var/lib/kubelet/pki/"].iter().any(|directory| file.starts_with(directory))
}

/// What is signed by an authority of the tree.
const LEAVES: [(&str, &str); 8] = [
    ("/etc/kubernetes/pki/apiserver.crt", AUTHORITIES[0]),
    ("/etc/kubernetes/pki/apiserver-kubelet-client.crt", AUTHORITIES[0]),
    ("/etc/kubernetes/pki/apiserver-etcd-client.crt", AUTHORITIES[1]),
    ("/etc/kubernetes/pki/etcd/server.crt", AUTHORITIES[1]),
    ("/etc/kubernetes/pki/etcd/peer.crt", AUTHORITIES[1]),
    ("/etc/kubernetes/pki/etcd/healthcheck-client.crt", AUTHORITIES[1]),
    ("/etc/kubernetes/pki/front-proxy-client.crt", AUTHORITIES[2]),
    (DATED, AUTHORITIES[0]),
];

const AUTHORITIES: [&str; 3] =
    ["/etc/kubernetes/pki/ca", "/etc/kubernetes/pki/etcd/ca", "/etc/kubernetes/pki/front-proxy-ca"];

/// Draws.
struct Dice(Seeded);

impl Dice {
    /// Returns a number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        let drawn = u64::from_le_bytes(bytes) % u64::try_from(bound).unwrap();
        usize::try_from(drawn).unwrap()
    }

    /// Returns one of `things`.
    fn of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }
}
