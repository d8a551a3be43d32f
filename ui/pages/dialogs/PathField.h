// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QLineEdit;
class QPushButton;

namespace qkov::ui {

/// A path that is typed, chosen by a button, or dropped.
class PathField : public QWidget {
    Q_OBJECT

  public:
    enum class Kind { openFile, openFolder, saveFile };

    /// @param title of the file dialog; @param filter of its files
    PathField(Kind kind, const char* name, const QString& accessibleName, const QString& title,
              const QString& filter, QWidget* parent = nullptr);

    QString path() const;
    void setPath(const QString& path);
    /// Where the file dialog begins while the field is empty.
    void setStart(const QString& folder) { m_start = folder; }
    QLineEdit* edit() const { return m_edit; }

  signals:
    void changed();
    void chosen(const QString& path); ///< by the button

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    void browse();
    Kind m_kind;
    QString m_title, m_filter, m_start;
    QLineEdit* m_edit;
    QPushButton* m_button;
};

} // namespace qkov::ui
