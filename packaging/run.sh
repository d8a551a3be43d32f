#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# From a fresh clone to a finding: installs what is missing, builds, runs the demo's model on its two
# tasks and computes their interference. With a display it opens QKOV Studio on the result, without
# one it says where the figures are. Everything it writes lies under build/.
set -euo pipefail
cd "$(dirname "$0")/.."

packaging/dependencies.sh

programs=(qkov)
display=${WAYLAND_DISPLAY:-}${DISPLAY:-}
if [ -n "$display" ]; then
    programs+=(qkov-studio)
fi
echo "Building ${programs[*]} …" >&2
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --parallel "$(nproc)" --target "${programs[@]}"; } \
    > build/run.log 2>&1; then
    tail -n 30 build/run.log >&2
    echo "The build failed; build/run.log tells more." >&2
    exit 1
fi

qkov=build/release/bin/qkov
demo=resources/demo
out=build/demo
dump=$out/demo.h5
results=$out/arithmetic-code-results.h5
figure=$out/arithmetic-code.pdf
mkdir -p "$out"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "The model"
"$qkov" info "$demo"
say "Gradients of every sample of two tasks"
"$qkov" collect --model "$demo" --task "arithmetic=$demo/arithmetic.jsonl" --task "code=$demo/code.jsonl" --head-types --out "$dump"
say "Their interference"
"$qkov" compute "$dump" --task-a arithmetic --task-b code --out "$results"
say "Figure, its numbers, its caption"
"$qkov" figure "$results" --kind blocks --out "$figure" --with csv,caption

if [ -n "$display" ]; then
    exec build/release/bin/qkov-studio "$results"
fi
say "No display here. With one, this opens QKOV Studio on $results"
