// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/dialogs/PathField.h"

#include "widgets/Theme.h"

#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QMimeData>
#include <QPushButton>

namespace qkov::ui {

PathField::PathField(Kind kind, const char* name, const QString& accessibleName,
                     const QString& title, const QString& filter, QWidget* parent)
    : QWidget(parent)
    , m_kind(kind)
    , m_title(title)
    , m_filter(filter)
    , m_edit(new QLineEdit(this))
    , m_button(new QPushButton(tr("Browse…"), this)) {
    nameWidget(m_edit, name, accessibleName);
    nameWidget(m_button, qPrintable(QLatin1String(name) + QStringLiteral("Browse")),
               tr("Browse: %1").arg(accessibleName));
    m_button->setAutoDefault(false);
    m_edit->installEventFilter(this);
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(8);
    line->addWidget(m_edit, 1);
    line->addWidget(m_button);
    setFocusProxy(m_edit);
    connect(m_edit, &QLineEdit::textChanged, this, &PathField::changed);
    connect(m_button, &QPushButton::clicked, this, &PathField::browse);
}

QString PathField::path() const {
    return QDir::fromNativeSeparators(m_edit->text().trimmed());
}

void PathField::setPath(const QString& path) {
    m_edit->setText(QDir::toNativeSeparators(path));
}

void PathField::browse() {
    const QString start = path().isEmpty() ? m_start : path();
    QString f;
    switch (m_kind) {
    case Kind::openFile:
        f = QFileDialog::getOpenFileName(this, m_title, start, m_filter);
        break;
    case Kind::openFolder:
        f = QFileDialog::getExistingDirectory(this, m_title, start);
        break;
    case Kind::saveFile:
        f = QFileDialog::getSaveFileName(this, m_title, start, m_filter, nullptr,
                                         QFileDialog::DontConfirmOverwrite);
        break;
    }
    if (!f.isEmpty()) {
        setPath(f);
        emit chosen(f);
    }
}

bool PathField::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::DragEnter || event->type() == QEvent::Drop) {
        auto* drop = static_cast<QDropEvent*>(event);
        const auto urls = drop->mimeData()->urls();
        if (urls.size() == 1 && urls.first().isLocalFile()) {
            drop->acceptProposedAction();
            if (event->type() == QEvent::Drop) {
                setPath(urls.first().toLocalFile());
                emit chosen(path());
            }
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

} // namespace qkov::ui
