// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QLabel>

namespace qkov::ui {

/// One line that is cut with an ellipsis where it doesn't fit; the whole text is its tooltip then.
class ElidedLabel : public QLabel {
    Q_OBJECT

  public:
    explicit ElidedLabel(QWidget* parent = nullptr);
    void setElideMode(Qt::TextElideMode mode);
    void setFullText(const QString& text);
    const QString& fullText() const { return m_text; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

  private:
    void elide();
    QString m_text;
    Qt::TextElideMode m_mode = Qt::ElideRight;
};

} // namespace qkov::ui
