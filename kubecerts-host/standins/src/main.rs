//! The stand-in for the kubelet as a program, for tests that restart it as a service. It logs to standard error and runs
//! until it is killed.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use kubecerts_standins::{Kubelet, KubeletOptions};

fn main() -> ExitCode {
    let started = options(std::env::args().skip(1)).and_then(Kubelet::start);
    let kubelet = match started {
        Ok(kubelet) => kubelet,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "standin-kubelet: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let mut told = 0;
    loop {
        for line in &kubelet.log()[told..] {
            told += 1;
            // A log that nobody takes is no reason to end.
            let _ = writeln!(io::stderr(), "standin-kubelet: {line}");
        }
        sleep(Duration::from_millis(100));
    }
}

/// Reads the flags, which are `--name=value` each.
fn options(arguments: impl Iterator<Item = String>) -> Result<KubeletOptions, String> {
    let mut options = KubeletOptions::new(Path::new(""), Path::new(""));
    for argument in arguments {
        let (flag, value) = argument.split_once('=').ok_or(format!("{argument} has no value\n{USAGE}"))?;
        match flag {
            "--manifests" => options.manifests = PathBuf::from(value),
            "--socket" => options.socket = PathBuf::from(value),
            "--node" => options.node = value.to_owned(),
            "--root" => options.root = PathBuf::from(value),
            "--kubeconfig" => options.kubeconfig = Some(PathBuf::from(value)),
            "--healthz" => {
                options.healthz = value.parse::<SocketAddr>().map_err(|error| format!("{value}: {error}"))?;
            }
            "--api" => {
                let api = value.parse::<SocketAddr>().map_err(|error| format!("{value}: {error}"))?;
                options.api = Some(api);
            }
            "--unit-ms" => {
                let unit = value.parse().map_err(|error| format!("{value}: {error}"))?;
                options.unit = Duration::from_millis(unit);
            }
            _ => return Err(format!("{flag} is not a flag\n{USAGE}")),
        }
    }
    let missing = [&options.manifests, &options.socket].iter().any(|path| path.as_os_str().is_empty());
    if missing { Err(USAGE.to_owned()) } else { Ok(options) }
}

const USAGE: &str = "usage: standin-kubelet --manifests=DIR --socket=FILE [--node=NAME] [--root=DIR] \
[--kubeconfig=FILE] [--healthz=127.0.0.1:10248] [--api=127.0.0.1:10250] [--unit-ms=10000]";
