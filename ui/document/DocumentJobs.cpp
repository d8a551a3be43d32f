// SPDX-License-Identifier: GPL-3.0-or-later
// What the document has done for it on a worker thread.
#include "document/Document.h"

#include "dump/Import.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <QDir>
#include <QFileInfo>

namespace qkov::ui {

namespace {
std::filesystem::path toPath(const QString& path) {
    return std::filesystem::path(path.toStdU16String());
}

QString fromPath(const std::filesystem::path& path) {
    return QString::fromStdU16String(path.u16string());
}
} // namespace

void Document::compute() {
    startCompute(true);
}

void Document::startCompute(bool showLayers) {
    if (!canCompute()) {
        return;
    }
    if (m_state != State::loading && m_state != State::computing && m_state != State::collecting) {
        m_restState = m_state == State::partial ? State::ready : m_state;
    }
    clearMessage();
    const auto key = cacheKey(m_request);
    const bool show = showLayers || !m_scores;
    m_runner->start([this, dump = m_dump, disk = m_memory.disk(), request = m_request,
                     asked = resolved(m_request), key,
                     show](JobContext& context) -> JobRunner::Delivery {
        auto known = disk ? disk->find(dump->info().fingerprint, asked) : nullptr;
        if (known) {
            return [this, key, known = std::move(known)]() mutable {
                m_memory.keep(key, known, true);
                m_scoresKey = key;
                m_restState = State::ready;
                setScores(std::move(known));
                emit requestChanged();
            };
        }
        engine::PartialSink sink;
        if (show) {
            sink = [&](std::shared_ptr<const engine::Scores> part) {
                context.deliver([this, key, part = std::move(part)]() mutable {
                    m_scoresKey = key;
                    setScores(std::move(part));
                });
            };
        }
        auto scores = engine::compute(*dump, request, context.job(), sink);
        return [this, key, request, scores = std::move(scores)]() mutable {
            m_scoresKey = key;
            keepScores(request, scores);
            m_restState = State::ready;
            setScores(std::move(scores));
            emit requestChanged();
        };
    });
    setState(State::computing);
}

void Document::cancel() {
    m_runner->cancel();
}

// ---- other jobs ---------------------------------------------------------------------------------

void Document::collect(const collect::CollectRequest& request) {
    if (m_state != State::collecting) {
        m_restState = m_state;
    }
    clearMessage();
    m_runner->start([this, request](JobContext& context) -> JobRunner::Delivery {
        const auto summary = collect::collect(request, context.job());
        return [this, summary, out = fromPath(request.out)] {
            emit collected(out);
            // The next job opens what was written; its message must survive that.
            open(out);
            warn(summary.warnings);
        };
    });
    setState(State::collecting);
}

void Document::importStores(const dump::ImportRequest& request) {
    if (m_state != State::importing) {
        m_restState = m_state;
    }
    clearMessage();
    m_runner->start([this, request](JobContext& context) -> JobRunner::Delivery {
        const auto summary = dump::importStores(request, context.job());
        return [this, warnings = summary.warnings, out = fromPath(request.out)] {
            emit collected(out);
            open(out);
            warn(warnings);
        };
    });
    setState(State::importing);
}

void Document::warn(const std::vector<std::string>& warnings) {
    if (warnings.empty()) {
        return;
    }
    QStringList lines;
    for (const auto& w : warnings) {
        lines << QString::fromStdString(w);
    }
    setMessage(Message::warning(lines.join(QStringLiteral(" · "))));
}

void Document::saveResults(const QString& file) {
    m_writer->start([this, file, scores = m_scores](JobContext& context) -> JobRunner::Delivery {
        results::writeResults(toPath(file), *scores, context.job());
        return [this, file] {
            setMessage(
                Message::info(tr("Saved the results as %1").arg(QDir::toNativeSeparators(file))));
        };
    });
}

void Document::exportCellsCsv(const QString& file) {
    m_writer->start([this, file, scores = m_scores](JobContext& context) -> JobRunner::Delivery {
        context.job().stage(tr("Writing %1").arg(QFileInfo(file).fileName()).toStdString(), 0, 1);
        results::exportCellsCsv(*scores, toPath(file));
        return [this, file] {
            setMessage(Message::info(tr("Wrote %1").arg(QDir::toNativeSeparators(file))));
        };
    });
}

} // namespace qkov::ui
