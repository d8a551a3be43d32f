#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Follows the tutorial in both themes and puts the manual's pictures into resources/help/images:
#   tests/gui/pictures.sh [BUILD]
set -euo pipefail
build=${1:-build/release}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
for theme in light dark; do
    QKOV_THEME=$theme QKOV_PICTURES=$folder QT_QPA_PLATFORM=xcb \
        xvfb-run -a -s "-screen 0 1600x1000x24" "$build/bin/tst_gui_tutorial"
done
for picture in "$folder"/*.png; do
    # Screens have few colours: a palette without dithering keeps letters sharp.
    convert "$picture" -strip +dither -colors 255 -define png:compression-level=9 \
        "PNG8:resources/help/images/$(basename "$picture")"
done
