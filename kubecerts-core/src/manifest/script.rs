//! What a shell script, or a command, does to the control plane, as far as its words tell.
//!
//! This is no shell: it looks for the commands that recipes for renewals consist of. What it does not know, it does not judge.

use std::borrow::Cow;

use super::unit::logical_lines;
use crate::path::TreePath;

/// What a script does to the control plane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ScriptFacts {
    /// It restarts components of the control plane.
    pub(crate) restarts: bool,
    /// It restarts etcd and another component, with no wait between them.
    pub(crate) restarts_etcd_with_others: bool,
    /// It waits in a loop that nothing ends but success.
    pub(crate) waits_without_end: bool,
    /// It takes a lock, or sleeps for a random time.
    pub(crate) is_spread: bool,
}

impl ScriptFacts {
    /// Looks at the text of a script.
    pub(crate) fn of(text: &str) -> Self {
        let lines = logical_lines(text);
        let lines: Vec<&str> =
            lines.iter().map(|line| line.trim()).filter(|line| !line.starts_with('#')).collect();
        let restarts = lines.iter().any(|line| is_restart(line));
        Self {
            restarts: lines.iter().any(|line| {
                // What a variable stands for is said elsewhere.
                let says = |line: &&str| names_control_plane(line);
                is_restart(line) && (says(line) || line.contains('$') && lines.iter().any(says))
            }),
            restarts_etcd_with_others: restarts && together(&lines),
            waits_without_end: waits_without_end(&lines),
            is_spread: lines.iter().any(|line| SPREADING.into_iter().any(|word| line.contains(word))),
        }
    }

    /// Returns what both scripts do.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            restarts: self.restarts || other.restarts,
            restarts_etcd_with_others: self.restarts_etcd_with_others || other.restarts_etcd_with_others,
            waits_without_end: self.waits_without_end || other.waits_without_end,
            is_spread: self.is_spread || other.is_spread,
        }
    }
}

/// Returns the text of a script, a unit or a crontab, up to [`LONGEST_TEXT`].
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_TEXT)])
}

/// Returns whether `text` has anything to do with a control plane, so that it is worth a closer look.
pub(crate) fn concerns_control_plane(text: &str) -> bool {
    ["kubeadm", "kubecerts", "crictl", "kube-apiserver", "etcd", "docker restart", "/etc/kubernetes"]
        .into_iter()
        .any(|word| text.contains(word))
}

/// Returns the scripts that a command names: absolute paths outside the directories of the system's own programs.
pub(crate) fn scripts_in(command: &str) -> Vec<TreePath> {
    let separators = |c: char| c.is_whitespace() || "'\"`;|&()<>=,$".contains(c);
    let words = command.split(separators).map(|word| word.trim_start_matches(['-', '@', '+', '!', ':']));
    let mut found: Vec<TreePath> = words
        .filter(|word| word.starts_with('/') && word.len() <= LONGEST_PATH)
        .filter(|word| SYSTEM.into_iter().all(|directory| !word.starts_with(directory)))
        .filter_map(|word| TreePath::parse(word).ok())
        .filter(may_be_script)
        .take(MOST_SCRIPTS)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Returns whether a script may have this name; certificates, kubeconfigs and logs are named in commands as well.
fn may_be_script(path: &TreePath) -> bool {
    let name = path.file_name();
    let is_hidden = path.parts().any(|part| part.starts_with('.'));
    !is_hidden && (!name.contains('.') || [".sh", ".bash"].into_iter().any(|end| name.ends_with(end)))
}

fn is_restart(line: &str) -> bool {
    let container = runs(
        line,
        &["crictl", "docker", "nerdctl", "podman"],
        &["rmp", "stopp", "restart", "stop", "rm", "kill"],
    );
    let unit = runs(line, &["systemctl"], &["restart", "stop", "kill"]);
    let killed = ["pkill", "killall", "delete pod"].into_iter().any(|verb| line.contains(verb));
    let moved = line.contains("mv ") && line.contains("/manifests");
    let own =
        line.contains("kubecerts restart") || line.contains("kubecerts renew") && line.contains("--restart");
    container || unit || killed || moved || own
}

/// Returns whether a command of `line` is one of `tools` with one of `verbs` as its subcommand: the first word behind it that is
/// neither an option nor the value of one.
fn runs(line: &str, tools: &[&str], verbs: &[&str]) -> bool {
    line.split(['|', ';', '&', '(', ')', '`']).any(|command| {
        let mut words = command.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
        let is_tool = |word: &str| tools.contains(&word.rsplit('/').next().unwrap_or(word));
        if !words.any(is_tool) {
            return false;
        }
        let mut words = words.filter(|word| !word.starts_with('-') && !word.contains('/'));
        let verb = words.find(|word| !["container", "pod"].contains(word));
        verb.is_some_and(|verb| verbs.contains(&verb))
    })
}

fn names_control_plane(line: &str) -> bool {
    names_etcd(line)
        || names_others(line)
        || ["kube-system", "/manifests", "k8s_", "kubecerts", "rmp -a", "rmp -fa", "restart docker"]
            .into_iter()
            .any(|word| line.contains(word))
}

fn names_etcd(line: &str) -> bool {
    // etcdctl asks, it does not restart; a path to its certificates is no name either.
    line.replace("etcdctl", "").replace("pki/etcd", "").contains("etcd")
}

fn names_others(line: &str) -> bool {
    ["apiserver", "controller-manager", "scheduler"].into_iter().any(|name| line.contains(name))
}

/// Returns whether etcd and another component are named in one line that restarts or loops over names, or in lines that restart
/// with nothing between them that waits.
fn together(lines: &[&str]) -> bool {
    let (mut etcd, mut others) = (false, false);
    for line in lines {
        let lists = is_restart(line) || line.starts_with("for ") || line.contains("crictl pods");
        if lists && names_etcd(line) && names_others(line) && !line.contains("kubecerts") {
            return true;
        }
        if is_restart(line) {
            etcd |= names_etcd(line);
            others |= names_others(line);
        } else if WAITING.into_iter().any(|word| line.contains(word)) {
            (etcd, others) = (false, false);
        }
        if etcd && others {
            return true;
        }
    }
    false
}

/// Returns whether there is a loop that waits for something, and that nothing else ends.
fn waits_without_end(lines: &[&str]) -> bool {
    let mut open: Option<Loop> = None;
    for line in lines {
        let begins = ["until ", "while "].into_iter().any(|word| line.starts_with(word))
            || ["; until ", "; while ", "&& until ", "&& while "].into_iter().any(|word| line.contains(word));
        if begins && open.is_none() {
            open = Some(Loop::default());
        }
        let Some(looped) = &mut open else { continue };
        looped.waits |=
            ["sleep", "/dev/tcp", "curl", "wget", "nc "].into_iter().any(|word| line.contains(word));
        looped.ends |= ENDING.into_iter().any(|word| line.contains(word));
        if line.split(|c: char| c.is_whitespace() || c == ';').any(|word| word == "done") {
            if looped.waits && !looped.ends {
                return true;
            }
            open = None;
        }
    }
    false
}

#[derive(Default)]
struct Loop {
    waits: bool,
    ends: bool,
}

/// What keeps nodes from doing it at the same moment.
const SPREADING: [&str; 7] =
    ["flock", "RANDOM", "shuf", "etcdctl lock", "coordination.k8s.io", " lock ", "leases"];

/// What gives a component time between two restarts.
const WAITING: [&str; 8] = ["sleep", "until ", "while ", "health", "readyz", "livez", "wait", "etcdctl"];

/// What ends a loop beside success: a limit, a count, the end of the input.
const ENDING: [&str; 12] =
    ["timeout", "break", "exit", "return", "-lt", "-le", "-gt", "-ge", "-eq", "SECONDS", "((", "read "];

/// The directories of programs and devices, none of which are scripts of a site.
const SYSTEM: [&str; 9] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/dev/", "/proc/", "/sys/", "/run/", "/var/log/"];

/// More scripts than this are in no command.
const MOST_SCRIPTS: usize = 8;

/// How much of a script is looked at, in bytes: 64 KiB. What people write takes a few, and every line is compared with many words.
const LONGEST_TEXT: usize = 64 << 10;

/// The longest path that Linux takes, in bytes: `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubespray installs, shortened.
    const KUBESPRAY: &str = "#!/bin/bash
echo '## Renewing certificates managed by kubeadm ##'
/usr/local/bin/kubeadm certs renew all
/usr/local/bin/crictl pods --namespace kube-system --name 'kube-scheduler-*|kube-controller-manager-*|kube-apiserver-*|etcd-*' -q | xargs /usr/local/bin/crictl rmp -f
until printf \"\" 2>>/dev/null >>/dev/tcp/127.0.0.1/6443; do sleep 1; done
";

    #[test]
    fn the_common_recipe_restarts_etcd_with_the_rest_and_waits_for_ever() {
        let facts = ScriptFacts::of(KUBESPRAY);
        let expected = ScriptFacts {
            restarts: true,
            restarts_etcd_with_others: true,
            waits_without_end: true,
            is_spread: false,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn restarts_in_a_row_are_together_and_those_with_a_wait_are_not() {
        let row = "docker ps | grep etcd | xargs docker restart\ndocker ps | grep kube-apiserver | xargs docker restart";
        assert!(ScriptFacts::of(row).restarts_etcd_with_others);
        let apart = row.replace('\n', "\nsleep 30\n");
        let facts = ScriptFacts::of(&apart);
        assert!(facts.restarts && !facts.restarts_etcd_with_others);
        assert!(
            ScriptFacts::of("for c in etcd kube-apiserver; do\n docker restart $c\ndone")
                .restarts_etcd_with_others
        );
    }

    #[test]
    fn loops_with_a_limit_are_not_waiting_for_ever() {
        for text in [
            "while [ $i -lt 30 ]; do sleep 1; done",
            "until curl -k https://localhost:6443/readyz; do\n sleep 1\n [ $((n++)) = 9 ] && exit 1\ndone",
            "timeout 60 bash -c 'until nc -z localhost 6443; do sleep 1; done'",
            "while read -r line; do curl $line; done",
            "# until nc -z localhost 6443; do sleep 1; done",
        ] {
            assert!(!ScriptFacts::of(text).waits_without_end, "{text}");
        }
        assert!(ScriptFacts::of("while ! nc -z localhost 6443; do\nsleep 1\ndone").waits_without_end);
    }

    #[test]
    fn what_only_looks_restarts_nothing() {
        for text in [
            "kubeadm certs check-expiration",
            "etcdctl snapshot save /backup/etcd.db",
            "crictl rmi --prune",
            "docker system prune -f",
            "systemctl restart nginx",
            "kubecerts check --warn",
            "kubecerts renew --yes",
            "docker run --rm quay.io/coreos/etcd etcdctl version",
            "# crictl rmp -f etcd",
            "docker logs kube-apiserver | grep restart",
            "systemctl status kubelet # after a restart of etcd",
            "crictl ps --name etcd > /tmp/before-stop",
            "crictl pods --namespace kube-system\nsystemctl restart nginx",
        ] {
            assert!(!ScriptFacts::of(text).restarts, "{text}");
        }
    }

    #[test]
    fn a_lock_or_a_random_pause_spreads() {
        for text in ["flock -n /run/renew.lock", "sleep $((RANDOM % 3600))", "sleep $(shuf -i 0-900 -n 1)"] {
            assert!(ScriptFacts::of(text).is_spread, "{text}");
        }
        assert!(!ScriptFacts::of("sleep 60").is_spread);
    }

    #[test]
    fn scripts_are_told_from_programs_of_the_system() {
        let command =
            "-/usr/bin/flock -n /run/l /bin/sh -c 'A=/opt/a.sh; /usr/local/bin/renew.sh > /var/log/x' ../x";
        let found: Vec<String> = scripts_in(command).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["/opt/a.sh", "/usr/local/bin/renew.sh"]);
        assert!(
            scripts_in("/etc/../x \u{1}/y /a\u{7}b /etc/kubernetes/admin.conf /root/.kube/config").is_empty()
        );
    }
}
