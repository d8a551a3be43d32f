// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>
#include <QString>

class QLabel;
class QVBoxLayout;
class QHBoxLayout;

namespace qkov::ui {

/// A panel one step lighter or darker than the window, with an optional title line.
class Card : public QFrame {
    Q_OBJECT

  public:
    explicit Card(const QString& title = {}, QWidget* parent = nullptr);
    QVBoxLayout* body() const { return m_body; }
    /// The title's line, for small controls at its right end; made at first need.
    QHBoxLayout* header();
    void setTitle(const QString& title);

  private:
    QVBoxLayout* m_body;
    QHBoxLayout* m_header = nullptr;
    QLabel* m_title = nullptr;
};

} // namespace qkov::ui
