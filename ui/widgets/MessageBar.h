// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Message.h"

#include <QFrame>

class QLabel;
class QPushButton;
class QToolButton;

namespace qkov::ui {

/// One message above the pages: what, where, what to do. Hidden when there is none.
class MessageBar : public QFrame {
    Q_OBJECT

  public:
    explicit MessageBar(QWidget* parent = nullptr);
    void setMessage(const Message& message);
    const Message& message() const { return m_message; }

  signals:
    void closed();
    /// The button that the message brought was pressed.
    void actionRequested();

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void refreshIcon();
    Message m_message;
    QLabel* m_icon;
    QLabel* m_what;
    QLabel* m_where;
    QPushButton* m_action;
    QPushButton* m_copy;
    QToolButton* m_close;
};

} // namespace qkov::ui
