// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "dump/DumpInfo.h"

#include <QWidget>

#include <optional>
#include <string>

class QPlainTextEdit;

namespace qkov::ui {

class ElidedLabel;

/// One sample: id, group, length and loss over its text, wrapped. A megabyte stays fast: text is
/// laid out line by line, as it scrolls into view.
class TextView : public QWidget {
    Q_OBJECT

  public:
    explicit TextView(QWidget* parent = nullptr);
    void clear(const QString& hint);
    /// The sample that is shown already stays where it is scrolled to.
    void setSample(const QString& task, const dump::SampleInfo& sample);
    QString text() const;
    QString heading() const;
    /// Marks every occurrence (up to 1 000); empty: none. Returns their number.
    int highlight(const QString& words);

  private:
    ElidedLabel* m_heading;
    ElidedLabel* m_meta;
    QPlainTextEdit* m_text;
    QString m_words;
    std::optional<std::string> m_shown; ///< the text as the dump holds it
};

} // namespace qkov::ui
