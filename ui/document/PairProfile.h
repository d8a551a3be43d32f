// SPDX-License-Identifier: GPL-3.0-or-later
// One pair over all four maps, and the numbers behind it in its own cell.
#pragma once

#include "document/Selection.h"
#include "engine/Compute.h"

#include <QObject>

#include <array>
#include <memory>
#include <vector>

namespace qkov::ui {

class Document;
class JobRunner;

class PairProfile : public QObject {
    Q_OBJECT

  public:
    explicit PairProfile(Document* document);
    /// While inactive nothing is read; catches up when active again.
    void setActive(bool active);

    /// [layers × heads] of `block`; empty while nothing is known. NaN: missing.
    const std::vector<double>& values(Block block) const { return m_values[blockIndex(block)]; }
    const std::shared_ptr<const engine::Scores>& scores() const { return m_scores; }
    /// Of the selected cell's layer and head; none without the dump, or while it is computed.
    const std::shared_ptr<const engine::PairResult>& diagnostics() const { return m_diagnostics; }
    /// Why there are none, when that is worth saying.
    const QString& diagnosticsProblem() const { return m_problem; }

  signals:
    void changed();
    void diagnosticsChanged();

  private:
    void updateProfile();
    void updateDiagnostics();

    Document* m_document;
    JobRunner* m_runner;
    JobRunner* m_diagnose;
    bool m_active = false;
    std::shared_ptr<const engine::Scores> m_scores;
    std::optional<PairRef> m_pair;
    std::array<std::vector<double>, 4> m_values;
    std::shared_ptr<const engine::PairResult> m_diagnostics;
    QString m_problem;
};

} // namespace qkov::ui
