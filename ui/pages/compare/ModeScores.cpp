// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/compare/ModeScores.h"

#include "document/Document.h"
#include "document/Words.h"
#include "engine/CompareModes.h"
#include "jobs/JobRunner.h"
#include "pages/compare/CompareView.h"
#include "pages/compare/CompareWords.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qkov::ui {

ModeScores::ModeScores(Document* document)
    : QObject(document)
    , m_document(document)
    , m_runner(new JobRunner(this)) {
    connect(m_runner, &JobRunner::finished, this, &ModeScores::changed);
    connect(m_runner, &JobRunner::progressed, this, &ModeScores::progressed);
    connect(m_runner, &JobRunner::failed, this, [this](std::exception_ptr error) {
        m_failure = Message::of(std::move(error)).what;
        if (m_document->scores()) {
            m_failedKey = keyOf(engine::Mode::structural);
        }
        emit changed();
    });
}

void ModeScores::clear() {
    m_runner->cancel();
    m_cache.clear();
    m_failedKey.clear();
}

bool ModeScores::running() const {
    return m_runner->running();
}

double ModeScores::progress() const {
    return std::clamp(m_runner->progress().fraction, 0.0, 1.0);
}

engine::ScoreRequest ModeScores::requestOf(engine::Mode mode) const {
    // What the shown scores were asked with, as far as it is still known.
    engine::ScoreRequest r =
        m_document->outdated() ? m_document->scores()->header().request : m_document->request();
    r.mode = mode;
    return r;
}

std::string ModeScores::keyOf(engine::Mode mode) const {
    engine::ScoreRequest r = requestOf(mode);
    r.threads = 0;
    r.memoryBudget = 0;
    return m_document->scores()->header().dumpFingerprint + engine::toJson(r).dump();
}

ModeScores::ScoresPtr ModeScores::of(engine::Mode mode) const {
    const auto scores = m_document->scores();
    if (!scores) {
        return {};
    }
    if (scores->header().request.mode == mode) {
        return scores;
    }
    const auto it = m_cache.find(keyOf(mode));
    return it == m_cache.end() ? nullptr : it->second;
}

QString ModeScores::whyNot(engine::Mode mode) const {
    if (!m_document->dump()) {
        return tr("These results hold another mode. Open their dump to see this one.");
    }
    if (!m_document->modeAvailable(mode)) {
        return tr("Needs the behavioral types of the heads. Collect the dump again with head "
                  "types.");
    }
    if (!m_failedKey.empty() && keyOf(engine::Mode::structural) == m_failedKey) {
        return m_failure;
    }
    return tr("Computing…");
}

void ModeScores::computeMissing() {
    if (m_runner->running() || m_document->state() == Document::State::computing ||
        !m_document->dump()) {
        return;
    }
    const bool missing = std::any_of(modes.begin(), modes.end(), [this](engine::Mode mode) {
        return !of(mode) && m_document->modeAvailable(mode);
    });
    const std::string key = keyOf(engine::Mode::structural);
    if (!missing || key == m_failedKey) {
        return;
    }
    // All modes of one request share their reading and most of their work.
    std::array<std::string, 3> keys;
    for (std::size_t n = 0; n < modes.size(); ++n) {
        keys[n] = keyOf(modes[n]);
    }
    m_runner->start([this, key, keys, request = requestOf(engine::Mode::structural),
                     dump = m_document->dump()](JobContext& context) -> JobRunner::Delivery {
        auto made = engine::compareModes(*dump, request, CompareView::topCells, context.job());
        return [this, key, keys, request, made = std::move(made)]() mutable {
            if (m_cache.size() > 6) {
                m_cache.clear(); // former requests
                m_warnings.clear();
            }
            for (auto& scores : made.scores) {
                for (std::size_t n = 0; n < modes.size(); ++n) {
                    if (scores->header().request.mode == modes[n]) {
                        m_cache[keys[n]] = scores;
                        // Switching to it costs nothing from now on.
                        engine::ScoreRequest own = request;
                        own.mode = modes[n];
                        m_document->keepScores(own, scores);
                    }
                }
            }
            QStringList pictures;
            for (std::size_t n = 0; n < made.scores.size() && n < made.pictureOfB.size(); ++n) {
                if (made.pictureOfB[n] > engine::pictureOfBLimit) {
                    pictures << modeName(*made.scores[n]->header().request.mode).toLower();
                }
            }
            m_warnings[key] = pictureSentence(pictures, request);
        };
    });
}

QString ModeScores::pictureWarning() const {
    const auto measured = m_warnings.find(keyOf(engine::Mode::structural));
    return measured != m_warnings.end() ? measured->second
                                        : pictureByFormula(m_document->scores()->header().request);
}

} // namespace qkov::ui
