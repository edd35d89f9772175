use std::panic::{AssertUnwindSafe, catch_unwind};

use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn manifests() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("etcd.yaml");
    fs::write(&manifest, "etcd").unwrap();
    (dir, manifest)
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_manifest_is_hidden_until_the_pod_is_gone() {
    let (dir, manifest) = manifests();
    let mut looks = 0;
    let mut still_there = || {
        assert_eq!(names(&dir), [".etcd.yaml.kubecerts-away"]);
        looks += 1;
        Ok(if looks < 3 { vec!["container c1".to_owned()] } else { Vec::new() })
    };
    restart_by_manifest(&manifest, &mut still_there, PATIENCE).unwrap();
    assert_eq!((looks, names(&dir).as_slice()), (3, &["etcd.yaml".to_owned()][..]));
    assert_eq!(fs::read(&manifest).unwrap(), b"etcd");
}

#[test]
fn the_manifest_comes_back_from_timeouts_errors_and_panics() {
    let (dir, manifest) = manifests();
    let error =
        restart_by_manifest(&manifest, &mut || Ok(vec!["process 7".to_owned()]), Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "process 7 did not end within 0ns without its manifest");
    assert_eq!(names(&dir), ["etcd.yaml"]);

    let broken = || RuntimeError::Unreachable { endpoint: "unix:///x".to_owned(), detail: "gone".to_owned() };
    let error = restart_by_manifest(&manifest, &mut || Err(broken()), PATIENCE).unwrap_err();
    assert!(matches!(error, ManifestError::Runtime(RuntimeError::Unreachable { .. })), "{error}");
    assert_eq!(names(&dir), ["etcd.yaml"]);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = restart_by_manifest(&manifest, &mut || panic!("as is tested"), PATIENCE);
    }));
    assert!(panicked.is_err());
    assert_eq!(names(&dir), ["etcd.yaml"]);
}

#[test]
fn a_manifest_that_somebody_puts_there_meanwhile_is_not_replaced() {
    let (dir, manifest) = manifests();
    let mut still_there = || {
        fs::write(&manifest, "newer").unwrap();
        Ok(Vec::new())
    };
    let error = restart_by_manifest(&manifest, &mut still_there, PATIENCE).unwrap_err();
    assert!(matches!(&error, ManifestError::Replaced { path, .. } if *path == manifest), "{error}");
    assert_eq!(names(&dir), [".etcd.yaml.kubecerts-away", "etcd.yaml"]);
    assert_eq!(fs::read(&manifest).unwrap(), b"newer");

    let error = restart_by_manifest(&manifest, &mut || Ok(Vec::new()), PATIENCE).unwrap_err();
    assert!(matches!(error, ManifestError::AlreadyAway { .. }), "{error}");
    assert_eq!(fs::read(&manifest).unwrap(), b"newer");
}

#[test]
fn a_manifest_that_is_not_there_is_an_error_and_leaves_nothing() {
    let (dir, manifest) = manifests();
    let other = manifest.with_file_name("other.yaml");
    let error = restart_by_manifest(&other, &mut || Ok(Vec::new()), PATIENCE).unwrap_err();
    assert!(matches!(&error, ManifestError::Away { path, .. } if *path == other), "{error}");
    assert_eq!(names(&dir), ["etcd.yaml"]);
}

#[test]
fn what_a_killed_run_left_is_moved_back_unless_something_newer_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, content) in [
        (".etcd.yaml.kubecerts-away", "etcd"),
        (".kube-apiserver.yaml.kubecerts-away", "old"),
        ("kube-apiserver.yaml", "new"),
        (".kube-scheduler.yaml.swp", "an editor's"),
        (".kubecerts-away", "nothing's"),
        ("..kubecerts-away", "nothing's"),
        ("...x.kubecerts-away", "another's"),
    ] {
        fs::write(at(name), content).unwrap();
    }
    let found = restore_left_behind(dir.path()).unwrap();
    let (manifest, away) = (at("kube-apiserver.yaml"), at(".kube-apiserver.yaml.kubecerts-away"));
    assert_eq!(
        found,
        [
            LeftBehind::Restored { manifest: at("etcd.yaml") },
            LeftBehind::Superseded { manifest: manifest.clone(), away: away.clone() },
        ]
    );
    assert_eq!(fs::read(at("etcd.yaml")).unwrap(), b"etcd");
    assert_eq!((fs::read(manifest).unwrap(), fs::read(away).unwrap()), (b"new".to_vec(), b"old".to_vec()));
    assert_eq!(names(&dir).len(), 7);
    assert_eq!(restore_left_behind(dir.path()).unwrap().len(), 1);
    assert!(restore_left_behind(&at("nowhere")).unwrap().is_empty());
    assert!(matches!(restore_left_behind(&at("etcd.yaml")), Err(ManifestError::Directory { .. })));
}
