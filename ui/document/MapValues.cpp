// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/MapValues.h"

#include "document/Document.h"

#include <limits>

namespace qkov::ui {

namespace {
std::array<std::vector<double>, 4> reduceAll(const engine::Scores& scores, results::Reduction r) {
    std::array<std::vector<double>, 4> values;
    for (const Block block : allBlocks) {
        if (scores.header().blocks[blockIndex(block)]) {
            values[blockIndex(block)] = results::reduce(scores, block, r);
        } else {
            values[blockIndex(block)].assign(scores.header().layers.size() *
                                                 scores.header().heads.size(),
                                             std::numeric_limits<double>::quiet_NaN());
        }
    }
    return values;
}
} // namespace

MapValues::MapValues(Document* document)
    : QObject(document)
    , m_document(document)
    , m_runner(new JobRunner(this)) {
    connect(document, &Document::scoresChanged, this, &MapValues::update);
    connect(m_runner, &JobRunner::failed, document, [document](std::exception_ptr error) {
        document->setMessage(Message::of(std::move(error)));
    });
}

double MapValues::value(Block block, int row, int column) const {
    const auto& v = values(block);
    if (!m_scores || v.empty()) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    return v[static_cast<std::size_t>(row) * m_scores->header().heads.size() +
             static_cast<std::size_t>(column)];
}

bool MapValues::loading() const {
    return m_runner->running();
}

void MapValues::setReduction(results::Reduction reduction) {
    if (reduction != m_reduction) {
        m_reduction = reduction;
        update();
    }
}

void MapValues::show(std::shared_ptr<const engine::Scores> scores, results::Reduction r,
                     Values values) {
    m_scores = std::move(scores);
    m_shown = r;
    m_values = std::move(values);
    emit changed();
}

void MapValues::update() {
    const auto scores = m_document->scores();
    m_runner->cancel();
    if (!scores) {
        show(nullptr, m_reduction, {});
        return;
    }
    if (m_reduction == results::Reduction::mean) {
        show(scores, m_reduction, reduceAll(*scores, m_reduction));
        return;
    }
    const auto known = m_cache.find(m_reduction);
    if (known != m_cache.end() && known->second.first.lock() == scores) {
        show(scores, m_reduction, known->second.second);
        return;
    }
    m_runner->start([this, scores, r = m_reduction](JobContext& context) -> JobRunner::Delivery {
        context.job().stage(tr("Reducing pairs").toStdString(), 0, 1);
        auto values = reduceAll(*scores, r);
        return [this, scores, r, values = std::move(values)]() mutable {
            if (scores->complete()) {
                m_cache[r] = {scores, values};
            }
            show(scores, r, std::move(values));
        };
    });
}

} // namespace qkov::ui
