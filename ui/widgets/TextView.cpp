// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/TextView.h"

#include "document/Words.h"
#include "widgets/ElidedLabel.h"
#include "widgets/Theme.h"

#include <QPlainTextEdit>
#include <QTextBlock>
#include <QTextDocument>
#include <QTextOption>
#include <QVBoxLayout>

#include <cmath>

namespace qkov::ui {

namespace {

/// A paragraph longer than this is broken for display: one line of a megabyte is laid out whole.
constexpr qsizetype longestParagraph = 4000;

QString wrappedForDisplay(const QString& text) {
    QString out;
    out.reserve(text.size() + text.size() / longestParagraph + 1);
    qsizetype since = 0;
    for (const QChar c : text) {
        out += c;
        since = c == QLatin1Char('\n') ? 0 : since + 1;
        if (since >= longestParagraph && !c.isHighSurrogate()) {
            out += QLatin1Char('\n');
            since = 0;
        }
    }
    return out;
}

} // namespace

TextView::TextView(QWidget* parent)
    : QWidget(parent)
    , m_heading(new ElidedLabel(this))
    , m_meta(new ElidedLabel(this))
    , m_text(new QPlainTextEdit(this)) {
    setTextSize(m_heading, TextSize::body, true);
    setTextSize(m_meta, TextSize::small);
    setMuted(m_meta);
    m_text->setReadOnly(true);
    m_text->setFrameShape(QFrame::NoFrame);
    m_text->setLineWrapMode(QPlainTextEdit::WidgetWidth);
    m_text->setWordWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
    m_text->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_text->setUndoRedoEnabled(false);
    m_text->setTabChangesFocus(true);
    m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_text->document()->setDocumentMargin(0);
    m_text->setAccessibleName(tr("Text of the sample"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(2);
    column->addWidget(m_heading);
    column->addWidget(m_meta);
    column->addSpacing(4);
    column->addWidget(m_text, 1);
    setMinimumHeight(70);
}

void TextView::clear(const QString& hint) {
    m_shown.reset();
    m_heading->setFullText({});
    m_meta->setFullText({});
    m_text->setPlainText({});
    m_text->setPlaceholderText(hint);
}

void TextView::setSample(const QString& task, const dump::SampleInfo& sample) {
    QStringList meta{task};
    if (!sample.group.empty()) {
        meta << quoted(sample.group);
    }
    if (sample.tokens > 0) {
        meta << tr("%1 tokens").arg(count(sample.tokens));
    }
    if (!std::isnan(sample.loss)) {
        meta << tr("loss %1").arg(number(static_cast<double>(sample.loss)));
    }
    const QString id = quoted(sample.id);
    const QString metaText = meta.join(QStringLiteral(" · "));
    // Layer after layer arrives while a text is being read.
    if (m_shown == sample.text && heading() == id && m_meta->fullText() == metaText) {
        return;
    }
    m_shown = sample.text;
    m_heading->setFullText(id);
    m_meta->setFullText(metaText);
    m_text->setPlaceholderText(tr("The dump holds no text for this sample"));
    const QString text = quoted(sample.text);
    // A text begins where its script begins.
    QTextOption option = m_text->document()->defaultTextOption();
    option.setAlignment(text.left(1000).isRightToLeft() ? Qt::AlignRight : Qt::AlignLeft);
    m_text->document()->setDefaultTextOption(option);
    m_text->setPlainText(wrappedForDisplay(text));
    m_text->setAccessibleDescription(id);
    highlight(m_words);
}

QString TextView::text() const {
    return m_text->toPlainText();
}
QString TextView::heading() const {
    return m_heading->fullText();
}

int TextView::highlight(const QString& words) {
    m_words = words;
    QList<QTextEdit::ExtraSelection> marks;
    if (!words.isEmpty()) {
        QTextCharFormat format;
        format.setBackground(palette().color(QPalette::Highlight));
        format.setForeground(palette().color(QPalette::HighlightedText));
        QTextCursor at(m_text->document());
        while (marks.size() < 1000) {
            at = m_text->document()->find(words, at);
            if (at.isNull()) {
                break;
            }
            marks.append({at, format});
        }
        if (!marks.isEmpty()) {
            QTextCursor first = marks.first().cursor;
            first.clearSelection();
            m_text->setTextCursor(first);
        }
    }
    m_text->setExtraSelections(marks);
    return static_cast<int>(marks.size());
}

} // namespace qkov::ui
