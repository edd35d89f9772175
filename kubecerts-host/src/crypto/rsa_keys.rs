//! RSA keys by Graviola, where the processor has what its assembler needs.
//!
//! Why Graviola, what it does and does not do: docs/dependencies.md.

use kubecerts_core::x509::KeyAlgorithm;
use zeroize::Zeroizing;

/// Returns a new key in PKCS#8 DER, or `None` when this processor or `algorithm` is not for Graviola.
///
/// # Errors
/// What failed, in words: the system's random source, in practice.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn generate(algorithm: KeyAlgorithm) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
    use graviola::signing::rsa::{KeySize, SigningKey};
    let size = match algorithm {
        KeyAlgorithm::Rsa2048 => KeySize::Rsa2048,
        KeyAlgorithm::Rsa3072 => KeySize::Rsa3072,
        KeyAlgorithm::Rsa4096 => KeySize::Rsa4096,
        _ => return None,
    };
    let encoded = || {
        let key = SigningKey::generate(size)?;
        // The room is wiped as a whole, and what leaves is exactly as long as the key.
        let mut room = Zeroizing::new([0; ROOM]);
        key.to_pkcs8_der(room.as_mut_slice()).map(|der| Zeroizing::new(der.to_vec()))
    };
    has_features().then(|| encoded().map_err(|error: graviola::Error| error.to_string()))
}

/// Other processors have no Graviola.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn generate(_: KeyAlgorithm) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
    None
}

/// Returns whether the processor has what Graviola 0.4 asserts at each entry (`src/low/x86_64/cpu.rs`), where it would panic
/// otherwise, and what its assembler uses beyond that: everything since Haswell (2013), for `adx` since Broadwell, and Zen.
#[cfg(target_arch = "x86_64")]
fn has_features() -> bool {
    std::arch::is_x86_feature_detected!("adx")
        && std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("avx")
        && std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("pclmulqdq")
        && std::arch::is_x86_feature_detected!("ssse3")
}

/// Returns whether the processor has what Graviola 0.4 asserts at each entry (`src/low/aarch64/cpu.rs`).
#[cfg(target_arch = "aarch64")]
fn has_features() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
        && std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
        && std::arch::is_aarch64_feature_detected!("sha2")
}

/// Bytes of the longest key in PKCS#8: 2 375 for 4096 bits.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const ROOM: usize = 3072;
