// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/FormScroll.h"

#include <algorithm>

namespace qkov::ui {

FormScroll::FormScroll(QWidget* parent)
    : QScrollArea(parent) {
    setFrameShape(QFrame::NoFrame);
    setWidgetResizable(true);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setFocusPolicy(Qt::NoFocus);
}

QSize FormScroll::sizeHint() const {
    if (widget() == nullptr) {
        return QScrollArea::sizeHint();
    }
    QSize wanted = widget()->sizeHint();
    if (widget()->hasHeightForWidth()) {
        wanted.setHeight(widget()->heightForWidth(std::max(viewport()->width(), wanted.width())));
    }
    return wanted;
}

} // namespace qkov::ui
