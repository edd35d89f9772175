//! Tells the linker which code belongs together.
//!
//! The kernel maps the pages around each page that is run. So what hardly ever runs, between what does, takes memory and time of every
//! command. A linker that does not know the option warns, or says nothing.

#[expect(clippy::disallowed_methods, reason = "Cargo speaks to a build script through the environment")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={ORDER}");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_none_or(|system| system != "linux") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
    if let Ok(order) = std::env::var(ORDER) {
        println!("cargo::rerun-if-changed={order}");
        println!("cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={order}");
        // Some functions are those of libraries that are not linked in.
        println!("cargo::rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    }
}

/// The variable with the path of a file that names functions; LLD puts these side by side. See `deploy/ordered-build.sh`.
const ORDER: &str = "KUBECERTS_FUNCTION_ORDER";
