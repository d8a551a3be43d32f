// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QLabel;

namespace qkov::ui {

/// A sentence with a small icon before it: said, fine, to be looked at, wrong. Never by colour
/// alone.
class StatusLine : public QWidget {
    Q_OBJECT

  public:
    enum class Kind { quiet, good, warning, error };

    explicit StatusLine(QWidget* parent = nullptr);
    void setStatus(Kind kind, const QString& text);
    Kind kind() const { return m_kind; }
    QString text() const;
    /// Room for this many lines at least, so that nothing moves while the words change.
    void reserveLines(int lines);

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void refresh();
    Kind m_kind = Kind::quiet;
    QLabel* m_icon;
    QLabel* m_text;
};

} // namespace qkov::ui
