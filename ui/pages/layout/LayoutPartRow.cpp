// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/layout/LayoutPartRow.h"

#include "widgets/StatusLine.h"
#include "widgets/Theme.h"

#include <QComboBox>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSignalBlocker>

namespace qkov::ui {

namespace {
/// "….bias" beside "….weight", in a pattern or an expression; empty: no such name.
std::string biasBeside(const std::string& pattern) {
    for (const std::string& ending : {std::string("weight"), std::string("weight$")}) {
        if (pattern.ends_with(ending)) {
            return pattern.substr(0, pattern.size() - ending.size()) +
                   (ending.back() == '$' ? "bias$" : "bias");
        }
    }
    return {};
}
} // namespace

LayoutPartRow::LayoutPartRow(const QString& blocks, const char* name, QGridLayout* grid,
                             QWidget* parent)
    : QObject(parent)
    , m_blocks(new QLabel(parent))
    , m_pattern(new QLineEdit(parent))
    , m_orientation(new QComboBox(parent))
    , m_status(new StatusLine(parent)) {
    setTextSize(m_blocks, TextSize::body, true);
    m_blocks->setMinimumWidth(
        m_blocks->fontMetrics().horizontalAdvance(QStringLiteral("Q, K, V ")));
    m_pattern->setPlaceholderText(tr("layers.{layer}.attn.…weight"));
    m_pattern->setMinimumWidth(260);
    m_blocks->setBuddy(m_pattern);
    m_orientation->addItem(tr("out × in"), false);
    m_orientation->addItem(tr("in × out"), true);
    m_orientation->setToolTip(
        tr("How the matrix is stored: linear layers are out × in, GPT-2's Conv1D in × out"));
    setTextSize(m_status, TextSize::small);
    m_status->reserveLines(1);
    nameWidget(m_pattern, name, QString());
    setObjectName(QLatin1String(name) + QStringLiteral("Row"));
    m_orientation->setObjectName(QLatin1String(name) + QStringLiteral("Orientation"));
    m_status->setObjectName(QLatin1String(name) + QStringLiteral("Status"));
    const int row = grid->rowCount();
    grid->addWidget(m_blocks, row, 0);
    grid->addWidget(m_pattern, row, 1);
    grid->addWidget(m_orientation, row, 2);
    grid->addWidget(m_status, row + 1, 1, 1, 2);
    setBlocks(blocks);
    connect(m_pattern, &QLineEdit::textChanged, this, &LayoutPartRow::changed);
    connect(m_orientation, &QComboBox::currentIndexChanged, this, &LayoutPartRow::changed);
}

void LayoutPartRow::setVisible(bool visible) {
    for (QWidget* w :
         std::initializer_list<QWidget*>{m_blocks, m_pattern, m_orientation, m_status}) {
        w->setVisible(visible);
    }
}

void LayoutPartRow::setBlocks(const QString& blocks) {
    m_blocks->setText(blocks);
    m_pattern->setAccessibleName(tr("Pattern of %1").arg(blocks));
    m_orientation->setAccessibleName(tr("How %1 is stored").arg(blocks));
}

void LayoutPartRow::setPart(const model::LayoutPart& part) {
    m_given = part;
    const QSignalBlocker a(m_pattern);
    const QSignalBlocker b(m_orientation);
    m_pattern->setText(QString::fromStdString(part.pattern));
    m_pattern->setCursorPosition(0);
    m_orientation->setCurrentIndex(part.inOut ? 1 : 0);
    emit changed();
}

model::LayoutPart LayoutPartRow::part(bool biases) const {
    model::LayoutPart part;
    part.pattern = m_pattern->text().trimmed().toStdString();
    part.inOut = m_orientation->currentData().toBool();
    if (biases) {
        part.bias = part.pattern == m_given.pattern && !m_given.bias.empty()
                        ? m_given.bias
                        : biasBeside(part.pattern);
    }
    return part;
}

void LayoutPartRow::setCheck(const model::LayoutCheck::Part& check,
                             const std::vector<std::int64_t>& exampleShape) {
    using K = StatusLine::Kind;
    if (!check.problem.empty()) {
        QString text = QString::fromStdString(check.problem);
        text[0] = text[0].toUpper();
        if (check.wrong > 1) {
            text += tr("; %n more", nullptr, static_cast<int>(check.wrong) - 1);
        }
        m_status->setStatus(K::error, text);
        return;
    }
    if (check.matrices == 0) {
        m_status->setStatus(K::quiet, tr("Not assigned"));
        return;
    }
    QString text = tr("%1 matrices %2, as the heads need")
                       .arg(check.matrices)
                       .arg(QString::fromStdString(model::shapeText(exampleShape)));
    if (check.biases > 0) {
        text += tr(", and %1 biases").arg(check.biases);
    }
    m_status->setStatus(K::good, text);
}

} // namespace qkov::ui
