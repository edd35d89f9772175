//! The directory of the manifests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::pod::Pod;

/// Which static pods a directory asks for.
#[derive(Debug)]
pub(crate) struct Source {
    directory: PathBuf,
    node: String,
    files: BTreeMap<OsString, Known>,
}

/// A file as it was when it was last read.
#[derive(Debug)]
struct Known {
    content: Vec<u8>,
    pod: Option<Pod>,
}

impl Source {
    pub(crate) fn new(directory: PathBuf, node: String) -> Self {
        Self { directory, node, files: BTreeMap::new() }
    }

    /// Reads what has changed. Returns whether something has, or why a file was not understood.
    ///
    /// A file that is half written goes on asking for the pod that it last described.
    pub(crate) fn read(&mut self) -> (bool, Vec<String>) {
        let mut old = std::mem::take(&mut self.files);
        let (mut has_changed, mut complaints) = (false, Vec::new());
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // What is no file, or is gone by now, asks for nothing.
            let Ok(content) = fs::read(entry.path()) else { continue };
            let known = match old.remove(&name) {
                Some(known) if known.content == content => known,
                before => {
                    has_changed = true;
                    let pod = match Pod::parse(&content, &self.node) {
                        Ok(pod) => Some(pod),
                        Err(reason) => {
                            complaints.push(format!("{}: {reason}", name.display()));
                            before.and_then(|known| known.pod)
                        }
                    };
                    Known { content, pod }
                }
            };
            self.files.insert(name, known);
        }
        (has_changed || !old.is_empty(), complaints)
    }

    /// Returns the pods by their uid. Of several files that describe a pod of one name, the first counts.
    pub(crate) fn pods(&self) -> BTreeMap<String, Pod> {
        let mut by_name = BTreeMap::new();
        for pod in self.files.values().filter_map(|known| known.pod.as_ref()) {
            by_name.entry((&pod.manifest.metadata.namespace, &pod.name)).or_insert(pod);
        }
        by_name.into_values().map(|pod| (pod.uid.clone(), pod.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"kind": "Pod", "metadata": {"name": "etcd"}, "spec": {"containers": []}}"#;

    #[test]
    fn dot_files_directories_and_second_files_of_a_pod_ask_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut source = Source::new(directory.path().to_owned(), "cp-1".to_owned());
        fs::write(directory.path().join("etcd.yaml"), POD).unwrap();
        fs::write(directory.path().join(".new.yaml"), POD.replace("etcd", "hidden")).unwrap();
        fs::write(directory.path().join("etcd.yaml.bak"), format!("{POD}\n")).unwrap();
        fs::create_dir(directory.path().join("old")).unwrap();
        assert_eq!(source.read(), (true, Vec::new()));
        assert_eq!(source.read(), (false, Vec::new()));
        let pods = source.pods();
        assert_eq!(pods.len(), 1);
        assert_eq!(pods.values().next().unwrap().uid, Pod::parse(POD.as_bytes(), "cp-1").unwrap().uid);
    }

    #[test]
    fn a_half_written_manifest_goes_on_asking_for_its_pod() {
        let directory = tempfile::tempdir().unwrap();
        let mut source = Source::new(directory.path().to_owned(), "cp-1".to_owned());
        let file = directory.path().join("etcd.yaml");
        fs::write(&file, POD).unwrap();
        source.read();
        fs::write(&file, &POD[..30]).unwrap();
        let (has_changed, complaints) = source.read();
        assert!(has_changed && complaints[0].starts_with("etcd.yaml: "), "{complaints:?}");
        assert_eq!(source.pods().len(), 1);
        fs::remove_file(&file).unwrap();
        assert_eq!(source.read(), (true, Vec::new()));
        assert_eq!(source.pods().len(), 0);
    }
}
