// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Document.h"

#include "document/Selection.h"
#include "document/Words.h"

#include <nlohmann/json.hpp>

#include <QFileInfo>

#include <algorithm>

namespace qkov::ui {

namespace {

/// A change of mode or task computes by itself when the last computation took no longer.
constexpr double promptSeconds = 5;

bool sameSamples(const std::vector<dump::SampleInfo>& a, const std::vector<dump::SampleInfo>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.id == y.id; });
}

} // namespace

Document::Document(QObject* parent)
    : QObject(parent)
    , m_selection(new Selection(this))
    , m_runner(new JobRunner(this))
    , m_writer(new JobRunner(this))
    , m_finder(new JobRunner(this))
    , m_keeper(new JobRunner(this)) {
    connect(m_writer, &JobRunner::failed, this,
            [this](std::exception_ptr error) { setMessage(Message::of(std::move(error))); });
    connect(m_runner, &JobRunner::failed, this, &Document::jobFailed);
    connect(m_keeper, &JobRunner::finished, this, &Document::storeNext);
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
    if (auto known = m_memory.find(cacheKey(m_request))) {
        showKnown(std::move(known));
        return;
    }
    // Quick ones answer by themselves; the map shown stays until the new one is whole.
    if (canCompute() && m_scores &&
        (m_state == State::computing || m_scores->header().totalSeconds < promptSeconds)) {
        startCompute(false);
    } else {
        findOnDisk();
    }
}

void Document::showKnown(std::shared_ptr<const engine::Scores> scores) {
    if (m_state == State::computing) {
        m_runner->cancel();
    }
    m_scoresKey = cacheKey(m_request);
    setScores(std::move(scores));
    m_restState = State::ready;
    setState(State::ready);
    emit requestChanged();
}

void Document::findOnDisk() {
    if (!m_memory.disk() || !canCompute()) {
        return;
    }
    m_finder->start([this, disk = m_memory.disk(), fingerprint = m_dump->info().fingerprint,
                     request = resolved(m_request),
                     key = cacheKey(m_request)](JobContext&) -> JobRunner::Delivery {
        auto scores = disk->find(fingerprint, request);
        if (!scores) {
            return nullptr;
        }
        return [this, key, scores = std::move(scores)]() mutable {
            if (m_state == State::ready && cacheKey(m_request) == key) {
                m_memory.keep(key, scores, true);
                showKnown(std::move(scores));
            }
        };
    });
}

bool Document::outdated() const {
    return m_scores && m_scoresKey != cacheKey(m_request);
}

// ---- computing ----------------------------------------------------------------------------------

engine::ScoreRequest Document::resolved(const engine::ScoreRequest& request) const {
    engine::ScoreRequest r = request;
    // Chosen by the program or named by the user: the same scores.
    if (!r.mode) {
        r.mode = mode();
    }
    if (!m_dump) {
        return r;
    }
    // All of them or none named: the same.
    const auto& shape = m_dump->info().model;
    const auto leaveOut = [](std::vector<std::int64_t>& numbers, std::int64_t all) {
        bool every = static_cast<std::int64_t>(numbers.size()) == all;
        for (std::size_t n = 0; every && n < numbers.size(); ++n) {
            every = numbers[n] == static_cast<std::int64_t>(n);
        }
        if (every) {
            numbers.clear();
        }
    };
    leaveOut(r.layers, shape.numLayers);
    leaveOut(r.heads, shape.numHeads);
    if (r.blocks.size() == allBlocks.size()) {
        r.blocks.clear();
    }
    // The estimator that is taken when none is named.
    std::optional<std::string> stored;
    bool agree = true, everywhere = true;
    for (const std::string& name : {r.taskA, r.taskB}) {
        const dump::TaskInfo* task = m_dump->info().task(name);
        const auto set = task ? task->fisher.find("structural") : decltype(task->fisher.end()){};
        if (!task || set == task->fisher.end()) {
            everywhere = false;
            continue;
        }
        agree = agree && (!stored || *stored == set->second.estimator);
        stored = set->second.estimator;
    }
    const std::string taken = stored.value_or("ema");
    if (r.estimator && agree && engine::name(*r.estimator) == taken &&
        (everywhere || taken == "ema")) {
        r.estimator.reset();
    }
    return r;
}

std::string Document::cacheKey(const engine::ScoreRequest& request) const {
    engine::ScoreRequest r = resolved(request);
    // Where it is computed changes no digit that is shown.
    r.threads = 0;
    r.memoryBudget = 0;
    return engine::toJson(r).dump();
}

void Document::keepScores(const engine::ScoreRequest& request,
                          std::shared_ptr<const engine::Scores> scores) {
    const bool ours = m_dump && scores->complete() &&
                      scores->header().dumpFingerprint == m_dump->info().fingerprint;
    if (!ours || m_memory.find(cacheKey(request))) {
        return;
    }
    m_memory.keep(cacheKey(request), scores, false);
    if (m_memory.disk()) {
        m_toStore.emplace_back(resolved(request), std::move(scores));
        storeNext();
    }
}

void Document::storeNext() {
    if (m_toStore.empty() || m_keeper->running()) {
        return;
    }
    auto [request, scores] = std::move(m_toStore.front());
    m_toStore.pop_front();
    m_keeper->start([disk = m_memory.disk(), request = std::move(request),
                     scores = std::move(scores)](JobContext&) -> JobRunner::Delivery {
        disk->store(scores->header().dumpFingerprint, request, *scores);
        return nullptr;
    });
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

} // namespace qkov::ui
