#!/usr/bin/env bash
# deploy/ordered-build.sh: builds the command twice, the second time with the functions side by side that `check` runs.
#
# The kernel maps the 64 KiB around each page of code that is run. Of what `check` runs there is one MiB, here and there in eleven; side by
# side it takes half the memory, and less time. The order comes from runs under Valgrind, so there is no list to maintain.
# Needs valgrind, and the linker that Rust has of its own for x86-64 (LLD).
set -euo pipefail

cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "error: there is no valgrind" >&2; exit 1; }
cargo build --release -p kubecerts
release=$(realpath "${CARGO_TARGET_DIR:-target}")/release
fixtures=$PWD/kubecerts-core/testkit/fixtures

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trace() { # trace COMMAND...: prints the functions that it runs
  rm -f "$work/trace"
  # A check of a fixture finds something, and says so with its exit code.
  valgrind --tool=callgrind --demangle=no --callgrind-out-file="$work/trace" "$release/kubecerts" "$@" >/dev/null 2>&1 || true
  [ -s "$work/trace" ] || { echo "error: valgrind has traced nothing of: $*" >&2; exit 1; }
  # A function that calls itself is there a second time, with a number behind its name.
  sed -nE "s/^c?fn=\([0-9]+\) ([^']+).*/\1/p" "$work/trace"
}
for tree in kubeadm-v136-rsa2048 kubeadm-v136-ecdsa-p256; do
  trace check --rootfs "$fixtures/$tree"
done >"$work/functions"
sort -u "$work/functions" >"$release/functions"
[ -s "$release/functions" ] || { echo "error: no function was found in the traces" >&2; exit 1; }
KUBECERTS_FUNCTION_ORDER=$release/functions cargo build --release -p kubecerts
