// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/PairProfile.h"

#include "document/Document.h"

#include <limits>

namespace qkov::ui {

PairProfile::PairProfile(Document* document)
    : QObject(document)
    , m_document(document)
    , m_runner(new JobRunner(this))
    , m_diagnose(new JobRunner(this)) {
    connect(document, &Document::scoresChanged, this, &PairProfile::updateProfile);
    connect(document->selection(), &Selection::pairChanged, this, &PairProfile::updateProfile);
    connect(document, &Document::scoresChanged, this, &PairProfile::updateDiagnostics);
    connect(document->selection(), &Selection::changed, this, &PairProfile::updateDiagnostics);
    connect(m_runner, &JobRunner::failed, document,
            [document](std::exception_ptr e) { document->setMessage(Message::of(std::move(e))); });
    connect(m_diagnose, &JobRunner::failed, this, [this](std::exception_ptr e) {
        m_problem = Message::of(std::move(e)).what;
        emit diagnosticsChanged();
    });
}

void PairProfile::setActive(bool active) {
    if (active != m_active) {
        m_active = active;
        updateProfile();
        updateDiagnostics();
    }
}

void PairProfile::updateProfile() {
    if (!m_active) {
        return;
    }
    const auto scores = m_document->scores();
    const auto pair = m_document->selection()->pair();
    if (!scores || !pair) {
        m_runner->cancel();
        m_values = {};
        m_scores.reset();
        m_pair.reset();
        emit changed();
        return;
    }
    if (scores == m_scores && pair == m_pair) {
        return;
    }
    m_scores = scores;
    m_pair = pair;
    m_runner->start([this, scores, p = *pair](JobContext& context) -> JobRunner::Delivery {
        const auto& h = scores->header();
        const std::size_t heads = h.heads.size();
        const std::size_t at =
            static_cast<std::size_t>(p.i) * h.nB() + static_cast<std::size_t>(p.j);
        std::array<std::vector<double>, 4> values;
        for (auto& v : values) {
            v.assign(h.layers.size() * heads, std::numeric_limits<double>::quiet_NaN());
        }
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (const Block b : allBlocks) {
                for (std::size_t c = 0; c < heads; ++c) {
                    context.checkCancelled();
                    auto& out = values[blockIndex(b)];
                    const std::size_t first = h.representative(b, c);
                    if (first != c) {
                        out[l * heads + c] = out[l * heads + first];
                        continue;
                    }
                    const auto all = scores->pairs(b, l, c);
                    if (at < all.size()) {
                        out[l * heads + c] = static_cast<double>(all[at]);
                    }
                }
            }
        }
        return [this, values = std::move(values)]() mutable {
            m_values = std::move(values);
            emit changed();
        };
    });
}

void PairProfile::updateDiagnostics() {
    if (!m_active) {
        return;
    }
    m_diagnose->cancel();
    m_diagnostics.reset();
    m_problem.clear();
    const auto scores = m_document->scores();
    const auto s = m_document->selection()->state();
    const auto dump = m_document->dump();
    if (!scores || !s.cell || !s.pair || !dump) {
        m_problem = scores && s.pair && !dump ? tr("The dump behind these results is not at hand")
                                              : QString();
        emit diagnosticsChanged();
        return;
    }
    const auto& h = scores->header();
    if (static_cast<std::size_t>(s.pair->i) >= h.nA() ||
        static_cast<std::size_t>(s.pair->j) >= h.nB()) {
        emit diagnosticsChanged();
        return;
    }
    emit diagnosticsChanged();
    auto request = h.request;
    request.taskA = h.taskA;
    request.taskB = h.taskB;
    m_diagnose->start([this, dump, request, i = h.samplesA[static_cast<std::size_t>(s.pair->i)].id,
                       j = h.samplesB[static_cast<std::size_t>(s.pair->j)].id,
                       layer = LayerIndex(h.layers[static_cast<std::size_t>(s.cell->row)]),
                       head = HeadIndex(h.heads[static_cast<std::size_t>(s.cell->column)])](
                          JobContext& context) -> JobRunner::Delivery {
        auto result = std::make_shared<engine::PairResult>(
            engine::scorePair(*dump, request, i, j, layer, head, context.job()));
        return [this, result] {
            m_diagnostics = result;
            emit diagnosticsChanged();
        };
    });
}

} // namespace qkov::ui
