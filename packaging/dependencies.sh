#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what is missing of the Debian packages that building, running and (with --test) testing
# needs. Nothing missing: does nothing. Needs root or sudo only when there is something to install.
set -euo pipefail

packages=(
    g++ cmake ninja-build ccache pkg-config
    libtorch-dev libhdf5-dev zlib1g-dev libeigen3-dev nlohmann-json3-dev libcli11-dev
    libpcre2-dev libicu-dev libsentencepiece-dev
    qt6-base-dev qt6-svg-dev libqt6svg6 libgl1-mesa-dev
    libqcustomplot-dev libqcustomplot2.1-qt6
    fonts-dejavu-core fonts-liberation2
)
if [ "${1:-}" = --test ]; then
    packages+=(xvfb xauth x11-utils poppler-utils hdf5-tools)
fi

missing=()
for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "These Debian packages are missing and only root can install them: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
