#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every page, dialog and state of the studio as a picture, in both themes, at 100% and 200%, on a
# small and a large screen, and sheets of them to look through:
#   tests/gui/screenshots.sh [BUILD] [FOLDER]
set -euo pipefail
build=${1:-build/release}
folder=${2:-$build/screenshots}
mkdir -p "$folder"
for theme in light dark; do
    for size in 1280x720 2560x1440; do
        for scale in 1 2; do
            QT_SCALE_FACTOR=$scale xvfb-run -a -s "-screen 0 2700x1600x24" \
                "$build/bin/studio_screenshots" "$folder" "$theme" "$size" > /dev/null
            suffix=$theme-$size-$((scale * 100))
            if command -v montage > /dev/null; then
                n=0
                find "$folder" -maxdepth 1 -name "[0-9]*-$suffix.png" | sort | xargs -n 6 |
                    while read -r -a six; do
                        montage "${six[@]}" -tile 2x3 -geometry '840x520>+8+8' -background '#888' \
                            "$folder/sheet-$suffix-$n.png"
                        n=$((n + 1))
                    done
            fi
            echo "$folder/*-$suffix.png"
        done
    done
done
for theme in light dark; do
    for scale in 1 2; do
        dialogs=$folder/dialogs-$theme-$((scale * 100))
        mkdir -p "$dialogs"
        QT_SCALE_FACTOR=$scale QT_QPA_PLATFORM=offscreen \
            "$build/bin/dialog_screenshots" "$dialogs" "$theme" > /dev/null
        echo "$dialogs"
    done
done
