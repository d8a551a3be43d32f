// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/StartPage.h"

#include "widgets/Card.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QDir>
#include <QFileInfo>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace qkov::ui {

StartPage::StartPage(QWidget* parent)
    : QWidget(parent)
    , m_loading(new QLabel(this))
    , m_recentTitle(new QLabel(tr("Recent"), this)) {
    auto* card = new Card({}, this);
    m_card = card;
    card->setMinimumWidth(360);
    card->setMaximumWidth(680);
    card->body()->setContentsMargins(28, 24, 28, 24);
    card->body()->setSpacing(14);
    auto* title = new QLabel(tr("Which attention circuits do two tasks fight over?"), card);
    setTextSize(title, TextSize::large, true);
    title->setWordWrap(true);
    card->body()->addWidget(title);
    auto* hint = new QLabel(tr("Open something to begin, or drop it on this window."), card);
    setMuted(hint);
    hint->setWordWrap(true);
    card->body()->addWidget(hint);
    card->body()->addSpacing(4);
    card->body()->addWidget(way(QStringLiteral("open"), tr("Open a dump or results file"),
                                tr("Gradients of samples, or scores computed before"),
                                "startOpenFile", &StartPage::openFileRequested));
    card->body()->addWidget(way(QStringLiteral("folder"), tr("Open a model folder"),
                                tr("A checkpoint, to collect gradients from two files of samples"),
                                "startOpenModel", &StartPage::openModelRequested));
    m_demo = way(QStringLiteral("play"), tr("Open the demo"),
                 tr("A small GPT-2 on arithmetic and source code"), "startOpenDemo",
                 &StartPage::openDemoRequested);
    card->body()->addWidget(m_demo);
    setTextSize(m_recentTitle, TextSize::small, true);
    setMuted(m_recentTitle);
    card->body()->addSpacing(6);
    card->body()->addWidget(m_recentTitle);
    m_recent = new QVBoxLayout;
    m_recent->setSpacing(2);
    card->body()->addLayout(m_recent);
    m_loading->setObjectName(QStringLiteral("loadingText"));
    m_loading->setAlignment(Qt::AlignCenter);
    setMuted(m_loading);
    m_loading->hide();

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(24, 24, 24, 24);
    column->addStretch(2);
    auto* line = new QHBoxLayout;
    line->addStretch(1);
    line->addWidget(card, 20);
    line->addStretch(1);
    column->addLayout(line);
    column->addWidget(m_loading);
    column->addStretch(3);
    setRecent({});
}

QWidget* StartPage::way(const QString& iconName, const QString& title, const QString& text,
                        const char* name, void (StartPage::*signal)()) {
    auto* w = new QWidget(this);
    auto* b = new QPushButton(title, w);
    b->setProperty("way", true);
    setIconName(b, iconName);
    nameWidget(b, name, title, text);
    b->setMinimumWidth(230);
    auto* words = new QLabel(text, w);
    words->setWordWrap(true);
    setTextSize(words, TextSize::small);
    setMuted(words);
    auto* line = new QHBoxLayout(w);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(14);
    line->addWidget(b);
    line->addWidget(words, 1);
    connect(b, &QPushButton::clicked, this, signal);
    return w;
}

void StartPage::setRecent(const QStringList& files) {
    while (auto* item = m_recent->takeAt(0)) {
        delete item->widget();
        delete item;
    }
    m_recentTitle->setVisible(!files.isEmpty());
    for (const QString& f : files.mid(0, 5)) {
        auto* b = new QPushButton(this);
        b->setProperty("link", true);
        const QFileInfo info(f);
        b->setText(QStringLiteral("%1   (%2)")
                       .arg(info.fileName(),
                            fontMetrics().elidedText(QDir::toNativeSeparators(info.path()),
                                                     Qt::ElideMiddle, 340)));
        b->setToolTip(QDir::toNativeSeparators(f));
        b->setAccessibleName(tr("Open %1").arg(info.fileName()));
        connect(b, &QPushButton::clicked, this, [this, f] { emit openRequested(f); });
        m_recent->addWidget(b);
    }
}

void StartPage::setDemoAvailable(bool available) {
    m_demo->setVisible(available);
}

void StartPage::setLoading(const QString& path) {
    m_card->setVisible(path.isEmpty());
    m_loading->setVisible(!path.isEmpty());
    m_loading->setText(path.isEmpty() ? QString()
                                      : tr("Opening %1").arg(QFileInfo(path).fileName()));
}

} // namespace qkov::ui
