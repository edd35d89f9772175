#!/usr/bin/env bash
# What we are measured against: programs that sign, and the libraries in the bench `ratios`. Prints one table of ratios with their
# targets; docs/benchmarks.md says how to read it. What takes long and is no rate of signatures comes first, so that the rates of
# `openssl speed` and Go are taken in the minute before those of the bench.
#
#   benches/peers.sh [--seconds N] [--quick]
#
# Needs Rust. What else is missing is SKIPPED with its reason: openssl, go, GNU time, perf or valgrind. Leaves nothing behind but the target
# directory.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C CARGO_TERM_COLOR=never

seconds=2 requests=400
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --quick) seconds=0.2 requests=20; shift ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "error: $1 is not an option" >&2; echo "hint: benches/peers.sh --help" >&2; exit 2 ;;
  esac
done
case $seconds in
  '' | *[!0-9.]* | *.*.* | . ) echo "error: $seconds is no number of seconds" >&2; exit 2 ;;
esac
whole=$(awk -v s="$seconds" 'BEGIN { w = int(s); print (w < 1) ? 1 : w }')

skipped() { echo "SKIPPED $1: $2"; }
has() { command -v "$1" >/dev/null; }
rate() { awk -v n="$1" -v s="$2" 'BEGIN { printf "%.1f", n / s }'; } # rate COUNT SECONDS
peers=()

# The processor and nothing that says whose machine it is.
echo "machine: $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"

# Everything is built before anything is measured.
features=()
if has pkg-config && pkg-config --exists openssl; then
  features=(--features openssl)
else
  skipped "openssl in the same process" "pkg-config does not find its headers (Debian: libssl-dev)"
fi
ratios() { cargo bench --quiet -p kubecerts-benches ${features[@]+"${features[@]}"} --bench ratios "$@"; }
cargo build --release --quiet -p kubecerts
ratios --no-run
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# Below the target directory, because /tmp may be in memory, where a journal and fsync cost nothing.
work=$(mktemp -d -p "$target" peers.XXXXXX)
trap 'rm -rf "$work"' EXIT

[ -x /usr/bin/time ] || skipped "GNU time" "not installed, so no peak of memory is measured"

# Instructions are nearly the same each time, whatever else the machine does. perf counts those of the processor; valgrind has fewer
# instructions to offer, so what it counts is not what runs here, but it is as good to compare with itself.
count() { # count ARGUMENT…: millions of instructions of kubecerts
  local program=("$target/release/kubecerts" "$@" --rootfs "$work/tree")
  if has perf && perf stat -x, -e instructions:u true 2>&1 | grep -q '^[0-9]'; then
    perf stat -x, -e instructions:u "${program[@]}" 2>&1 >/dev/null | awk -F, '/instructions/ { printf "%.1f (perf)", $1 / 1e6 }'
  elif has valgrind; then
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "${program[@]}" 2>&1 >/dev/null | awk '/Collected :/ { printf "%.1f (valgrind)", $4 / 1e6 }'
  fi || true
}
config=kubecerts-core/testkit/fixtures/kubeadm-v136-ecdsa-p256/kubeadm-config.yaml
mkdir "$work/tree"
if ! "$target/release/kubecerts" init --rootfs "$work/tree" --config "$config" >/dev/null 2>"$work/init.log"; then
  skipped instructions "$(tail -n 1 "$work/init.log")"
elif check=$(count check) && [ -n "$check" ]; then
  echo "instructions, million, P-256: check $check, renew --all $(count renew --all --yes)"
else
  skipped instructions "neither perf nor valgrind counts here"
fi

# The memory of a run over many requests, which must not depend on how many.
bulk_peak() { # bulk_peak COUNT: the peak in MB
  awk -v n="$1" '{ text = text $0 "\n" } END { while (n-- > 0) printf "%s", text }' "$work/bulk.csr" |
    /usr/bin/time -q -f '%M' -o "$work/bulk.peak" "$target/release/kubecerts" bulk sign --ca ca --profile kubernetes.io/kubelet-serving --csr-dir - \
      --rootfs "$work/tree" >"$work/bulk.out" 2>"$work/bulk.log" &&
    [ "$(grep -c 'BEGIN CERTIFICATE' "$work/bulk.out")" -eq "$1" ] &&
    awk '{ printf "%.1f", $1 * 1024 / 1e6 }' "$work/bulk.peak"
}
if [ ! -x /usr/bin/time ] || ! has openssl; then
  skipped "memory of bulk sign" "needs GNU time and openssl"
elif openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /O=system:nodes/CN=system:node:cp-1 \
  -addext subjectAltName=DNS:cp-1,IP:192.168.10.11 -out "$work/bulk.csr" 2>"$work/bulk.log" &&
  few=$(bulk_peak $((requests * 5))) && many=$(bulk_peak $((requests * 250))); then
  echo "bulk sign: peak $few MB for $((requests * 5)) requests, $many MB for $((requests * 250))"
  peers+=(--bulk-peak-mb "$many" --bulk-peak-mb-of-few "$few")
else
  skipped "memory of bulk sign" "$(grep -m 1 error: "$work/bulk.log" || tail -n 1 "$work/bulk.log")"
fi
rm -f "$work/bulk.out"

# openssl ca: one process, all requests; it verifies their signatures and keeps its database, so it does more than we do here.
bulk_ca() {
  local ca="$work/ca" file
  mkdir -p "$ca/new"
  : >"$ca/index.txt"
  cat >"$ca/ca.cnf" <<EOF
[ca]
default_ca = this
[this]
dir = $ca
database = $ca/index.txt
new_certs_dir = $ca/new
certificate = $ca/ca.crt
private_key = $ca/ca.key
rand_serial = yes
default_md = sha256
default_days = 365
unique_subject = no
policy = any
x509_extensions = leaf
[any]
organizationName = optional
commonName = supplied
[leaf]
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
basicConstraints = critical, CA:FALSE
authorityKeyIdentifier = keyid
subjectAltName = DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:10.96.0.1,IP:192.168.10.11
EOF
  openssl ecparam -name prime256v1 -genkey -noout -out "$ca/ca.key"
  openssl req -x509 -new -key "$ca/ca.key" -subj /CN=kubernetes -days 3650 -out "$ca/ca.crt"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$ca/leaf.key" -subj /O=system:nodes/CN=system:node:cp-1 -out "$ca/1.csr"
  for file in $(seq 2 "$requests"); do ln "$ca/1.csr" "$ca/$file.csr"; done
  { TIMEFORMAT='%U %S'; time openssl ca -batch -notext -config "$ca/ca.cnf" -infiles "$ca"/*.csr >/dev/null 2>"$work/ca.log"; } 2>"$work/ca.time"
  [ "$(wc -l <"$ca/index.txt")" -eq "$requests" ]
  awk -v n="$requests" '{ printf "%.1f", n / ($1 + $2) }' "$work/ca.time"
}
if has openssl; then
  echo "peer: $(openssl version)"
  if ca=$(bulk_ca 2>"$work/bulk.log"); then
    echo "openssl ca -infiles, P-256, $requests requests: $ca certificates/s"; peers+=(--openssl-ca-p256 "$ca")
  else
    skipped "openssl ca" "$(cat "$work/bulk.log" "$work/ca.log" 2>/dev/null | tail -n 1)"
  fi
else
  skipped openssl "not installed"
fi

# Go's x509.CreateCertificate, which verifies what it has signed; kubeadm parses the result as well.
if has go; then
  mkdir "$work/go"
  cat >"$work/go/main.go" <<'EOF'
// Makes certificates as kubeadm does, and prints how many a second of processor time: bare and with ParseCertificate.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func worked() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(1)
	p256 := func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	rsa2048 := func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	for _, make := range []func() (crypto.Signer, error){p256, rsa2048} {
		for _, parse := range []bool{false, true} {
			fmt.Printf("%.1f ", measure(make, parse, seconds))
		}
	}
	fmt.Println(runtime.Version())
}

func measure(newKey func() (crypto.Signer, error), parse bool, seconds float64) float64 {
	authorityKey, err := newKey()
	if err != nil {
		panic(err)
	}
	key, err := newKey()
	if err != nil {
		panic(err)
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"},
		NotBefore: now, NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, authorityKey.Public(), authorityKey)
	if err != nil {
		panic(err)
	}
	authority, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	made, begin := 0, worked()
	for made == 0 || worked()-begin < seconds {
		serial, err := rand.Int(rand.Reader, limit)
		if err != nil {
			panic(err)
		}
		leaf := x509.Certificate{
			SerialNumber: serial,
			Subject:      pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:cp-1"},
			DNSNames:     []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPAddresses:  []net.IP{net.IPv4(10, 96, 0, 1), net.IPv4(192, 168, 10, 11)},
			NotBefore:    now, NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, &leaf, authority, key.Public(), authorityKey)
		if err != nil {
			panic(err)
		}
		if parse {
			if _, err := x509.ParseCertificate(der); err != nil {
				panic(err)
			}
		}
		made++
	}
	return float64(made) / (worked() - begin)
}
EOF
  if (cd "$work/go" && GOFLAGS= GOTOOLCHAIN=local GOPATH="$work/go/path" GOCACHE="$work/go/cache" go build -o peer main.go) 2>"$work/go.log" && figures=$("$work/go/peer" "$seconds" 2>"$work/go.log"); then
    read -r p256 p256_parsed rsa rsa_parsed version <<<"$figures"
    echo "peer: $version"
    echo "Go CreateCertificate: P-256 $p256, and parsed as by kubeadm $p256_parsed; RSA-2048 $rsa, and parsed $rsa_parsed certificates/s"
    peers+=(--go-p256 "$p256" --go-rsa2048 "$rsa")
  else
    skipped go "$(tail -n 1 "$work/go.log")"
  fi
else
  skipped go "not installed"
fi

# openssl speed: signatures per second of processor time. It signs a digest, so hashing and encoding are not in it.
if has openssl; then
  speed() { openssl speed -mr -seconds "$whole" "$1" 2>/dev/null; }
  p256=$(speed ecdsap256 | awk -F: '/^\+F4:/ { print $4 }')
  rsa=$(speed rsa2048 | awk -F: '/^\+F2:/ { print $4 }')
  # A version that says the time of one operation instead.
  per_second() { awk -v x="$1" 'BEGIN { if (x + 0 > 0) printf "%.1f", (x < 1) ? 1 / x : x }'; }
  p256=$(per_second "${p256:-}"); rsa=$(per_second "${rsa:-}")
  if [ -n "$p256" ]; then echo "openssl speed ecdsap256: $p256 signatures/s"; peers+=(--openssl-p256 "$p256"); else skipped "openssl speed ecdsap256" "no figure in its output"; fi
  if [ -n "$rsa" ]; then echo "openssl speed rsa2048: $rsa signatures/s"; peers+=(--openssl-rsa2048 "$rsa"); else skipped "openssl speed rsa2048" "no figure in its output"; fi
fi

# The rest, the peers that are libraries among it.
TMPDIR=$work ratios -- --seconds "$seconds" --kubecerts "$target/release/kubecerts" ${peers[@]+"${peers[@]}"}
