//! Tells the linker which code belongs together.
//!
//! The kernel maps the pages around each page that is run. So what hardly ever runs, between what does, takes memory and time of every
//! command. A linker that does not know the option warns, or says nothing.

#[expect(clippy::disallowed_methods, reason = "Cargo speaks to a build script through the environment")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_none_or(|system| system != "linux") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
}
