#!/usr/bin/env bash
# benches/million.sh [COUNT]: signs COUNT requests (by default 1000000) in one run, and again in a run that is killed and
# resumed several times; shows that both come to the same, and how much memory they take for a tenth and for all.
# Needs GNU time as /usr/bin/time, openssl and some 3 GB of disk.
set -euo pipefail

count=${1:-1000000}
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
[ -x /usr/bin/time ] || { echo "error: there is no /usr/bin/time" >&2; exit 1; }
cargo build --release --workspace --bin kubecerts --example make_requests
target=${CARGO_TARGET_DIR:-target}/release
kubecerts=$(realpath "$target/kubecerts")
make_requests=$(realpath "$target/examples/make_requests")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir root
cat >kubeadm.yaml <<CONFIG
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 192.0.2.1
nodeRegistration:
  name: cp-1
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.0
encryptionAlgorithm: ECDSA-P256
CONFIG
"$kubecerts" init --rootfs root --config kubeadm.yaml >/dev/null 2>&1

"$make_requests" "$count" >requests.pem
sign=("$kubecerts" bulk sign --rootfs root --ca ca --profile kubernetes.io/kube-apiserver-client --csr-dir -)

facts() { grep -c -- "-----END CERTIFICATE-----" "$1" || true; }
memory() { # memory LABEL COMMAND...: runs it and prints its peak in KiB
  local label=$1
  shift
  /usr/bin/time -f "%M" -o peak "$@" 2>log
  echo "$label: $(tail -1 peak) KiB peak; $(tail -1 log)"
}

head_count=$((count / 10))
"$make_requests" "$head_count" >tenth.pem
memory "a tenth" "${sign[@]}" --out tenth.out <tenth.pem
memory "all" "${sign[@]}" --out whole.out --summary whole.json <requests.pem

for seconds in 1 3 2 4; do
  "${sign[@]}" --out resumed.out --resume <requests.pem 2>/dev/null &
  pid=$!
  sleep "$seconds"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  echo "killed after $seconds s: $(facts resumed.out) certificates, $(stat -c %s resumed.out) bytes"
done
memory "resumed" "${sign[@]}" --out resumed.out --resume <requests.pem

# A run that is taken up on the other's file finds every certificate right: count, order, keys, subjects, names, signatures.
for file in whole.out resumed.out; do
  "${sign[@]}" --out "$file" --resume --summary "$file.json" <requests.pem 2>/dev/null
  grep -E '"(certificates|alreadyThere|requests)"' "$file.json" | tr -d '\n'
  echo "  $file"
  grep -q "\"alreadyThere\": $count" "$file.json" || { echo "error: $file is not whole" >&2; exit 1; }
done
# Judged by somebody else: every whole certificate among the first and the last lines, which are more than a hundred of them.
least=$((count < 100 ? count : 100))
for file in whole.out resumed.out; do
  for part in head tail; do
    "$part" -n 2000 "$file" | awk '
      /BEGIN CERT/ { text = "\n" } text { text = text $0 "\n" }
      /END CERT/ && text { f = sprintf("part-%03d.pem", ++n); printf "%s", text > f; close(f); text = "" }'
    parts=(part-*.pem)
    fine=$(openssl verify -CAfile root/etc/kubernetes/pki/ca.crt -purpose sslclient "${parts[@]}" 2>openssl.log | grep -c ': OK$') || true
    if [ "$fine" -ne "${#parts[@]}" ] || [ "$fine" -lt "$least" ]; then
      echo "error: openssl takes $fine of ${#parts[@]} certificates at the $part of $file: $(head -n 1 openssl.log)" >&2; exit 1
    fi
    rm -f part-*.pem
  done
done
echo "one run and the resumed one have the same $count certificates"
