//! A private Docker Engine.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::archive;

/// A Docker Engine that has everything below one directory. It and its containers end with this value.
pub(crate) struct Daemon {
    directory: TempDir,
    process: Child,
    cgroup: String,
}

/// The ids of a pod.
pub(crate) struct Ids {
    pub(crate) sandbox: String,
    pub(crate) container: String,
}

impl Daemon {
    /// Starts the engine of a Debian release; `None`, with the reason on stderr, when it cannot be had here.
    #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
    pub(crate) fn start(suite: &str) -> Option<Self> {
        let program = match Programs::find(suite) {
            Ok(program) => program,
            Err(reason) => {
                eprintln!("SKIPPED docker of {suite}: {reason}");
                return None;
            }
        };
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        // The only runc that runs on every glibc, whatever else is in the path.
        symlink(&program.runc, at("bin/runc")).unwrap();
        fs::write(at("daemon.json"), "{}").unwrap();
        let mut path = OsString::from(at("bin"));
        for more in [program.directory.join("usr/sbin"), program.directory.join("usr/bin")] {
            path.push(":");
            path.push(more);
        }
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let cgroup = format!("/kubecerts-{}", directory.path().file_name().unwrap().to_str().unwrap());
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let log = File::create(at("log")).unwrap();
        let process = Command::new(&program.dockerd)
            .args([option("config-file", &at("daemon.json")), option("data-root", &at("data"))])
            .args([option("exec-root", &at("exec")), option("pidfile", &at("pid"))])
            .arg(format!("--host=unix://{}", at("docker.sock").display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
            .args(["--ip-masq=false", "--userland-proxy=false", "--exec-opt=native.cgroupdriver=cgroupfs"])
            .args([format!("--cgroup-parent={cgroup}"), "--storage-driver=overlay2".to_owned()])
            .env("PATH", path)
            .env("LD_LIBRARY_PATH", program.libraries)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { directory, process, cgroup };
        daemon.wait_until_up();
        let image = archive::image(IMAGE, &fs::read(program.busybox).unwrap(), &["sleep", "3600"]);
        daemon.call("POST", "/images/load?quiet=1", "application/x-tar", &image, &[200]);
        Some(daemon)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Stops the engine's program where it is, as if it hung, and returns once not one of its threads runs any more.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.process), Signal::STOP).unwrap();
        let until = Instant::now() + PATIENCE;
        let is_stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // `123 (dockerd) T 1 ...`
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        let threads = format!("/proc/{}/task", self.process.id());
        while !fs::read_dir(&threads).unwrap().all(|thread| is_stopped(thread.unwrap())) {
            assert!(Instant::now() < until, "dockerd does not stop");
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.process), Signal::CONT).unwrap();
    }

    /// Starts a sandbox and a container in it, named and marked as dockershim does.
    pub(crate) fn run_pod(&self, container: &str, pod: &str, namespace: &str) -> Ids {
        let labels = |kind: &str, name: &str, sandbox: &str| {
            let mut labels = json!({
                "io.kubernetes.docker.type": kind,
                "io.kubernetes.container.name": name,
                "io.kubernetes.pod.name": pod,
                "io.kubernetes.pod.namespace": namespace,
                "io.kubernetes.pod.uid": "u1",
            });
            match kind {
                "podsandbox" => labels["component"] = container.into(),
                _ => labels["io.kubernetes.sandbox.id"] = sandbox.into(),
            }
            labels
        };
        // A pod of before may still have the first number.
        let number = self.serial();
        let config = json!({
            "Image": IMAGE,
            "Labels": labels("podsandbox", "POD", ""),
            "HostConfig": { "NetworkMode": "host", "IpcMode": "shareable" },
        });
        let sandbox =
            self.run_container(&format!("k8s_POD_{pod}_{namespace}_u1_{number}"), &config.to_string());
        let shared = format!("container:{sandbox}");
        let config = json!({
            "Image": IMAGE,
            "Labels": labels("container", container, &sandbox),
            "HostConfig": { "NetworkMode": shared, "IpcMode": shared },
        });
        let name = format!("k8s_{container}_{pod}_{namespace}_u1_{number}");
        let container = self.run_container(&name, &config.to_string());
        Ids { sandbox, container }
    }

    /// Starts a container and returns its id.
    pub(crate) fn run_container(&self, name: &str, config: &str) -> String {
        let mut config: Value = serde_json::from_str(config).unwrap();
        config["Image"] = IMAGE.into();
        if config["HostConfig"].is_null() {
            config["HostConfig"] = json!({ "NetworkMode": "host" });
        }
        let path = format!("/containers/create?name={name}");
        let made = self.call("POST", &path, "application/json", config.to_string().as_bytes(), &[201]);
        let made: Value = serde_json::from_slice(&made).unwrap();
        let id = made["Id"].as_str().unwrap().to_owned();
        self.call("POST", &format!("/containers/{id}/start"), "application/json", b"", &[204]);
        id
    }

    pub(crate) fn stop(&self, id: &str) {
        self.call("POST", &format!("/containers/{id}/stop?t=0"), "application/json", b"", &[204, 304]);
    }

    pub(crate) fn remove(&self, id: &str) {
        self.call("DELETE", &format!("/containers/{id}?force=1"), "application/json", b"", &[204]);
    }

    pub(crate) fn exists(&self, id: &str) -> bool {
        let (status, _) = self.ask("GET", &format!("/containers/{id}/json"), "text/plain", b"").unwrap();
        assert!(matches!(status, 200 | 404), "{status}");
        status == 200
    }

    /// Returns how many containers there are, running or not.
    fn serial(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> Vec<String> {
        let Ok((200, body)) = self.ask("GET", "/containers/json?all=1", "text/plain", b"") else {
            return Vec::new();
        };
        let all: Vec<Value> = serde_json::from_slice(&body).unwrap_or_default();
        all.iter().filter_map(|entry| entry["Id"].as_str().map(str::to_owned)).collect()
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn wait_until_up(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !matches!(self.ask("GET", "/_ping", "text/plain", b""), Ok((200, _))) {
            let has_ended = self.process.try_wait().unwrap();
            assert!(has_ended.is_none() && Instant::now() < until, "dockerd does not start: {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: &[u8], expected: &[u16]) -> Vec<u8> {
        let (status, answer) = self.ask(method, path, kind, body).unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(expected.contains(&status), "{method} {path}: {status} {text}\n{}", self.log());
        answer
    }

    /// Sends a request as HTTP/1.0, whose answer ends with the connection, and returns status and body.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or(std::io::ErrorKind::InvalidData)?;
        let head = String::from_utf8_lossy(&answer[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, answer.split_off(end + 4)))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing here may panic, and what fails is as well as gone.
        let _ = kill_process(Pid::from_child(&self.process), Signal::CONT);
        for id in self.all() {
            let _ = self.ask("DELETE", &format!("/containers/{id}?force=1"), "text/plain", b"");
        }
        let containerd = fs::read_to_string(self.directory.path().join("exec/containerd/containerd.pid"));
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(15);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(Duration::from_millis(50));
        }
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            let pid = containerd.ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = self.directory.path().to_str().unwrap_or("/nowhere");
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| point.starts_with(below)) {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join(self.cgroup.trim_start_matches('/')));
        }
    }
}

struct Programs {
    directory: PathBuf,
    dockerd: PathBuf,
    runc: PathBuf,
    busybox: PathBuf,
    /// Where those libraries lie that the machine does not have.
    libraries: PathBuf,
}

impl Programs {
    /// Returns the programs of a release, or why they cannot be used.
    fn find(suite: &str) -> Result<Self, String> {
        if !geteuid().is_root() {
            return Err("only root may start it".to_owned());
        }
        let parts = env::var_os("KUBECERTS_PARTS").ok_or("KUBECERTS_PARTS is not set")?;
        let parts = PathBuf::from(parts);
        let directory = parts.join(suite);
        let find = |directory: &Path, names: [&str; 2]| {
            let found = names.into_iter().map(|name| directory.join(name)).find(|path| path.is_file());
            found.ok_or_else(|| format!("{} is not below {}", names[0], directory.display()))
        };
        let dockerd = find(&directory, ["usr/sbin/dockerd", "usr/bin/dockerd"])?;
        find(&directory, ["usr/bin/containerd", "usr/sbin/containerd"])?;
        let bookworm = parts.join("bookworm");
        let runc = find(&bookworm, ["usr/sbin/runc", "usr/bin/runc"])?;
        let busybox = find(&bookworm, ["bin/busybox", "usr/bin/busybox"])?;
        let libraries = bookworm.join(format!("usr/lib/{}-linux-gnu", env::consts::ARCH));
        Ok(Self { directory, dockerd, runc, busybox, libraries })
    }
}

const IMAGE: &str = "kubecerts.test/program:1";

const PATIENCE: Duration = Duration::from_secs(60);
