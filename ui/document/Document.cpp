// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Document.h"

#include "document/Selection.h"
#include "document/Words.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <nlohmann/json.hpp>

#include <QDir>
#include <QFileInfo>

#include <algorithm>

namespace qkov::ui {

namespace {

/// Results kept in memory for switching back and forth.
constexpr double rememberedBytes = 1.5e9;
/// A change of mode or task computes by itself when the last computation took no longer.
constexpr double promptSeconds = 5;

std::filesystem::path toPath(const QString& path) {
    return std::filesystem::path(path.toStdU16String());
}

QString fromPath(const std::filesystem::path& path) {
    return QString::fromStdU16String(path.u16string());
}

/// The dump a results file was computed from, if it lies beside it and is still the same.
std::shared_ptr<const dump::DumpReader> dumpBehind(const std::filesystem::path& results,
                                                   const engine::ScoreHeader& header) {
    if (header.dumpName.empty()) {
        return nullptr;
    }
    const std::filesystem::path named(header.dumpName);
    for (const auto& candidate : {results.parent_path() / named.filename(), named}) {
        std::error_code ec;
        if (!std::filesystem::is_regular_file(candidate, ec)) {
            continue;
        }
        try {
            auto reader = std::make_shared<dump::DumpReader>(candidate);
            if (reader->info().fingerprint == header.dumpFingerprint) {
                return reader;
            }
        } catch (const std::exception&) {
            // Not the dump after all: the results are shown without it, and say so.
        }
    }
    return nullptr;
}

bool sameSamples(const std::vector<dump::SampleInfo>& a, const std::vector<dump::SampleInfo>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.id == y.id; });
}

} // namespace

struct Document::Loaded {
    Source source = Source::none;
    QString path;
    std::optional<model::Checkpoint> checkpoint;
    std::shared_ptr<const dump::DumpReader> dump;
    std::shared_ptr<const engine::Scores> scores;
};

Document::Document(QObject* parent)
    : QObject(parent)
    , m_selection(new Selection(this))
    , m_runner(new JobRunner(this))
    , m_writer(new JobRunner(this)) {
    connect(m_writer, &JobRunner::failed, this,
            [this](std::exception_ptr error) { setMessage(Message::of(std::move(error))); });
    connect(m_runner, &JobRunner::failed, this, &Document::jobFailed);
    connect(m_runner, &JobRunner::finished, this, [this] {
        if (m_state != State::partial && m_state != m_restState) {
            setState(m_restState);
        }
    });
    connect(m_runner, &JobRunner::cancelled, this, [this] {
        m_loadingPath.clear();
        const bool hasPart = m_state == State::computing && m_scores && !m_scores->complete();
        setState(hasPart ? State::partial : m_restState);
    });
}

Document::~Document() = default;

QString Document::fileName() const {
    return QFileInfo(m_path).fileName();
}

void Document::setState(State state) {
    if (state != m_state) {
        m_state = state;
        emit stateChanged();
    }
}

void Document::setMessage(const Message& message) {
    m_message = message;
    emit messageChanged();
}

void Document::jobFailed(std::exception_ptr error) {
    m_loadingPath.clear();
    const bool hasPart = m_state == State::computing && m_scores && !m_scores->complete();
    setState(hasPart ? State::partial : m_restState);
    setMessage(Message::of(std::move(error)));
}

// ---- opening ------------------------------------------------------------------------------------

JobRunner::Work Document::loadWork(Document* document, const QString& path) {
    return [document, path](JobContext& context) -> JobRunner::Delivery {
        const auto file = toPath(path);
        context.job().stage(tr("Opening %1").arg(QFileInfo(path).fileName()).toStdString(), 0, 1);
        auto loaded = std::make_shared<Loaded>();
        loaded->path = path;
        switch (dump::detectFileKind(file)) {
        case dump::FileKind::modelDirectory:
            loaded->source = Source::model;
            loaded->checkpoint = model::Checkpoint::open(file);
            break;
        case dump::FileKind::dump:
            loaded->source = Source::dump;
            loaded->dump = std::make_shared<dump::DumpReader>(file);
            break;
        case dump::FileKind::results:
            loaded->source = Source::results;
            loaded->scores = results::openResults(file);
            loaded->dump = dumpBehind(file, loaded->scores->header());
            break;
        }
        context.checkCancelled();
        return [document, loaded] { document->adopt(std::move(*loaded)); };
    };
}

void Document::open(const QString& path) {
    if (m_state != State::loading && m_state != State::computing && m_state != State::collecting) {
        m_restState = m_state;
    }
    clearMessage();
    m_loadingPath = QFileInfo(path).absoluteFilePath();
    m_runner->start(loadWork(this, m_loadingPath));
    setState(State::loading);
}

void Document::adopt(Loaded loaded) {
    m_source = loaded.source;
    m_path = loaded.path;
    m_loadingPath.clear();
    m_checkpoint = std::move(loaded.checkpoint);
    m_dump = std::move(loaded.dump);
    m_remembered.clear();
    m_selection->reset();
    m_request = {};
    if (loaded.scores) {
        m_request = loaded.scores->header().request;
        m_request.taskA = loaded.scores->header().taskA;
        m_request.taskB = loaded.scores->header().taskB;
    } else if (m_dump) {
        const auto& tasks = m_dump->info().tasks;
        if (!tasks.empty()) {
            m_request.taskA = tasks.front().name;
            m_request.taskB = tasks.size() > 1 ? tasks[1].name : tasks.front().name;
        }
    }
    m_scores = std::move(loaded.scores);
    m_scoresKey = m_scores ? cacheKey(m_request) : std::string();
    if (m_scores) {
        remember(m_scoresKey, m_scores);
    }
    m_restState = m_source == Source::none ? State::empty : State::ready;
    emit opened();
    emit requestChanged();
    emit scoresChanged();
    setState(m_restState);
}

void Document::close() {
    m_runner->cancel();
    clearMessage();
    adopt({});
}

void Document::showScores(std::shared_ptr<const engine::Scores> scores) {
    Loaded l;
    l.source = Source::results;
    l.path = QString::fromStdString(scores->header().dumpName);
    l.scores = std::move(scores);
    adopt(std::move(l));
}

// ---- request ------------------------------------------------------------------------------------

QStringList Document::taskNames() const {
    QStringList names;
    if (m_dump) {
        for (const auto& t : m_dump->info().tasks) {
            names << QString::fromStdString(t.name);
        }
    } else if (m_scores) {
        names << QString::fromStdString(m_scores->header().taskA);
        const auto b = QString::fromStdString(m_scores->header().taskB);
        if (!names.contains(b)) {
            names << b;
        }
    }
    return names;
}

bool Document::modeAvailable(engine::Mode mode) const {
    if (mode == engine::Mode::structural) {
        return m_dump || m_scores;
    }
    if (!m_dump) {
        return m_scores && m_scores->header().request.mode == mode;
    }
    const auto& info = m_dump->info();
    if (!info.headTypes.names.empty()) {
        return true;
    }
    return !info.tasks.empty() && std::all_of(info.tasks.begin(), info.tasks.end(), [](auto& t) {
        return t.fisher.contains("behavioral");
    });
}

std::optional<engine::Mode> Document::mode() const {
    if (m_request.mode) {
        return m_request.mode;
    }
    if (m_scores) {
        return m_scores->header().request.mode;
    }
    if (!m_dump) {
        return std::nullopt;
    }
    return modeAvailable(engine::Mode::behavioral) ? engine::Mode::behavioral
                                                   : engine::Mode::structural;
}

void Document::setRequest(const engine::ScoreRequest& request) {
    m_request = request;
    requestEdited();
}

void Document::setTasks(const std::string& a, const std::string& b) {
    if (a != m_request.taskA) {
        m_request.samplesA.clear();
    }
    if (b != m_request.taskB) {
        m_request.samplesB.clear();
    }
    m_request.taskA = a;
    m_request.taskB = b;
    requestEdited();
}

void Document::swapTasks() {
    std::swap(m_request.taskA, m_request.taskB);
    std::swap(m_request.samplesA, m_request.samplesB);
    if (m_request.fisherTask != engine::FisherTask::pooled) {
        m_request.fisherTask = m_request.fisherTask == engine::FisherTask::a
                                   ? engine::FisherTask::b
                                   : engine::FisherTask::a;
    }
    requestEdited();
}

void Document::setMode(engine::Mode mode) {
    m_request.mode = mode;
    requestEdited();
}

void Document::setVariant(engine::Variant variant) {
    m_request.variant = variant;
    requestEdited();
}

void Document::requestEdited() {
    emit requestChanged();
    if (!outdated()) {
        return;
    }
    const auto key = cacheKey(m_request);
    if (auto known = cached(key)) {
        if (m_state == State::computing) {
            m_runner->cancel();
        }
        m_scoresKey = key;
        setScores(std::move(known));
        m_restState = State::ready;
        setState(State::ready);
        emit requestChanged();
        return;
    }
    // Quick ones answer by themselves; the map shown stays until the new one is whole.
    if (canCompute() && m_scores &&
        (m_state == State::computing || m_scores->header().totalSeconds < promptSeconds)) {
        startCompute(false);
    }
}

bool Document::outdated() const {
    return m_scores && m_scoresKey != cacheKey(m_request);
}

// ---- computing ----------------------------------------------------------------------------------

std::string Document::cacheKey(const engine::ScoreRequest& request) const {
    engine::ScoreRequest r = request;
    // Chosen by the program or named by the user: the same scores.
    if (!r.mode) {
        r.mode = mode();
    }
    // Where it is computed changes no digit that is shown.
    r.threads = 0;
    r.memoryBudget = 0;
    return engine::toJson(r).dump();
}

std::shared_ptr<const engine::Scores> Document::cached(const std::string& key) const {
    for (const auto& r : m_remembered) {
        if (r.key == key) {
            return r.scores;
        }
    }
    return nullptr;
}

void Document::remember(const std::string& key, std::shared_ptr<const engine::Scores> scores) {
    std::erase_if(m_remembered, [&](const Remembered& r) { return r.key == key; });
    const auto& h = scores->header();
    const double blocks = static_cast<double>(std::count(h.blocks.begin(), h.blocks.end(), true));
    const bool inFile = m_source == Source::results && m_remembered.empty();
    m_remembered.push_front({key, std::move(scores),
                             inFile
                                 ? 0
                                 : blocks * 4.0 * static_cast<double>(h.layers.size()) *
                                       static_cast<double>(h.heads.size()) *
                                       static_cast<double>(h.nA()) * static_cast<double>(h.nB())});
    double total = 0;
    for (auto it = m_remembered.begin(); it != m_remembered.end();) {
        total += it->bytes;
        it = total > rememberedBytes && it != m_remembered.begin() ? m_remembered.erase(it)
                                                                   : std::next(it);
    }
}

void Document::setScores(std::shared_ptr<const engine::Scores> scores) {
    // The selection names model layers and heads, and samples by id: keep it where the new map has
    // them at other places, drop it where it has not.
    if (m_scores && scores) {
        const auto& from = m_scores->header();
        const auto& to = scores->header();
        if (&from != &to) {
            if (from.layers != to.layers || from.heads != to.heads) {
                m_selection->setCells({});
                m_selection->setCell(translated(m_selection->cell(), from, to));
            }
            if (!sameSamples(from.samplesA, to.samplesA) ||
                !sameSamples(from.samplesB, to.samplesB)) {
                m_selection->setPair(translated(m_selection->pair(), from, to));
            }
            m_selection->clamp(static_cast<int>(to.layers.size()),
                               static_cast<int>(to.heads.size()), static_cast<int>(to.nA()),
                               static_cast<int>(to.nB()));
        }
    }
    m_scores = std::move(scores);
    emit scoresChanged();
}

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
    m_runner->start([this, dump = m_dump, request = m_request, key,
                     show](JobContext& context) -> JobRunner::Delivery {
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
        return [this, key, scores = std::move(scores)]() mutable {
            m_scoresKey = key;
            remember(key, scores);
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
            if (!summary.warnings.empty()) {
                QStringList lines;
                for (const auto& w : summary.warnings) {
                    lines << QString::fromStdString(w);
                }
                setMessage(Message::warning(lines.join(QStringLiteral(" · "))));
            }
        };
    });
    setState(State::collecting);
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
