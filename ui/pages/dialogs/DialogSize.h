// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QWidget;

namespace qkov::ui {

/// Makes a window as tall as what it holds now needs at its width; never smaller. Wrapped text and
/// styled controls tell their height only once they are shown.
void growToContents(QWidget* window);

} // namespace qkov::ui
