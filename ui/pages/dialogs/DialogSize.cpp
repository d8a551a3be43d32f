// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/dialogs/DialogSize.h"

#include <QLayout>
#include <QScreen>
#include <QWidget>
#include <algorithm>

namespace qkov::ui {

void growToContents(QWidget* window) {
    // Inner layouts first: each keeps what it computed before.
    for (QLayout* inner : window->findChildren<QLayout*>()) {
        inner->invalidate();
    }
    QLayout* layout = window->layout();
    layout->invalidate();
    layout->activate();
    int wanted = layout->hasHeightForWidth() ? layout->totalHeightForWidth(window->width())
                                             : layout->totalSizeHint().height();
    // Forms that scroll take what the screen has.
    wanted = std::min(wanted, window->screen()->availableGeometry().height() - 60);
    if (wanted > window->height()) {
        window->resize(window->width(), wanted);
    }
}

} // namespace qkov::ui
