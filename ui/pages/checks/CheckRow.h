// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "pages/checks/CheckWords.h"

#include <QWidget>

class QHBoxLayout;
class QLabel;

namespace qkov::ui {

/// One line of the checks page: icon, title and status, what it means, what came out, what to do.
class CheckRow : public QWidget {
    Q_OBJECT

  public:
    explicit CheckRow(const CheckText& text, QWidget* parent = nullptr);
    const CheckText& text() const { return m_text; }
    /// A line of links to cells below the words.
    void addLinks(const QString& html);

  signals:
    void linkActivated(const QString& link);

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void recolour();

    CheckText m_text;
    QLabel* m_icon;
    QLabel* m_status;
    QLabel* m_advice = nullptr;
    QLabel* m_links = nullptr;
};

} // namespace qkov::ui
