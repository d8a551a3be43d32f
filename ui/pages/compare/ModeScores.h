// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/Scores.h"

#include <QObject>
#include <QString>

#include <array>
#include <map>
#include <memory>
#include <string>

namespace qkov::ui {

class Document;
class JobRunner;

/// The document's scores under all three normalizations: what is missing is computed from the dump,
/// all modes in one pass.
class ModeScores : public QObject {
    Q_OBJECT

  public:
    using ScoresPtr = std::shared_ptr<const engine::Scores>;
    static constexpr std::array modes{engine::Mode::behavioral, engine::Mode::structural,
                                      engine::Mode::hybrid};

    explicit ModeScores(Document* document);

    /// Null: not there (yet). Only while the document shows scores.
    ScoresPtr of(engine::Mode mode) const;
    /// Why a mode is not there.
    QString whyNot(engine::Mode mode) const;
    /// Starts the computation of what is missing, unless it runs, failed before, or can't be done.
    void computeMissing();
    bool running() const;
    /// 0 to 1.
    double progress() const;
    /// Where the Fisher makes a map a picture of one task alone; empty: nowhere.
    QString pictureWarning() const;
    /// Something else is open.
    void clear();

  signals:
    void changed();
    void progressed();

  private:
    engine::ScoreRequest requestOf(engine::Mode mode) const;
    std::string keyOf(engine::Mode mode) const;

    Document* m_document;
    JobRunner* m_runner;
    std::map<std::string, ScoresPtr> m_cache;
    std::map<std::string, QString> m_warnings; ///< of what was computed, by the key of its request
    std::string m_failedKey; ///< a mode that could not be computed, not tried again
    QString m_failure;
};

} // namespace qkov::ui
