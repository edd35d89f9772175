//! Where the real programs are: what `.ci/parts` took out of Debian's packages.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of both suites, and the right to run them.
#[derive(Clone, Debug)]
pub struct Parts {
    directory: PathBuf,
}

/// The suite of Debian that a program is from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "tests go through all suites")]
pub enum Suite {
    /// containerd 1.6 and Docker 20.10.
    Bookworm,
    /// containerd 1.7 and Docker 26.1.
    Trixie,
}

impl Suite {
    /// Both suites.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// Returns the suite's name, which is that of its directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl Parts {
    /// Finds the programs through the variable `KUBECERTS_PARTS`, the directory that `.ci/parts` made.
    ///
    /// # Errors
    /// The reason why a test that needs them is skipped.
    pub fn find() -> Result<Self, String> {
        let directory = env::var_os("KUBECERTS_PARTS")
            .map(PathBuf::from)
            .ok_or("KUBECERTS_PARTS does not name a directory made by .ci/parts")?;
        if !directory.is_absolute() || !directory.join("complete").is_file() {
            return Err(format!("{} was not made by .ci/parts, or not completely", directory.display()));
        }
        if !rustix::process::geteuid().is_root() {
            return Err("containers need root".to_owned());
        }
        Ok(Self { directory })
    }

    /// Returns the directory that holds what the packages of `suite` hold.
    #[must_use]
    pub fn suite(&self, suite: Suite) -> PathBuf {
        self.directory.join(suite.name())
    }

    /// Returns the file of a program of `suite`, such as `containerd` or `nginx`.
    ///
    /// # Panics
    /// When the packages have no such program.
    #[must_use]
    pub fn program(&self, suite: Suite, name: &str) -> PathBuf {
        let places = self.places(suite);
        let mut files = places.iter().map(|place| place.join(name));
        files.find(|file| file.is_file()).unwrap_or_else(|| panic!("{} has no program {name}", suite.name()))
    }

    /// Returns the command of a program of `suite`, which finds the suite's own programs and libraries first.
    ///
    /// # Panics
    /// When the packages have no such program.
    #[must_use]
    pub fn command(&self, suite: Suite, name: &str) -> Command {
        let mut command = Command::new(self.program(suite, name));
        // bookworm's runc serves both suites: trixie's needs a newer C library, and is not among the parts.
        let mut places = self.places(suite);
        places.extend(self.places(Suite::Bookworm));
        command.env("PATH", joined(places, "PATH"));
        // The parts hold a library only where the machine has none.
        let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
        let libraries = libraries.map(|library| self.suite(Suite::Bookworm).join(library));
        command.env("LD_LIBRARY_PATH", joined(libraries.to_vec(), "LD_LIBRARY_PATH"));
        command
    }

    fn places(&self, suite: Suite) -> Vec<PathBuf> {
        ["usr/bin", "usr/sbin", "bin", "sbin"].iter().map(|place| self.suite(suite).join(place)).collect()
    }
}

/// Returns `places` and then those of the environment's `variable`, as one list.
fn joined(mut places: Vec<PathBuf>, variable: &str) -> OsString {
    places.retain(|place| Path::is_dir(place));
    places.extend(env::var_os(variable).iter().flat_map(env::split_paths));
    env::join_paths(places).expect("the parts lie in a directory without a colon")
}
