//! What is wrong around the tree.

use kubecerts_core::catalog::LeafSlot;
use kubecerts_core::diagnosis::{
    Diagnosis, Finding, FindingCode, Impact, Policy, Remedy, Severity, diagnose,
};
use kubecerts_core::inventory::{FoundKind, Inventory, Place};
use kubecerts_core::kubeconfig::{Kubeconfig, Source, user_key};
use kubecerts_core::observation::Observations;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileState, ScanRequest, TreeReader, collect};
use kubecerts_testkit::{
    FIXTURES, Fixture, MemoryTree, Seeded, TOKEN_SIGNATURE, TreeBuilder, at, path, service_account_token,
};

use crate::support::*;

broken_trees! {
    a_copy_of_a_kubeconfig_from_before_the_renewal_is_stale: KubeconfigCopyStale => {
        let tree = renewed(|tree| tree.copy(ADMIN, "/root/.kube/config"));
        codes_at(&tree, "2026-06-01T00:00:00Z")
    };
    a_copy_that_is_over_is_stale_and_not_expired_as_well: KubeconfigCopyStale => {
        let tree = renewed(|tree| tree.copy(ADMIN, "/home/kim/.kube/config"));
        codes_around(&tree, "2027-01-02T00:00:00Z")
    };
    a_further_kubeconfig_in_a_home_is_a_copy: KubeconfigCopyStale => {
        let tree = renewed(|tree| tree.copy(ADMIN, "/home/kim/.kube/prod.yaml"));
        codes_around(&tree, "2026-06-01T00:00:00Z")
    };
    a_tree_where_kubeadm_would_have_it_beside_the_one_that_is_read_is_found: LayoutMismatch => {
        let mut tree = of_kubespray();
        for name in ["apiserver", "front-proxy-client", "etcd/server"] {
            tree.copy(&format!("/etc/kubernetes/ssl/{name}.crt"), &format!("/etc/kubernetes/pki/{name}.crt"));
        }
        codes_around(&tree, KUBESPRAY_NOW)
    };
    a_tree_of_kubespray_that_differs_from_the_one_that_is_read_is_found: LayoutMismatch => {
        let tree = broken(|tree| {
            let other = stranger().read_file(APISERVER).to_vec();
            tree.write(&path("/etc/kubernetes/ssl/apiserver.crt"), other, 0o644);
        });
        around(&tree)
    };
    a_copy_of_a_manifest_beside_it_is_a_duplicate: ManifestDuplicate => {
        let tree = broken(|tree| {
            let manifest = with_manifest(tree, "kube-scheduler.yaml");
            tree.copy(&manifest, &format!("{manifest}.bak"));
        });
        codes(&tree)
    };
    a_copy_that_sorts_first_is_the_duplicate: ManifestDuplicate => {
        let tree = broken(|tree| {
            let manifest = with_manifest(tree, "kube-scheduler.yaml");
            tree.copy(&manifest, "/etc/kubernetes/manifests/a.yaml");
        });
        around(&tree)
    };
    two_manifests_of_one_pod_of_the_site_are_duplicates: ManifestDuplicate => {
        let tree = broken(|tree| {
            for name in ["kube-vip.yaml", "kube-vip.yaml~"] {
                let manifest = b"{kind: Pod, metadata: {name: kube-vip}, spec: {containers: [{image: vip}]}}";
                tree.write(&path(&format!("/etc/kubernetes/manifests/{name}")), *manifest, 0o600);
            }
        });
        around(&tree)
    };
    a_certificate_of_the_kubelet_that_became_a_file_is_found: NotASymlink => {
        let tree = kubelet(|tree| {
            let pair = kubelet_pair("2026-01-01T00:00:00Z");
            tree.write(&path(CURRENT), pair, 0o600);
        });
        around(&tree)
    };
    a_link_of_the_kubelet_that_leads_nowhere_is_found_once: NotASymlink => {
        let tree = kubelet(|tree| {
            let pair = kubelet_pair("2026-01-01T00:00:00Z");
            tree.write(&path(DATED), pair, 0o600);
            tree.link(CURRENT, "kubelet-client-2026-07-01-00-00-00.pem");
        });
        around(&tree)
    };
    a_link_of_the_kubelet_to_an_earlier_certificate_is_found: NotASymlink => {
        let tree = kubelet(|tree| {
            tree.write(&path(DATED), kubelet_pair("2026-01-01T00:00:00Z"), 0o600);
            let newer = "/var/lib/kubelet/pki/kubelet-client-2026-05-01-00-00-00.pem";
            tree.write(&path(newer), kubelet_pair("2026-05-01T00:00:00Z"), 0o600);
            tree.link(CURRENT, DATED);
        });
        codes_around(&tree, "2026-06-01T00:00:00Z")
    };
    pods_that_trust_another_authority_are_found: RootCaStale => {
        let tree = broken(|tree| {
            let token = service_account_token(tree.read_file(SA_PUB));
            tree.add_pod("1", stranger().read_file(CA), &token);
        });
        around(&tree)
    };
    pods_with_tokens_of_another_key_are_found: SaTokenInvalid => {
        let tree = broken(|tree| {
            let ca = tree.read_file(CA).to_vec();
            tree.add_pod("1", &ca, &service_account_token(stranger().read_file(SA_PUB)));
        });
        around(&tree)
    };
    the_timer_of_kubespray_is_found: SimultaneousRestart => {
        let tree = broken(|tree| {
            timer(tree, "OnCalendar=Mon *-*-1,2,3,4,5,6,7 03:00:00\n", KUBESPRAY);
        });
        around(&tree)
    };
    a_crontab_that_restarts_etcd_is_found: SimultaneousRestart => {
        let tree = broken(|tree| {
            let tab = "SHELL=/bin/sh\n0 3 1 * * root docker ps -q --filter name=etcd | xargs docker restart\n";
            tree.write(&path("/etc/cron.d/etcd"), tab, 0o644);
        });
        around(&tree)
    };
    a_script_in_a_monthly_directory_is_found: SimultaneousRestart => {
        let tree = broken(|tree| tree.write(&path("/etc/cron.monthly/k8s-renew"), KUBESPRAY, 0o755));
        around(&tree)
    };
    a_timer_of_our_own_without_a_delay_is_found: SimultaneousRestart => {
        let tree = broken(|tree| own_timer(tree, "OnCalendar=weekly\n"));
        around(&tree)
    };
    a_copy_of_a_client_certificate_for_the_network_is_found: UnmanagedCopy => {
        let tree = broken(|tree| tree.copy(ETCD_CLIENT, "/etc/calico/certs/etcd-client.crt"));
        around(&tree)
    };
    a_copy_from_before_the_renewal_is_found: UnmanagedCopy => {
        let tree = renewed(|tree| tree.copy(ETCD_CLIENT, "/etc/prometheus/etcd/client.pem"));
        codes_around(&tree, "2026-06-01T00:00:00Z")
    };
}

#[test]
fn a_copy_is_a_notice_while_it_is_current_and_a_warning_afterwards() {
    let copy = "/etc/calico/certs/etcd-client.crt";
    let severities = |tree: &MemoryTree| {
        findings(tree, "2026-06-01T00:00:00Z").map(|finding| finding.severity).collect::<Vec<_>>()
    };
    assert_eq!(severities(&broken(|tree| tree.copy(ETCD_CLIENT, copy))), [Severity::Notice]);
    let tree = renewed(|tree| tree.copy(ETCD_CLIENT, copy));
    assert_eq!(severities(&tree), [Severity::Warning]);
    let found = findings(&tree, "2026-06-01T00:00:00Z").next().unwrap();
    assert_eq!(
        found.to_string(),
        "apiserver-etcd-client: /etc/calico/certs/etcd-client.crt holds an earlier certificate of it, which ends \
         2027-01-01T00:00:00Z: a renewal does not reach that file"
    );
    let source = format!("{:?}", found.remedy);
    assert!(source.contains("ReplaceCopy") && source.contains(ETCD_CLIENT), "{source}");
}

#[test]
fn certificates_of_other_clusters_with_the_same_names_are_no_copies() {
    let tree = broken(|tree| {
        tree.write(&path("/etc/calico/certs/x.crt"), stranger().read_file(ETCD_CLIENT), 0o644);
        tree.write(&path("/etc/calico/certs/ca.crt"), stranger().read_file(CA), 0o644);
        let own = tree.read_file(CA).to_vec();
        tree.write(&path("/etc/calico/certs/own-ca.crt"), own, 0o644);
    });
    assert_eq!(around(&tree), []);
}

#[test]
fn a_kubeconfig_of_another_cluster_at_home_asks_nothing_of_this_one() {
    let homes = ["/root/.kube/config", "/home/kim/.kube/config"];
    let tree = broken(|tree| {
        let theirs = String::from_utf8(stranger().read_file(ADMIN).to_vec()).unwrap();
        let server = theirs.lines().find(|line| line.contains("server: ")).unwrap();
        let theirs = theirs.replace(server, "    server: https://evil.example.com:6443");
        for home in homes {
            tree.write(&path(home), theirs.clone(), 0o600);
        }
    });
    assert_eq!(around(&tree), []);
    let inventory = tree.inventory_around();
    assert!(homes.iter().all(|home| !inventory.is_copy(&path(home))));
    let expected = inventory.expected_names(LeafSlot::ApiServer);
    assert!(expected.iter().all(|expected| expected.name.host() != "evil.example.com"));
}

#[test]
fn only_copies_of_root_say_by_which_name_the_api_server_is_reached() {
    let home = path("/home/kim/.kube/config");
    let names_of = |uid: u32| {
        let mut tree = broken(|tree| tree.copy(ADMIN, home.as_str()));
        let server = value(&tree, home.as_str(), "server: ");
        replace(&mut tree, home.as_str(), &server, "https://lb.example.com:6443");
        let mut snapshot = tree.snapshot();
        let content = snapshot.at(&home).unwrap().content().unwrap();
        let mut meta = content.meta().clone();
        meta.uid = uid;
        let bytes = SecretBytes::new(content.secret_bytes().to_vec());
        snapshot.insert_copy(home.clone(), FileState::Present(FileContent::new(bytes, meta)));
        let inventory = Inventory::parse(&snapshot);
        assert!(inventory.is_copy(&home));
        inventory
            .lacking_names(LeafSlot::ApiServer)
            .into_iter()
            .map(|lacking| lacking.name.host())
            .collect::<Vec<_>>()
    };
    assert_eq!(names_of(0), ["lb.example.com"]);
    assert_eq!(names_of(1000), [""; 0]);
}

#[test]
fn a_copy_that_trusts_another_authority_is_a_warning_that_decides_nothing() {
    let home = "/root/.kube/config";
    let tree = broken(|tree| {
        tree.copy(ADMIN, home);
        let other = stranger().read_file(CA).to_vec();
        trust(tree, home, &other);
    });
    let diagnosis = diagnosis(&tree.inventory_around(), "2026-01-02T00:00:00Z");
    let [found] = diagnosis.findings() else { panic!("{diagnosis:?}") };
    assert_eq!((found.code, found.severity), (FindingCode::KubeconfigCaStale, Severity::Warning));
    assert_eq!(found.remedy, Remedy::SetAuthority(Place::Copy(path(home))));
    assert_eq!(diagnosis.impact(), Impact::None);
}

#[test]
fn an_earlier_certificate_of_the_authority_in_a_kubeconfig_is_a_warning_with_its_end() {
    let tree = broken(|tree| tree.redraft(CA, CA_KEY, |ca| ca.not_after = at("2045-01-01T00:00:00Z")));
    let found: Vec<Finding> = findings(&tree, "2026-01-02T00:00:00Z").collect();
    assert!(!found.is_empty());
    for finding in found {
        assert_eq!((finding.code, finding.severity), (FindingCode::KubeconfigCaStale, Severity::Warning));
        assert!(finding.message.contains("which ends 20"), "{finding}");
    }
}

#[test]
fn backups_are_found_and_no_finding() {
    let places = [
        "/etc/kubernetes/pki.bak/apiserver.crt",
        "/etc/kubernetes/backup-2025/pki/etcd/server.crt",
        "/etc/kubernetes/pki/apiserver.crt.old",
        "/etc/kubernetes.old-1/pki/apiserver.crt",
        "/etc/kubernetes/tmp/kubeadm-backup-1/pki/apiserver.crt",
        "/var/lib/kubecerts/backups/20260101T000000Z/files/etc/kubernetes/pki/etcd/server.crt",
        "/etc/kubernetes/ssl/old/apiserver.crt",
    ];
    let mut tree = renewed(|tree| {
        for place in places {
            tree.copy(APISERVER, place);
        }
        tree.copy(ADMIN, "/etc/kubernetes/admin.conf.bak");
        tree.copy(ADMIN, "/root/.kube/config.bak");
    });
    // What is no certificate is not kept.
    tree.write(&path("/etc/kubernetes/pki.bak/README.pem"), "nothing", 0o644);
    let inventory = tree.inventory_around();
    assert_eq!(codes_of(&inventory, "2026-06-01T00:00:00Z"), []);
    let found: Vec<&str> =
        inventory.surroundings().certificates.iter().map(|found| found.file.path.as_str()).collect();
    let mut expected: Vec<&str> = places.to_vec();
    expected.extend(["/etc/kubernetes/admin.conf.bak", "/root/.kube/config.bak"]);
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(inventory.surroundings().certificates.iter().all(|found| found.kind == FoundKind::Backup));
    let kubeconfig = &inventory.surroundings().certificates
        [expected.iter().position(|path| path.ends_with("conf.bak")).unwrap()];
    assert_eq!(kubeconfig.keys.len(), 1);
    assert_eq!(kubeconfig.certificates.certificates().len(), 2, "the user's, and the authority");
}

#[test]
fn a_directory_of_which_anything_is_in_use_is_not_moved_away() {
    let mut own = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    own.copy(APISERVER, "/etc/kubernetes/custom/tls.crt");
    own.copy(APISERVER_KEY, "/etc/kubernetes/custom/tls.key");
    for (kind, file) in [("crt", "tls-cert-file"), ("key", "tls-private-key-file")] {
        let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let kubeadms = format!("--{file}=/etc/kubernetes/pki/apiserver.{kind}");
        replace(&mut own, manifest, &kubeadms, &format!("--{file}=/etc/kubernetes/custom/tls.{kind}"));
    }
    let found: Vec<Finding> = findings(&own, FRESH).collect();
    let moved: Vec<&Remedy> = found
        .iter()
        .filter(|finding| finding.code == FindingCode::LayoutMismatch)
        .map(|finding| &finding.remedy)
        .collect();
    assert_eq!(moved, [&Remedy::MoveFilesAway(vec![path(APISERVER)])]);
    // Of one that nothing refers to, nothing is lost.
    let mut other = of_kubespray();
    other.copy("/etc/kubernetes/ssl/apiserver.crt", APISERVER);
    let whole = findings(&other, KUBESPRAY_NOW).find(|found| found.code == FindingCode::LayoutMismatch);
    assert_eq!(whole.unwrap().remedy, Remedy::MoveAway(path("/etc/kubernetes/pki")));
}

#[test]
fn a_second_directory_that_is_a_link_is_no_second_layout() {
    let mut tree = of_kubespray();
    tree.link("/etc/kubernetes/pki", "ssl");
    assert_eq!(codes_around(&tree, KUBESPRAY_NOW), []);
    let kubeadms = broken(|tree| tree.link("/etc/kubernetes/ssl", "pki"));
    assert_eq!(around(&kubeadms), []);
}

#[test]
fn a_link_of_the_kubelet_to_its_newest_certificate_is_no_finding() {
    let link = |target: &str| {
        kubelet(|tree| {
            let pair = kubelet_pair("2026-01-01T00:00:00Z");
            tree.write(&path(DATED), pair, 0o600);
            // Left behind by a full disk, and never in use.
            tree.write(&path("/var/lib/kubelet/pki/kubelet-client-2026-05-01-00-00-00.pem"), *b"", 0o600);
            tree.link(CURRENT, target);
        })
    };
    for target in [DATED, "kubelet-client-2026-01-01-00-00-00.pem"] {
        assert_eq!(around(&link(target)), [], "{target}");
    }
    let elsewhere = kubelet(|tree| {
        let pair = kubelet_pair("2026-01-01T00:00:00Z");
        tree.write(&path("/data/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem"), pair, 0o600);
        tree.link("/data/kubelet/pki/kubelet-client-current.pem", "kubelet-client-2026-01-01-00-00-00.pem");
        tree.link("/var/lib/kubelet", "/data/kubelet");
    });
    assert_eq!(around(&elsewhere), []);
}

#[test]
fn the_link_is_mended_as_what_is_there_allows() {
    let remedy = |tree: &MemoryTree| findings(tree, "2026-01-02T00:00:00Z").next().unwrap().remedy;
    let text = |remedy: Remedy| format!("{remedy:?}");
    let file = kubelet(|tree| {
        let pair = kubelet_pair("2026-01-01T00:00:00Z");
        tree.write(&path(CURRENT), pair, 0o600);
    });
    // The certificate is backdated by five minutes, as kubeadm does it.
    assert!(text(remedy(&file)).starts_with("MoveAndLink"), "{:?}", remedy(&file));
    assert!(text(remedy(&file)).contains("kubelet-client-202"), "{:?}", remedy(&file));
    let dangling = kubelet(|tree| {
        let pair = kubelet_pair("2026-01-01T00:00:00Z");
        tree.write(&path(DATED), pair, 0o600);
        tree.link(CURRENT, "gone.pem");
    });
    assert!(text(remedy(&dangling)).starts_with("Relink"));
    let lost = kubelet(|tree| tree.link(CURRENT, "gone.pem"));
    assert!(text(remedy(&lost)).starts_with("Restore"));
}

#[test]
fn pods_that_were_given_what_is_current_are_no_finding() {
    let tree = broken(|tree| {
        let (ca, sa) = (tree.read_file(CA).to_vec(), tree.read_file(SA_PUB).to_vec());
        let bundle = [stranger().read_file(CA), &ca].concat();
        tree.add_pod("1", &ca, &service_account_token(&sa));
        tree.add_pod("2", &bundle, &service_account_token(&sa));
        // A volume of something else, and tokens that say nothing.
        tree.write(&path(&format!("{}/3/{VOLUMES}/bundle/ca.crt", PODS)), stranger().read_file(CA), 0o644);
        for (index, text) in ["", "a.b.c", "not a token", "e30.e30.x"].into_iter().enumerate() {
            tree.add_pod(&format!("4-{index}"), &ca, text);
        }
    });
    assert_eq!(around(&tree), []);
}

#[test]
fn pods_that_know_the_authority_before_its_end_was_moved_are_no_finding() {
    let tree = broken(|tree| {
        let (ca, token) = (tree.read_file(CA).to_vec(), service_account_token(tree.read_file(SA_PUB)));
        tree.add_pod("1", &ca, &token);
        tree.redraft(CA, CA_KEY, |ca| ca.not_after = at("2045-01-01T00:00:00Z"));
        let extended = tree.read_file(CA).to_vec();
        for kubeconfig in ["admin", "super-admin", "controller-manager", "scheduler"] {
            trust(tree, &format!("/etc/kubernetes/{kubeconfig}.conf"), &extended);
        }
    });
    assert_eq!(around(&tree), []);
}

#[test]
fn tokens_of_a_key_that_the_server_still_accepts_are_no_finding() {
    const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    let flag = "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n";
    let earlier = stranger().read_file(SA_PUB).to_vec();
    let with_token = |change: &dyn Fn(&mut MemoryTree)| {
        broken_node(|tree| {
            let (ca, pair) = (tree.read_file(CA).to_vec(), tree.read_file(CURRENT).to_vec());
            tree.remove(CURRENT);
            tree.write(&path(DATED), pair, 0o600);
            tree.link(CURRENT, DATED);
            tree.add_pod("1", &ca, &service_account_token(&earlier));
            change(tree);
        })
    };
    let in_a_file_of_its_own = with_token(&|tree| {
        tree.write(&path("/etc/kubernetes/pki/sa-old.pub"), earlier.clone(), 0o600);
        replace(tree, MANIFEST, flag, &format!("{flag}{}", flag.replace("sa.pub", "sa-old.pub")));
    });
    let behind_the_current_one =
        with_token(&|tree| tree.edit(SA_PUB, |content| content.extend_from_slice(&earlier)));
    for tree in [in_a_file_of_its_own, behind_the_current_one] {
        assert_eq!(codes_around(&tree, FRESH), []);
    }
    assert_eq!(codes_around(&with_token(&|_| ()), FRESH), [FindingCode::SaTokenInvalid]);
}

#[test]
fn one_pod_of_many_is_a_warning() {
    let tree = broken(|tree| {
        let (ca, sa) = (tree.read_file(CA).to_vec(), service_account_token(tree.read_file(SA_PUB)));
        tree.add_pod("1", &ca, &sa);
        tree.add_pod("2", &ca, &service_account_token(stranger().read_file(SA_PUB)));
    });
    let found: Vec<Finding> = findings(&tree, "2026-01-02T00:00:00Z").collect();
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].message.starts_with("1 of 2 volumes of pods"), "{}", found[0].message);
}

#[test]
fn what_is_kept_of_a_token_is_not_the_token() {
    let tree = broken(|tree| {
        let ca = tree.read_file(CA).to_vec();
        tree.add_pod("1", &ca, &service_account_token(stranger().read_file(SA_PUB)));
    });
    let inventory = tree.inventory_around();
    let diagnosis = diagnosis(&inventory, "2026-01-02T00:00:00Z");
    let said = format!("{inventory:?}{diagnosis:?}");
    assert!(said.contains("https://kubernetes.default.svc"));
    assert!(!said.contains(TOKEN_SIGNATURE) && !said.contains("eyJ"));
}

#[test]
fn timers_that_keep_nodes_apart_are_no_finding() {
    let trees = [
        broken(|tree| own_timer(tree, "OnCalendar=weekly\nRandomizedDelaySec=6h\n")),
        broken(|tree| own_timer(tree, "OnUnitActiveSec=1w\n")),
        broken(|tree| {
            own_timer(tree, "OnCalendar=weekly\n");
            let drop_in = "/etc/systemd/system/kubecerts.timer.d/delay.conf";
            tree.write(&path(drop_in), "[Timer]\nRandomizedDelaySec=2h\n", 0o644);
        }),
        broken(|tree| {
            let tab = "0 3 * * 1 root flock -n /run/lock/renew kubecerts renew --restart --yes\n";
            tree.write(&path("/etc/crontab"), tab, 0o644);
        }),
        broken(|tree| {
            timer(
                tree,
                "OnCalendar=daily\n",
                "#!/bin/sh\netcdctl snapshot save /backup/etcd.db\nkubeadm certs check-expiration\n",
            );
        }),
        broken(|tree| {
            tree.write(&path("/usr/lib/systemd/system/fstrim.timer"), "[Timer]\nOnCalendar=weekly\n", 0o644);
            tree.write(
                &path("/usr/lib/systemd/system/fstrim.service"),
                "[Service]\nExecStart=/sbin/fstrim -a\n",
                0o644,
            );
        }),
    ];
    for tree in trees {
        assert_eq!(around(&tree), []);
    }
}

#[test]
fn every_reason_for_not_restarting_so_is_said() {
    let tree = broken(|tree| timer(tree, "OnCalendar=monthly\n", KUBESPRAY));
    let found: Vec<String> = findings(&tree, "2026-01-02T00:00:00Z").map(|finding| finding.message).collect();
    let expected = "/etc/systemd/system/k8s-certs-renew.timer restarts the control plane by /usr/local/bin/k8s-certs-renew.sh: \
                    at the same moment on every node that has it, unless other nodes have another calendar (monthly), etcd together with the rest, \
                    and waits for them without a limit";
    assert_eq!(found, [expected]);
    let alone = broken(|tree| tree.write(&path("/usr/local/bin/renew-kube.sh"), KUBESPRAY, 0o755));
    let found: Vec<Severity> =
        findings(&alone, "2026-01-02T00:00:00Z").map(|finding| finding.severity).collect();
    assert_eq!(found, [Severity::Notice], "nobody runs it at a time");
}

#[test]
fn whether_the_kubelet_could_ask_for_a_certificate_is_known_once_somebody_has_looked() {
    let mut tree = broken(|_| ());
    assert_eq!(tree.inventory().surroundings().has_bootstrap_kubeconfig, None);
    assert_eq!(tree.inventory_around().surroundings().has_bootstrap_kubeconfig, Some(false));
    tree.write(&path("/etc/kubernetes/bootstrap-kubelet.conf"), *b"{}", 0o600);
    assert_eq!(tree.inventory_around().surroundings().has_bootstrap_kubeconfig, Some(true));
}

#[test]
fn without_being_asked_to_nobody_looks_around() {
    let tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    let (mut alone, mut around) = (Counter::of(&tree), Counter::of(&tree));
    let mut request = ScanRequest::default();
    let _ = collect(&mut alone, ScanRequest::default());
    request.surroundings = true;
    let _ = collect(&mut around, request);
    assert!(around.asked.starts_with(&alone.asked), "what a scan reads comes first, and is the same");
    let foreign = |asked: &TreePath| {
        ["/etc/systemd", "/etc/cron.d", "/etc/cni"].iter().any(|top| asked.as_str().starts_with(top))
    };
    assert!(!alone.asked.iter().any(foreign) && around.asked.iter().any(foreign));
    // Each question takes some system calls, so that there are not thousands of them matters.
    assert!(around.asked.len() < 300, "{} and {}", alone.asked.len(), around.asked.len());
}

/// A tree that remembers what it was asked for.
struct Counter {
    tree: MemoryTree,
    asked: Vec<TreePath>,
}

impl Counter {
    fn of(tree: &MemoryTree) -> Self {
        Self { tree: tree.clone(), asked: Vec::new() }
    }
}

impl TreeReader for Counter {
    fn read(&mut self, path: &TreePath) -> FileState {
        self.asked.push(path.clone());
        self.tree.read(path)
    }

    fn list(&mut self, path: &TreePath) -> Vec<TreePath> {
        self.asked.push(path.clone());
        self.tree.list(path)
    }
}

#[test]
fn kubeadms_own_trees_have_nothing_around_them() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            let (alone, around) = (tree.inventory(), tree.inventory_around());
            let now = "2026-12-01T00:00:00Z";
            assert_eq!(diagnosis(&alone, now), diagnosis(&around, now), "{name}");
            assert!(
                around.surroundings().certificates.is_empty() && around.surroundings().left_out.is_empty()
            );
        }
    }
}

const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const DATED: &str = "/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem";
const ETCD_CLIENT: &str = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
const SA_PUB: &str = "/etc/kubernetes/pki/sa.pub";
const PODS: &str = "/var/lib/kubelet/pods";
const VOLUMES: &str = "volumes/kubernetes.io~projected";

/// What kubespray installs, shortened.
const KUBESPRAY: &str = "#!/bin/bash
/usr/local/bin/kubeadm certs renew all
/usr/local/bin/crictl pods --namespace kube-system --name 'kube-scheduler-*|kube-controller-manager-*|kube-apiserver-*|etcd-*' -q | xargs /usr/local/bin/crictl rmp -f
cp /etc/kubernetes/admin.conf /root/.kube/config
until printf '' 2>>/dev/null >>/dev/tcp/127.0.0.1/6443; do sleep 1; done
";

/// A moment at which the certificates of [`of_kubespray`] are good.
const KUBESPRAY_NOW: &str = "2026-12-01T00:00:00Z";

/// Returns the code of every finding on the day after the tree was made, with a look around.
fn around(tree: &MemoryTree) -> Vec<FindingCode> {
    codes_around(tree, "2026-01-02T00:00:00Z")
}

fn codes_around(tree: &MemoryTree, now: &str) -> Vec<FindingCode> {
    codes_of(&tree.inventory_around(), now)
}

fn findings(tree: &MemoryTree, now: &str) -> impl Iterator<Item = Finding> {
    diagnosis(&tree.inventory_around(), now).findings().to_vec().into_iter()
}

fn diagnosis(inventory: &Inventory, now: &str) -> Diagnosis {
    diagnose(inventory, &Observations::none(), Policy::default(), at(now))
}

/// Returns a tree that was changed on its first day and renewed in May.
fn renewed(change: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = broken(change);
    tree.renew(
        &PlanRequest::with_selection(Selection::All),
        at("2026-05-01T00:00:00Z"),
        &mut Seeded::provider(2),
    );
    tree
}

/// Returns a tree that kubeadm made, moved to where kubespray has it, with the manifests that say so.
fn of_kubespray() -> MemoryTree {
    let mut tree = MemoryTree::default();
    for (file, content, mode) in Fixture::named("kubeadm-v136-ecdsa-p256").tree().files() {
        if file.as_str().ends_with("kubelet.conf") {
            continue;
        }
        let moved = file.as_str().replace("/etc/kubernetes/pki", "/etc/kubernetes/ssl");
        let content = match file.as_str().ends_with(".yaml") {
            true => String::from_utf8(content.to_vec())
                .unwrap()
                .replace("/etc/kubernetes/pki", "/etc/kubernetes/ssl")
                .into_bytes(),
            false => content.to_vec(),
        };
        tree.write(&path(&moved), content, mode);
    }
    tree
}

/// Adds one of kubeadm's manifests, and returns its path.
fn with_manifest(tree: &mut MemoryTree, name: &str) -> String {
    let manifest = format!("/etc/kubernetes/manifests/{name}");
    let kubeadms = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    tree.write(&path(&manifest), kubeadms.read_file(&manifest), 0o600);
    manifest
}

/// Returns a tree whose kubelet.conf refers to the certificate that the kubelet rotates, which `change` brings.
fn kubelet(change: impl FnOnce(&mut MemoryTree)) -> MemoryTree {
    let mut tree = TreeBuilder::kubeadm().build();
    rotate(&mut tree);
    tree.remove(CURRENT);
    change(&mut tree);
    tree
}

/// Returns the certificate that a kubelet got at `made`, and its key, in one file.
fn kubelet_pair(made: &str) -> Vec<u8> {
    let tree = TreeBuilder::kubeadm().made(at(made)).build();
    let bytes = tree.read_file("/etc/kubernetes/kubelet.conf");
    let parsed = Kubeconfig::parse(bytes).unwrap();
    let user = parsed.current().unwrap().user;
    let Source::Data(certificate) = user.client_certificate() else { panic!("it is embedded") };
    [certificate.as_slice(), user_key(bytes, user.name()).unwrap().secret_bytes()].concat()
}

fn timer(tree: &mut MemoryTree, schedule: &str, script: &str) {
    let unit = |name: &str| path(&format!("/etc/systemd/system/k8s-certs-renew.{name}"));
    tree.write(&unit("timer"), format!("[Unit]\nDescription=x\n[Timer]\n{schedule}"), 0o644);
    let service = "[Service]\nType=oneshot\nExecStart=/usr/local/bin/k8s-certs-renew.sh\n";
    tree.write(&unit("service"), service, 0o644);
    tree.write(&path("/usr/local/bin/k8s-certs-renew.sh"), script, 0o755);
}

fn own_timer(tree: &mut MemoryTree, schedule: &str) {
    let unit = |name: &str| path(&format!("/etc/systemd/system/kubecerts.{name}"));
    tree.write(&unit("timer"), format!("[Timer]\n{schedule}"), 0o644);
    let service = "[Service]\nType=oneshot\nExecStart=/usr/local/bin/kubecerts renew --restart --yes\n";
    tree.write(&unit("service"), service, 0o644);
}
