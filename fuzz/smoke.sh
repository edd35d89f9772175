#!/bin/sh
# Fuzzes every target for some seconds: with libFuzzer where it can be built, else with the mutator of `smoke`.
#
#   fuzz/smoke.sh [SECONDS [TARGET…]]          5 seconds and every target by default
#   FUZZ_ENGINE=smoke fuzz/smoke.sh            without trying libFuzzer
#   FUZZ_ENGINE=libfuzzer fuzz/smoke.sh        fail instead of falling back
#
# libFuzzer needs a C++ compiler and no nightly: coverage comes from an LLVM pass that stable rustc can load
# (`-C passes`). The flags are those of `cargo fuzz --sanitizer none`. Sanitizers would need nightly; there is no unsafe
# code in the core for them to watch.
set -eu

cd "$(dirname "$0")"
seconds=${1:-5}
[ $# -eq 0 ] || shift
targets=${*:-archive bulk_requests certificate cluster_line explain key kubeadm_config kubeconfig manifest pem plan_document}
engine=${FUZZ_ENGINE:-auto}
target_dir=${CARGO_TARGET_DIR:-target}

smoke() {
    CARGO_TARGET_DIR="$target_dir" cargo run --quiet --locked --release --bin smoke -- "$@"
}

# Called in a condition, where `set -e` does not count: every failure is returned.
build_libfuzzer() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    bins=
    # `smoke` has no main of libFuzzer's and would not link.
    for target in $targets; do bins="$bins --bin $target"; done
    # shellcheck disable=SC2086  # the targets are words
    # --target keeps the flags away from build scripts and procedural macros.
    CARGO_TARGET_DIR="$target_dir/libfuzzer" RUSTFLAGS="-Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
        -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Ccodegen-units=1 --cfg fuzzing" \
        cargo build --quiet --locked --release --features libfuzzer $bins --target "$host" || return 1
    built="$target_dir/libfuzzer/$host/release"
}

if [ "$engine" != smoke ]; then
    if build_libfuzzer; then
        smoke --write-seeds corpus >/dev/null
        for target in $targets; do
            mkdir -p "corpus/$target" "artifacts/$target"
            log="artifacts/$target.log"
            if "$built/$target" "corpus/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
                -max_len=65536 -print_final_stats=1 -artifact_prefix="artifacts/$target/" >"$log" 2>&1; then
                runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
                covered=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
                echo "libFuzzer: $target held in $runs executions, coverage $covered"
            else
                tail -n 40 "$log"
                echo "libFuzzer: $target is broken, the input is in fuzz/artifacts/$target/" >&2
                exit 1
            fi
        done
        exit 0
    fi
    if [ "$engine" = libfuzzer ]; then
        echo "libFuzzer cannot be built here" >&2
        exit 1
    fi
    echo "FALLING BACK: libFuzzer cannot be built here, so nothing guides the inputs" >&2
fi
# shellcheck disable=SC2086  # the targets are words
smoke --seconds "$seconds" $targets
echo "smoke: every law held, without guidance by coverage"
