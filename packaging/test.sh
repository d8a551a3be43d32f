#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what is missing, builds everything and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

packaging/dependencies.sh --test
cmake --preset release
cmake --build --preset release
ctest --preset release -j "$(nproc)"
