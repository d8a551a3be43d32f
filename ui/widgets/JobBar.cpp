// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/JobBar.h"

#include "base/Numbers.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QHBoxLayout>
#include <QProgressBar>
#include <QPushButton>

#include <algorithm>
#include <cmath>

namespace qkov::ui {

JobBar::JobBar(QWidget* parent)
    : QWidget(parent)
    , m_text(new ElidedLabel(this))
    , m_bar(new QProgressBar(this))
    , m_cancel(new QPushButton(tr("Cancel"), this)) {
    nameWidget(this, "jobBar", tr("Progress"));
    nameWidget(m_bar, "jobProgress", tr("Progress of the running job"));
    m_text->setObjectName(QStringLiteral("jobText"));
    m_cancel->setObjectName(QStringLiteral("jobCancel"));
    m_cancel->setProperty("link", true);
    setIconName(m_cancel, QStringLiteral("cancel"));
    m_bar->setRange(0, 1000);
    m_bar->setTextVisible(false);
    m_bar->setFixedWidth(220);
    setTextSize(m_text, TextSize::small);
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(12, 0, 4, 0);
    line->setSpacing(12);
    line->addWidget(m_text, 1);
    line->addWidget(m_bar, 0, Qt::AlignVCenter);
    line->addWidget(m_cancel);
    setFixedHeight(std::max(32, m_cancel->sizeHint().height() + 2));
    connect(m_cancel, &QPushButton::clicked, this, &JobBar::cancelRequested);
    setIdle({});
}

void JobBar::setIdle(const QString& text) {
    m_running = false;
    m_bar->hide();
    m_cancel->hide();
    m_text->setFullText(text);
    setMuted(m_text);
}

void JobBar::setRunning(const QString& title) {
    m_running = true;
    m_bar->setValue(0);
    m_bar->show();
    m_cancel->show();
    m_text->setFullText(title);
    setMuted(m_text, false);
}

void JobBar::setProgress(const Progress& p) {
    if (!m_running) {
        return;
    }
    m_bar->setValue(static_cast<int>(std::lround(std::clamp(p.fraction, 0.0, 1.0) * 1000)));
    QString text = QString::fromStdString(p.stage);
    text += QStringLiteral(" · %1%").arg(static_cast<int>(p.fraction * 100));
    if (p.remainingSeconds >= 0) {
        text += tr(" · %1 left").arg(QString::fromStdString(formatDuration(p.remainingSeconds)));
    }
    m_text->setFullText(text);
}

QString JobBar::text() const {
    return m_text->fullText();
}

} // namespace qkov::ui
