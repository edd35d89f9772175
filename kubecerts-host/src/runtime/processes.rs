//! The processes of this host by the name of their program, from `/proc`.

use std::fs;
use std::io;
use std::path::Path;

/// Returns the numbers of the processes of the program `name`, sorted; what has ended and is only not waited for is none.
///
/// # Errors
/// When `proc` cannot be listed, so that nothing can be said.
pub(super) fn running(proc: &Path, name: &str) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(|text| text.parse().ok()) else { continue };
        // A process may end between the lines, and then it does not run.
        if is_program(&entry.path(), name).unwrap_or(false) {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn is_program(process: &Path, name: &str) -> io::Result<bool> {
    let command = fs::read(process.join("comm"))?;
    let command = command.strip_suffix(b"\n").unwrap_or(&command);
    if command != &name.as_bytes()[..name.len().min(COMM_LENGTH)] {
        return Ok(false);
    }
    // The line is empty when the process has ended and nobody has waited for it yet.
    let line = fs::read(process.join("cmdline"))?;
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    // Only names that the kernel has cut need the line to tell them from others; a script's line begins with its interpreter.
    Ok(!line.is_empty() && (name.len() <= COMM_LENGTH || program == name.as_bytes()))
}

/// The kernel keeps so many bytes of a program's name (`TASK_COMM_LEN` less the final zero).
const COMM_LENGTH: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_by_name_even_where_the_kernel_cuts_it() {
        let proc = tempfile::tempdir().unwrap();
        for (number, comm, line) in [
            ("1", "systemd\n", "/sbin/init\0"),
            ("20", "kubelet\n", "/usr/bin/kubelet\0--config=x\0"),
            ("3", "kubelet\n", ""),
            ("4", "kube-controller\n", "kube-controller-manager\0--port=0\0"),
            ("5", "kube-controller\n", "/bin/kube-controller-other\0"),
            ("self", "kubelet\n", "kubelet\0"),
        ] {
            fs::create_dir(proc.path().join(number)).unwrap();
            fs::write(proc.path().join(number).join("comm"), comm).unwrap();
            fs::write(proc.path().join(number).join("cmdline"), line).unwrap();
        }
        fs::create_dir(proc.path().join("6")).unwrap();
        assert_eq!(running(proc.path(), "kubelet").unwrap(), [20]);
        assert_eq!(running(proc.path(), "kube-controller-manager").unwrap(), [4]);
        assert!(running(proc.path(), "etcd").unwrap().is_empty());
        assert!(running(&proc.path().join("nowhere"), "etcd").is_err());
    }
}
