//! A redacted snapshot holds no private key and no password, in whatever encoding one looks for them.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use kubecerts_core::archive::{Archive, Redaction};
use kubecerts_core::x509::{PrivateKey, decode_blocks};
use kubecerts_testkit::needles::{Needles, wrapped};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, TreeBuilder, path};

use crate::archive;

#[test]
fn a_redacted_snapshot_of_any_fixture_holds_no_private_key_in_any_encoding() {
    for name in FIXTURES {
        let tree = crowded(Fixture::named(name).tree());
        let needles = Needles::of(&tree);
        assert!(needles.keys() >= 10, "{name}: {} keys", needles.keys());
        // What is looked for is found where it is.
        let (whole, _) = archive(&tree, Redaction::KeepSecrets);
        assert!(!needles.found_in(&everything(&whole)).is_empty(), "{name}");
        let (redacted, _) = archive(&tree, Redaction::Redact);
        let mut bytes = everything(&redacted);
        bytes.extend(redacted.index().into_bytes());
        assert_eq!(needles.found_in(&bytes), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_key_of_every_kind_is_found_in_every_wrapping() {
    let tree = TreeBuilder::kubeadm().build();
    let key = tree.private_key("/etc/kubernetes/pki/ca.key");
    let rsa = Fixture::named("kubeadm-v136-rsa2048").tree().private_key("/etc/kubernetes/pki/ca.key");
    for key in [key, rsa] {
        let pkcs8 = key.secret_pkcs8_der().secret_bytes().to_vec();
        let pem = key.secret_pem().secret_bytes().to_vec();
        let own = decode_blocks(&pem)[0].as_ref().unwrap().secret_bytes().to_vec();
        let pkcs8_pem = wrapped("PRIVATE KEY", &pkcs8);
        let mut needles = Needles::default();
        needles.add(&own);
        needles.add(&pkcs8);
        for form in [own, pkcs8, pem, pkcs8_pem.into_bytes()] {
            for (index, wrapping) in wrappings(&form).into_iter().enumerate() {
                let mut tree = MemoryTree::default();
                tree.write(&path("/root/copy.txt"), wrapping.clone(), 0o600);
                let (redacted, _) = archive(&tree, Redaction::Redact);
                let bytes = everything(&redacted);
                let found = needles.found_in(&bytes);
                let text = String::from_utf8_lossy(&wrapping);
                assert_eq!(
                    found,
                    Vec::<String>::new(),
                    "{index}: {text}\n->\n{}",
                    String::from_utf8_lossy(&bytes)
                );
                assert_eq!(redacted.redactions().keys, 1, "{index}: {}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

/// Puts `bytes`, a key in DER or PEM, into all that people put keys into.
fn wrappings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let base64 = Base64::encode_string(bytes);
    let folded = |width: usize, indent: &str| {
        let lines: Vec<&str> =
            base64.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{indent}{}\n", lines.join(&format!("\n{indent}")))
    };
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        bytes.to_vec(),
        [b"something before it\n", bytes].concat(),
        format!("tls.key: {base64}\n").into_bytes(),
        format!("{{\"tls.key\":\"{base64}\",\"a\":1}}").into_bytes(),
        format!("KEY={base64}\nexport KEY\n").into_bytes(),
        format!("data:\n  tls.key: |\n{}kind: Secret\n", folded(76, "    ")).into_bytes(),
        format!("{}after: it\n", folded(64, "")).into_bytes(),
        Base64::encode_string(base64.as_bytes()).into_bytes(),
        format!("echo {} | base64 -d", Base64UrlUnpadded::encode_string(bytes)).into_bytes(),
        format!("key: {hex}\n").into_bytes(),
        format!("key: {}\n", hex.to_uppercase()).into_bytes(),
    ];
    for before in ["a", "ab", "abc"] {
        all.push(Base64::encode_string(&[before.as_bytes(), bytes].concat()).into_bytes());
        all.push(format!("{before}{base64}").into_bytes());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        all.push(format!("{{\"key\":\"{}\"}}", text.replace('\n', "\\n")).into_bytes());
        all.push(format!("key: |\n    {}\nnext: 1\n", text.trim_end().replace('\n', "\n    ")).into_bytes());
        all.push(text.replace('\n', "\r\n").into_bytes());
        all.push(text.replace('\n', " ").into_bytes());
        all.push(text.replace("-----END", "-----ENF").into_bytes());
        all.push(text.replace("-----BEGIN", "----BEGIN").into_bytes());
    }
    all
}

#[test]
fn values_whose_names_speak_of_secrets_are_masked() {
    let secret = "hunter2-and-more";
    let texts = [
        "users:\n- name: me\n  user:\n    token: SECRET\n    username: me\n    password: 'SECRET'\n",
        "users: [{name: me, user: {token: SECRET, username: me}}]\n",
        "{\"users\":[{\"name\":\"me\",\"user\":{\"password\":\"SECRET\",\"token\":\"SECRET\"}}]}",
        "user:\n    exec:\n      apiVersion: v1\n      command: aws\n      args:\n      - --x\n      - SECRET\n      env:\n      - name: AWS\n        value: SECRET\n      interactiveMode: Never\n",
        "user: {exec: {command: x, args: [SECRET, 'SECRET'], env: [{name: A, value: SECRET}]}}\n",
        "user:\n  auth-provider:\n    config:\n      id: SECRET\n      refresh: \"SECRET\"\n    name: oidc\n",
        "kind: InitConfiguration\nbootstrapTokens:\n- token: SECRET\n  ttl: 24h0m0s\ncertificateKey: SECRET\n",
        "    env:\n    - name: DB_PASSWORD\n      value: SECRET\n    - name: MODE\n      value: fast\n",
        "env: [{name: API_TOKEN, value: SECRET}]\n",
        "[Service]\nEnvironment=\"VAULT_TOKEN=SECRET\"\nEnvironment=DB_PASSWORD=SECRET\nExecStart=/bin/x --password=SECRET --token SECRET\n",
        "export PASSWORD=SECRET\ncurl -H \"Authorization: Bearer SECRET\" https://me:SECRET@host/path\n",
        "    - --etcd-password\n    - SECRET\n    - --v=2\n",
        "command: [\"x\", \"--client-secret\", \"SECRET\"]\n",
        "password: |\n  SECRET\n  SECRET\nnext: 1\n",
        "password: >-\n  SECRET\nnext: 1\n",
        "password:\n  SECRET\nnext: 1\n",
        "kubeadm join host:6443 --token SECRET --discovery-token-ca-cert-hash sha256:00\n",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"SECRET\",\"x\":\"1\"}]}",
        "aescbc:\n  keys:\n  - name: key1\n    secret: SECRET\n",
        "DB_PASS=SECRET\n",
        "SMTP_PASS: SECRET\n",
        "MYSQL_PWD=SECRET mysql\n",
        "curl --user root:SECRET x\n",
        "curl -u me:SECRET x\n",
        "ETCDCTL_USER=root:SECRET\n",
        "password_hash: SECRET\n",
        "password: &pw SECRET\n",
        "PASSWORD={SECRET}\n",
        "PASSWORD=&SECRET\n",
        "# \u{4f60}\u{597d}\u{4f60}\u{597d}\u{4f60}\u{597d}\u{4f60}\u{597d}\npassword: SECRET\n",
        "https://me:pa/SECRET@host\n",
        "https://me:pa?SECRET@host\n",
        "https://SECRET@host\n",
        "X-Vault-Token:SECRET\n",
        "Authorization:Basic SECRET\n",
        "[Service]\nEnvironment=\"DB_PASSWORD=x SECRET\"\n",
        "[Unit]\npassword: a,SECRET\n",
        "DB_PASSWORD=abc;def&SECRET\n",
        "PASSWORD=\"abc\"SECRET\n",
        "cmd --password a,SECRET,more\n",
        "password: abc\n  SECRET\nnext: 1\n",
        "password: $SECRET!\n",
        "password: x.REDACTEDSECRET\n",
        "TOKEN=${TOKEN:-SECRET}\n",
        "{\\\"kty\\\":\\\"EC\\\",\\\"d\\\":\\\"SECRET\\\"}",
        "kty: EC\nd: SECRET\n",
        "password: [SECRET, 'SECRET']\n",
        "password: [\n  a-SECRET,\n  [SECRET, \"SECRET\"],\n]\n",
        "users: [{password: [SECRET]}, {tokens: [{a: b}, SECRET]}]\n",
        "{\"tokens\":[\"SECRET\",{\"a\":1},\"SECRET\"]}",
        "{\\\"tokens\\\":[\\\"SECRET\\\"]}",
        "tokens:\n- SECRET\n- 'SECRET'\n",
        "a:\n  tokens: # why\n    # not\n    - SECRET\n\n    - |\n      SECRET\n    - a\n      SECRET\n",
        "- passwords:\n  - name: x\n  - SECRET\n  -\n    SECRET\n  - - a\n    - SECRET\n  - [SECRET]\n",
        "\"tokens\":\r\n- SECRET\r\n- \"SECRET\"\r\n",
        "password: [SECRET\n  SECRET\n",
        "PuTTY-User-Key-File-2: x\nPrivate-Lines: 1\nSECRET\nPrivate-MAC: 1\n",
    ];
    for text in texts {
        let mut tree = MemoryTree::default();
        tree.write(&path("/root/file"), text.replace("SECRET", secret), 0o600);
        let (redacted, _) = archive(&tree, Redaction::Redact);
        let bytes = String::from_utf8(everything(&redacted)).unwrap();
        assert!(!bytes.contains("hunter2"), "{text}\n->\n{bytes}");
        assert!(bytes.contains("REDACTED"), "{text}\n->\n{bytes}");
    }
}

#[test]
fn secrets_of_a_known_form_are_masked_wherever_they_stand() {
    let hex = "0123456789abcdef".repeat(4);
    for (at, text, secret) in [
        ("/root/file", "run join abcdef.0123456789abcdef now\n".to_owned(), "0123456789abcdef"),
        ("/root/file", format!("Using certificate key:\n{hex}\n"), &hex),
        ("/root/file", "secret: /aBcDJ4+zz/zz==\n".to_owned(), "aBcDJ4"),
        ("/root/file", "AGE-SECRET-KEY-1QQQQQQQQQQQQ\n".to_owned(), "1QQQQQQ"),
        ("/var/lib/kubelet/pods/1/volumes/token", "opaque".to_owned(), "opaque"),
    ] {
        let mut tree = MemoryTree::default();
        tree.write(&path(at), text.clone(), 0o600);
        let (redacted, _) = archive(&tree, Redaction::Redact);
        let bytes = String::from_utf8(everything(&redacted)).unwrap();
        assert!(!bytes.contains(secret), "{text}\n->\n{bytes}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    let texts = [
        "    - --service-account-private-key-file=/etc/kubernetes/pki/sa.key\n    - --enable-bootstrap-token-auth=true\n    - --authorization-mode=Node,RBAC\n    - --authentication-token-webhook-cache-ttl=10s\n    - --token-auth-file=/x\n",
        "    image: registry.example.com/secret-store:v1\n",
        "    secretName: etcd\n    tokenFile: /var/run/token\n  automountServiceAccountToken: false\n",
        "#!/bin/sh\nTOKEN=$(cat /x)\nsystemctl restart kubelet # the token is kept\n",
        "*/5 * * * * root /usr/bin/true\nOnCalendar=Sun 03:00\nRandomizedDelaySec=0\n",
        "secrets:\n- name: a\n  mode: b\n- {name: c}\ntokenFiles: [a, b]\nnames:\n- a\nthe tokens:\n- are words\n",
        "tokens: []\npasswords:\n- /etc/kubernetes/x\n- true\nnext:\n- stays\n",
        "kind: ClusterConfiguration\nnetworking:\n  serviceSubnet: 10.96.0.0/12\n",
    ];
    for text in texts {
        let mut tree = MemoryTree::default();
        tree.write(&path("/root/file"), text, 0o600);
        let (redacted, _) = archive(&tree, Redaction::Redact);
        assert_eq!(String::from_utf8(everything(&redacted)).unwrap(), text);
    }
}

#[test]
fn text_in_utf_16_with_secrets_is_left_out_and_other_text_stays() {
    let key = TreeBuilder::kubeadm().build().read_file("/etc/kubernetes/pki/ca.key").to_vec();
    let key = String::from_utf8(key).unwrap();
    let base64 = Base64::encode_string(key.as_bytes());
    let secret = ["password: hunter2\n", &key, &format!("a: {base64}\n")];
    for (index, text) in secret.into_iter().chain(["kind: Pod\nname: \u{4f60}\u{1f600}\n"]).enumerate() {
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
            let big: Vec<u8> = units.iter().copied().flat_map(u16::to_be_bytes).collect();
            let little: Vec<u8> = units.iter().copied().flat_map(u16::to_le_bytes).collect();
            for bytes in [[big.as_slice(), b"\n"].concat(), big, little] {
                let mut tree = MemoryTree::default();
                tree.write(&path("/etc/kubernetes/admin.conf.bak"), bytes.clone(), 0o600);
                let (redacted, _) = archive(&tree, Redaction::Redact);
                let left = everything(&redacted);
                assert_eq!(left, if index < 3 { b"REDACTED\n".to_vec() } else { bytes.clone() });
                // A password could be guessed from the digest.
                let digest = kubecerts_core::digest::Digest::of(&bytes).to_string();
                assert_eq!(redacted.index().contains(&digest), index == 3);
            }
        }
    }
}

#[test]
fn lists_within_lists_without_end_take_no_time_that_grows_with_their_square() {
    for text in ["token: [", "token: [[[{", "tokens:\n- ", "- tokens:\n", "token: ['", "tokens:\n- [\n"] {
        let mut tree = MemoryTree::default();
        tree.write(&path("/root/file"), text.repeat((1 << 20) / text.len()), 0o600);
        let (redacted, _) = archive(&tree, Redaction::Redact);
        assert_eq!(redacted.files().count(), 1);
    }
}

#[test]
fn a_token_keeps_its_header_and_its_issuer_and_loses_its_signature() {
    let header = Base64UrlUnpadded::encode_string(b"{\"alg\":\"RS256\",\"kid\":\"abc\"}");
    let payload =
        Base64UrlUnpadded::encode_string(b"{\"aud\":[\"x\"],\"iss\":\"https://issuer\",\"sub\":\"me\"}");
    let signature = Base64UrlUnpadded::encode_string(&[0xa5; 256]);
    let mut tree = MemoryTree::default();
    tree.write(&path("/var/lib/kubelet/token"), format!("{header}.{payload}.{signature}"), 0o600);
    let (redacted, _) = archive(&tree, Redaction::Redact);
    let left = String::from_utf8(everything(&redacted)).unwrap();
    assert!(!left.contains(&signature[..20]), "{left}");
    let parts: Vec<&str> = left.split('.').collect();
    assert_eq!(parts[0], header);
    assert_eq!(Base64UrlUnpadded::decode_vec(parts[1]).unwrap(), b"{\"iss\":\"https://issuer\"}");
    assert_eq!(redacted.redactions().tokens, 1);
}

#[test]
fn a_digest_does_not_help_to_guess_a_short_password() {
    let mut tree = MemoryTree::default();
    tree.write(
        &path("/root/.kube/config"),
        "users: [{name: me, user: {username: me, password: abc}}]\n",
        0o600,
    );
    let digest = kubecerts_core::digest::Digest::of(tree.read_file("/root/.kube/config"));
    let (redacted, _) = archive(&tree, Redaction::Redact);
    assert!(!redacted.index().contains(&digest.to_string()));
}

/// Adds what lies around on nodes: backups, homes, a pem of the kubelet, keys in other forms.
fn crowded(mut tree: MemoryTree) -> MemoryTree {
    let key = "/etc/kubernetes/pki/apiserver.key";
    let any = tree
        .files()
        .find(|(path, ..)| path.as_str().ends_with("apiserver.key"))
        .map(|(path, ..)| path.clone());
    let key = any.map_or(key.to_owned(), |path| path.to_string());
    let pem = tree.read_file(&key).to_vec();
    let der = decode_blocks(&pem)[0].as_ref().unwrap().secret_bytes().to_vec();
    let certificate = tree.read_file(&key.replace(".key", ".crt")).to_vec();
    tree.write(
        &path("/var/lib/kubelet/pki/kubelet-client-current.pem"),
        [certificate, pem.clone()].concat(),
        0o600,
    );
    tree.copy("/etc/kubernetes/admin.conf", "/root/.kube/config");
    tree.copy("/etc/kubernetes/admin.conf", "/home/me/.kube/config");
    tree.copy("/etc/kubernetes/admin.conf", "/etc/kubernetes/admin.conf.bak");
    tree.write(&path("/root/backup/ca.der"), der.clone(), 0o600);
    let config = tree.read_file("/etc/kubernetes/admin.conf").to_vec();
    let secret = format!("kind: Secret\ndata:\n  config: {}\n", Base64::encode_string(&config));
    tree.write(&path("/root/secret.yaml"), secret, 0o600);
    let key = PrivateKey::parse(&pem).unwrap();
    tree.write(
        &path("/root/pkcs8.pem"),
        wrapped("PRIVATE KEY", key.secret_pkcs8_der().secret_bytes()),
        0o600,
    );
    tree
}

/// Returns every byte that a snapshot consists of, but for the index when it is not asked about.
fn everything(archive: &Archive) -> Vec<u8> {
    archive.files().flat_map(|(_, bytes, _)| bytes.secret_bytes().to_vec()).collect()
}
