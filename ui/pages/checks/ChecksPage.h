// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "pages/checks/CheckWords.h"

#include <QWidget>

#include <string>
#include <vector>

class QLabel;
class QPushButton;
class QVBoxLayout;

namespace qkov::ui {

class Card;
class CheckRow;
class Document;
class ElidedLabel;
class JobRunner;

/// Whether the numbers can be trusted: the metric's sanity checks on the open dump, and the Fisher
/// behind every shown cell.
class ChecksPage : public QWidget {
    Q_OBJECT

  public:
    explicit ChecksPage(Document* document, QWidget* parent = nullptr);

    bool busy() const;
    QString headlineText() const;
    const std::vector<CheckRow*>& rows() const { return m_rows; }
    /// Shows these instead of running any (tests, results of the command line).
    void showChecks(std::vector<engine::Check> checks);

  public slots:
    void run();

  protected:
    void showEvent(QShowEvent* event) override;

  private:
    void refresh();
    void rebuild();
    void openCell(const QString& link);
    std::string key() const;

    Document* m_document;
    JobRunner* m_runner;
    std::vector<engine::Check> m_checks;
    std::string m_checksKey; ///< of the request they were made for
    QString m_failure;

    ElidedLabel* m_headline;
    ElidedLabel* m_note;
    QPushButton* m_runButton;
    Card* m_card;
    QWidget* m_list;
    QVBoxLayout* m_column;
    QLabel* m_empty;
    std::vector<CheckRow*> m_rows;
};

} // namespace qkov::ui
