// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/ActionFinder.h"

#include <QAction>
#include <QCoreApplication>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QMenuBar>
#include <QPixmap>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>

namespace qkov::ui {

ActionFinder::ActionFinder(const QMenuBar* bar, QWidget* window)
    : QDialog(window, Qt::Dialog | Qt::FramelessWindowHint)
    , m_actions(actionsOf(bar))
    , m_field(new QLineEdit(this))
    , m_list(new QListWidget(this)) {
    setWindowTitle(tr("Find an action"));
    setAttribute(Qt::WA_DeleteOnClose);
    m_field->setPlaceholderText(tr("What do you want to do"));
    m_field->setAccessibleName(tr("Find an action"));
    m_field->setClearButtonEnabled(true);
    m_list->setAccessibleName(tr("Actions"));
    m_list->setUniformItemSizes(true);
    m_list->setIconSize(QSize(16, 16));
    m_list->setFocusPolicy(Qt::NoFocus);
    m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 8, 8, 8);
    layout->setSpacing(8);
    layout->addWidget(m_field);
    layout->addWidget(m_list);
    m_field->installEventFilter(this);
    connect(m_field, &QLineEdit::textChanged, this, &ActionFinder::filter);
    connect(m_list, &QListWidget::itemClicked, this, &ActionFinder::run);
    resize(520, 360);
    filter({});
}

int ActionFinder::match(const QString& text, const QString& query) {
    const QString wanted = query.trimmed();
    if (wanted.isEmpty()) {
        return 0;
    }
    int cost = 0;
    bool words = true;
    for (const QString& word : wanted.split(QLatin1Char(' '), Qt::SkipEmptyParts)) {
        const qsizetype at = text.indexOf(word, 0, Qt::CaseInsensitive);
        if (at < 0) {
            words = false;
            break;
        }
        const bool start = at == 0 || !text[at - 1].isLetterOrNumber();
        cost += static_cast<int>(std::min<qsizetype>(at, 50)) + (start ? 0 : 100);
    }
    if (words) {
        return cost;
    }
    qsizetype from = 0;
    for (const QChar c : wanted) {
        if (c.isSpace()) {
            continue;
        }
        const qsizetype at = text.indexOf(c, from, Qt::CaseInsensitive);
        if (at < 0) {
            return -1;
        }
        cost += static_cast<int>(at - from);
        from = at + 1;
    }
    return 1000 + cost;
}

void ActionFinder::filter(const QString& query) {
    std::vector<std::pair<int, int>> ranked; // cost, index
    for (int i = 0; i < static_cast<int>(m_actions.size()); ++i) {
        const NamedAction& a = m_actions[static_cast<std::size_t>(i)];
        const int own = match(a.text, query);
        const int withMenu = match(a.menu + QLatin1Char(' ') + a.text, query);
        const int cost = own < 0 ? (withMenu < 0 ? -1 : withMenu + 200) : own;
        if (cost >= 0) {
            ranked.emplace_back(cost, i);
        }
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    m_list->clear();
    QPixmap nothing(16, 16); // names stay in line where an action has no icon
    nothing.fill(Qt::transparent);
    const QIcon blank(nothing);
    for (const auto& [cost, i] : ranked) {
        const NamedAction& a = m_actions[static_cast<std::size_t>(i)];
        QString line = a.text + QStringLiteral("   ·   ") + a.menu;
        if (a.action && !a.action->shortcut().isEmpty()) {
            line +=
                QStringLiteral("   ·   ") + a.action->shortcut().toString(QKeySequence::NativeText);
        }
        auto* item = new QListWidgetItem(line, m_list);
        item->setData(Qt::UserRole, i);
        if (a.action) {
            item->setIcon(a.action->icon().isNull() ? blank : a.action->icon());
            if (!a.action->isEnabled()) {
                item->setFlags(Qt::NoItemFlags);
                item->setToolTip(tr("Not possible at the moment"));
            }
        }
    }
    for (int row = 0; row < m_list->count(); ++row) {
        if (m_list->item(row)->flags() & Qt::ItemIsEnabled) {
            m_list->setCurrentRow(row);
            break;
        }
    }
}

void ActionFinder::run(const QListWidgetItem* item) {
    if (!item || !(item->flags() & Qt::ItemIsEnabled)) {
        return;
    }
    const QPointer<QAction> action =
        m_actions[static_cast<std::size_t>(item->data(Qt::UserRole).toInt())].action;
    accept();
    // After this dialog is gone: the action may open one of its own.
    if (action) {
        QTimer::singleShot(0, action, &QAction::trigger);
    }
}

bool ActionFinder::eventFilter(QObject* object, QEvent* event) {
    if (object == m_field && event->type() == QEvent::KeyPress) {
        switch (static_cast<QKeyEvent*>(event)->key()) {
        case Qt::Key_Up:
        case Qt::Key_Down:
        case Qt::Key_PageUp:
        case Qt::Key_PageDown:
            QCoreApplication::sendEvent(m_list, event);
            return true;
        case Qt::Key_Return:
        case Qt::Key_Enter:
            run(m_list->currentItem());
            return true;
        default:
            break;
        }
    }
    return QDialog::eventFilter(object, event);
}

void ActionFinder::showEvent(QShowEvent* event) {
    QDialog::showEvent(event);
    if (const QWidget* window = parentWidget()) {
        const QPoint top = window->mapToGlobal(QPoint(window->width() / 2, 64));
        move(top.x() - width() / 2, top.y());
    }
    m_field->setFocus();
}

} // namespace qkov::ui
