//! What the machine can do. No figure is held against anything but zero.

use serde_json::Value;

use crate::support::kubecerts;

#[test]
fn a_measurement_has_every_figure_and_is_what_its_schema_says() {
    let arguments = ["bench", "--seconds", "1", "--threads", "2", "--algorithm", "ECDSA-P256", "-o", "json"];
    let outcome = kubecerts(&arguments).exits(0);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let schema = kubecerts(&["schema", "measurements"]).exits(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{}\n{document:#}", errors.join("\n"));

    assert_eq!((&document["kind"], &document["threads"]), (&"Measurements".into(), &2.into()));
    let measurements = document["measurements"].as_array().unwrap();
    let rows: Vec<(&str, u64)> = measurements
        .iter()
        .map(|row| (row["provider"].as_str().unwrap(), row["threads"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [("host", 1), ("host", 2), ("rustcrypto", 1), ("rustcrypto", 2)]);
    for field in ["keysPerSecond", "signaturesPerSecond", "certificatesPerSecond"] {
        assert!(measurements.iter().all(|row| row[field].as_f64().unwrap() > 0.0), "{field}: {document:#}");
    }
    assert_eq!(document["estimates"].as_array().unwrap().len(), 2);
}

#[test]
fn people_get_a_table_and_how_long_jobs_take() {
    let outcome = kubecerts(&["bench", "--seconds", "1", "--threads", "1", "--algorithm", "ECDSA-P256"]);
    let outcome = outcome.exits(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("ALGORITHM    PROVIDER     THREADS"), "{}", outcome.stdout);
    assert!(lines[1].starts_with("ECDSA-P256   host         1"), "{}", outcome.stdout);
    assert!(lines[2].starts_with("ECDSA-P256   rustcrypto   1"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("1,000,000 CERTIFICATES"), "{}", outcome.stdout);
    assert!(outcome.stderr.starts_with("measuring for about 1 s"), "{}", outcome.stderr);
}

#[test]
fn nothing_secret_is_printed() {
    let arguments = ["bench", "--seconds", "1", "--threads", "1", "--algorithm", "ECDSA-P256", "-o", "json"];
    let outcome = kubecerts(&arguments).exits(0);
    let longest = outcome.stdout.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max().unwrap();
    assert!(longest < 32, "a word as long as a key: {}", outcome.stdout);
    assert!(!outcome.stdout.contains("-----BEGIN"), "{}", outcome.stdout);
}

#[test]
fn an_algorithm_is_measured_once_however_often_it_is_named() {
    let arguments = ["bench", "--seconds", "1", "--threads", "1", "--algorithm", "ECDSA-P256,ECDSA-P256"];
    let outcome =
        kubecerts(&[&arguments[..], &["--algorithm", "ECDSA-P256", "-o", "json"]].concat()).exits(0);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["measurements"].as_array().unwrap().len(), 2);
}

#[test]
fn a_measurement_that_makes_no_sense_is_refused() {
    for arguments in [
        &["--seconds", "0"][..],
        &["--seconds", "-1"],
        &["--seconds", "10s"],
        &["--seconds", "99999999999"],
        &["--threads", "0"],
        &["--threads", "1025"],
        &["--threads", "many"],
        &["--algorithm", "RSA-1024"],
        &["--algorithm", ""],
        &["-o", "yaml"],
        &["ca"],
    ] {
        let outcome = kubecerts(&[&["bench"], arguments].concat()).exits(2);
        assert!(outcome.stdout.is_empty(), "{arguments:?}: {}", outcome.stdout);
        assert!(outcome.stderr.contains("error:"), "{arguments:?}: {}", outcome.stderr);
    }
}
