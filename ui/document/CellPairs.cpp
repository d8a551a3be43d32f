// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/CellPairs.h"

#include "document/Document.h"
#include "results/Summary.h"

#include <limits>

namespace qkov::ui {

CellPairs::CellPairs(Document* document)
    : QObject(document)
    , m_document(document)
    , m_runner(new JobRunner(this)) {
    connect(document, &Document::scoresChanged, this, &CellPairs::update);
    connect(document->selection(), &Selection::cellChanged, this, &CellPairs::update);
    connect(m_runner, &JobRunner::failed, document, [document](std::exception_ptr error) {
        document->setMessage(Message::of(std::move(error)));
    });
}

const std::vector<float>& CellPairs::values() const {
    static const std::vector<float> none;
    return m_cell ? values(m_cell->block) : none;
}

double CellPairs::score(Block block, PairRef pair) const {
    const auto& v = values(block);
    if (v.empty() || !m_scores) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    const auto at = static_cast<std::size_t>(pair.i) * m_scores->header().nB() +
                    static_cast<std::size_t>(pair.j);
    return at < v.size() ? static_cast<double>(v[at]) : std::numeric_limits<double>::quiet_NaN();
}

bool CellPairs::loading() const {
    return m_runner->running();
}

void CellPairs::choosePair() {
    if (!m_cell || m_document->selection()->pair() || this->values().empty()) {
        return;
    }
    const auto& h = m_scores->header();
    const Cell cell{m_cell->block, LayerIndex(h.layers[static_cast<std::size_t>(m_cell->row)]),
                    HeadIndex(h.heads[static_cast<std::size_t>(m_cell->column)])};
    const auto top = results::topConflictsOfPairs(h, cell, this->values(), 1);
    if (!top.empty()) {
        m_document->selection()->amendPair(
            PairRef{static_cast<int>(top[0].i), static_cast<int>(top[0].j)});
    }
}

void CellPairs::update() {
    const auto scores = m_document->scores();
    const auto cell = m_document->selection()->cell();
    if (!scores || !cell) {
        m_runner->cancel();
        m_wanted.reset();
        m_wantedScores.reset();
        const bool had = m_cell.has_value();
        m_cell.reset();
        m_scores.reset();
        m_values = {};
        if (had) {
            emit changed();
        }
        return;
    }
    if (m_wanted == cell && m_wantedScores == scores) {
        return;
    }
    const bool sameHead =
        m_cell && m_scores == scores && m_cell->row == cell->row && m_cell->column == cell->column;
    m_wanted = cell;
    m_wantedScores = scores;
    if (sameHead) { // another block of the same head: everything is here
        m_runner->cancel();
        m_cell = cell;
        choosePair();
        emit changed();
        return;
    }
    m_runner->start([this, scores, c = *cell](JobContext& context) -> JobRunner::Delivery {
        std::array<std::vector<float>, 4> values;
        for (const Block block : allBlocks) {
            context.checkCancelled();
            values[blockIndex(block)] = scores->pairs(block, static_cast<std::size_t>(c.row),
                                                      static_cast<std::size_t>(c.column));
        }
        return [this, scores, values = std::move(values)]() mutable {
            m_cell = m_wanted;
            m_scores = scores;
            m_values = std::move(values);
            choosePair();
            emit changed();
        };
    });
}

} // namespace qkov::ui
