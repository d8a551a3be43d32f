// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStringList>
#include <QWidget>

class QVBoxLayout;
class QLabel;

namespace qkov::ui {

/// First start: three ways in, and the recent files.
class StartPage : public QWidget {
    Q_OBJECT

  public:
    explicit StartPage(QWidget* parent = nullptr);
    void setRecent(const QStringList& files);
    void setDemoAvailable(bool available);
    /// Loading: what is being opened, in place of the ways in.
    void setLoading(const QString& path);

  signals:
    void openFileRequested();
    void openModelRequested();
    void openDemoRequested();
    void openRequested(const QString& path);

  private:
    QWidget* way(const QString& iconName, const QString& title, const QString& text,
                 const char* name, void (StartPage::*signal)());
    QWidget* m_card;
    QLabel* m_loading;
    QWidget* m_demo;
    QLabel* m_recentTitle;
    QVBoxLayout* m_recent;
};

} // namespace qkov::ui
