// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "shell/HelpPages.h"

#include <QTimer>
#include <QWidget>

class QLineEdit;
class QListWidget;
class QTextBrowser;
class QToolButton;
class QUrl;

namespace qkov::ui {

/// The manual in a window of its own: contents, search, back and forward.
class HelpWindow : public QWidget {
    Q_OBJECT

  public:
    explicit HelpWindow(const QString& folder = QStringLiteral(":/help"),
                        QWidget* parent = nullptr);

    /// "metric", "metric#variants"; unknown pages lead to the index. Raises the window.
    void open(const QString& topic);
    QString currentPage() const { return m_page; }

  protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

  private:
    struct Place {
        QString page;
        QString anchor;
    };

    void show(const Place& place);
    void go(const Place& place);
    void travel(int step);
    void follow(const QUrl& link);
    void search(const QString& query);
    void listContents();
    void render();
    void scrollTo(const QString& anchor);

    HelpPages m_pages;
    QString m_folder;
    QString m_page;
    std::vector<Place> m_history;
    int m_at = -1;
    QLineEdit* m_search;
    QListWidget* m_list;
    QTextBrowser* m_view;
    QToolButton* m_back;
    QToolButton* m_forward;
    QTimer m_resized;
    int m_renderedWidth = 0;
    bool m_renderedDark = false;
    bool m_unmoved = true; ///< still where the link led
};

} // namespace qkov::ui
