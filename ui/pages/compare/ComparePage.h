// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/Scores.h"
#include "pages/compare/CompareView.h"

#include <QJsonObject>
#include <QWidget>

#include <memory>

class QCheckBox;
class QLabel;
class QStackedWidget;
class QToolButton;

namespace qkov::ui {

class Document;
class JobRunner;
class ModeScores;

/// The three normalizations of what is computed, or two results, beside each other.
class ComparePage : public QWidget {
    Q_OBJECT

  public:
    enum class What { modes, results };

    explicit ComparePage(Document* document, QWidget* parent = nullptr);

    CompareView* view() const { return m_view; }
    What what() const { return m_what; }
    void setWhat(What what);
    void setBlock(Block block);
    /// Results to set beside the ones shown. Errors and other shapes are told on the page.
    void openOther(const QString& file);
    /// Modes still being computed for this page.
    bool busy() const;
    /// The results file beside these; empty: none.
    QString otherFile() const { return m_other ? m_otherFile : QString(); }
    /// What is compared and how it is drawn, for a session.
    QJsonObject viewState() const;
    void setViewState(const QJsonObject& state, const QString& other);
    QString headlineText() const;
    QString warningText() const;

  protected:
    void showEvent(QShowEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    using ScoresPtr = std::shared_ptr<const engine::Scores>;
    QWidget* buildControls();
    void chooseOther();
    void refresh();
    void refreshSentences();
    void showModes();
    void showResults();
    void updateLower();

    Document* m_document;
    ModeScores* m_modes;
    JobRunner* m_opener; ///< the other results
    What m_what = What::modes;
    bool m_blockChosen = false; ///< by the user; else it follows the selection and the finding
    ScoresPtr m_other;
    QString m_otherFile, m_otherName, m_otherProblem;

    ElidedLabel* m_headline;
    ElidedLabel* m_note;
    QLabel* m_warning;
    SegmentedControl* m_whatControl;
    SegmentedControl* m_blockControl;
    SegmentedControl* m_lowerControl;
    QCheckBox* m_commonRange;
    QToolButton* m_openOther;
    QStackedWidget* m_stack;
    QLabel* m_empty;
    CompareView* m_view;
};

} // namespace qkov::ui
