// SPDX-License-Identifier: GPL-3.0-or-later
// Opening: a model, a dump or results; and what is asked of the user when nobody knows where the
// heads are.
#include "document/Document.h"

#include "base/Error.h"
#include "base/RawFile.h"
#include "collect/Collect.h"
#include "document/LayoutStore.h"
#include "document/Selection.h"
#include "model/ModelConfig.h"
#include "results/ResultsFile.h"

#include <QDir>
#include <QFileInfo>

#include <algorithm>

namespace qkov::ui {

namespace {

std::filesystem::path toPath(const QString& path) {
    return std::filesystem::path(path.toStdU16String());
}

QString fromPath(const std::filesystem::path& path) {
    return QString::fromStdU16String(path.u16string());
}

/// The dump a results file was computed from, if it lies beside it and is still the same.
std::shared_ptr<const dump::DumpReader> dumpBehind(const std::filesystem::path& results,
                                                   const engine::ScoreHeader& header,
                                                   const Job& job) {
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
            auto reader = std::make_shared<dump::DumpReader>(
                candidate, layouts::textFor(fromPath(candidate)).toStdString(), &job);
            if (reader->info().fingerprint == header.dumpFingerprint) {
                return reader;
            }
        } catch (const Cancelled&) {
            throw;
        } catch (const std::exception&) {
            // Not the dump after all: the results are shown without it, and say so.
        }
    }
    return nullptr;
}

} // namespace

struct Document::Loaded {
    Source source = Source::none;
    QString path;
    QString layoutJson; ///< a user's; empty: none
    std::optional<model::Checkpoint> checkpoint;
    std::map<std::string, std::vector<std::int64_t>> module; ///< parameters of a TorchScript module
    std::shared_ptr<const dump::DumpReader> dump;
    std::shared_ptr<const engine::Scores> scores;
};

void Document::load(Loaded& loaded, const Job& job) {
    const auto file = toPath(loaded.path);
    const std::string layout = loaded.layoutJson.toStdString();
    if (const auto script = collect::scriptOf(file); !script.empty()) {
        loaded.source = Source::model;
        loaded.module = collect::scriptParameters(script);
        loaded.checkpoint = model::Checkpoint::describe(script, loaded.module, layout);
        return;
    }
    switch (dump::detectFileKind(file)) {
    case dump::FileKind::modelDirectory:
        loaded.source = Source::model;
        loaded.checkpoint = model::Checkpoint::open(file, layout);
        break;
    case dump::FileKind::dump:
        loaded.source = Source::dump;
        loaded.dump = std::make_shared<dump::DumpReader>(file, layout, &job);
        break;
    case dump::FileKind::results:
        loaded.source = Source::results;
        loaded.scores = results::openResults(file);
        loaded.dump = dumpBehind(file, loaded.scores->header(), job);
        break;
    }
}

JobRunner::Work Document::loadWork(Document* document, const QString& path,
                                   const QString& layoutJson) {
    return [document, path, layoutJson](JobContext& context) -> JobRunner::Delivery {
        context.job().stage(tr("Opening %1").arg(QFileInfo(path).fileName()).toStdString(), 0, 1);
        auto loaded = std::make_shared<Loaded>();
        loaded->path = path;
        loaded->layoutJson = layoutJson.isEmpty() ? layouts::textFor(path) : layoutJson;
        try {
            load(*loaded, context.job());
        } catch (const InputError&) {
            auto need = layoutNeedOf(*loaded);
            if (!need) {
                throw;
            }
            return [document, need = std::move(need), error = std::current_exception()] {
                document->askForLayout(*need, error);
            };
        }
        context.checkCancelled();
        return [document, loaded, keep = !layoutJson.isEmpty()] {
            const QString file = loaded->path;
            const QString layout = loaded->layoutJson;
            document->adopt(std::move(*loaded));
            if (keep) {
                document->keepLayout(file, layout);
            }
        };
    };
}

void Document::keepLayout(const QString& path, const QString& layoutJson) {
    try {
        layouts::remember(path, layoutJson);
    } catch (const std::exception&) {
        setMessage(Message::warning(tr("The layout is in use, but can't be kept for next time"),
                                    tr("Save it as a file from the same dialog")));
    }
}

std::optional<LayoutNeed> Document::layoutNeedOf(const Loaded& loaded) {
    LayoutNeed need;
    need.path = loaded.path;
    need.whole = loaded.source != Source::dump;
    try {
        if (!loaded.module.empty()) {
            const auto script = collect::scriptOf(toPath(loaded.path));
            const auto config = script.parent_path() / "config.json";
            need.whole = false;
            need.list.model = model::shapeFromConfig(readText(config, largestText), config);
            for (const auto& [name, shape] : loaded.module) {
                need.list.parameters.push_back({name, shape});
            }
        } else {
            need.list = dump::listParameters(toPath(loaded.path));
        }
        if (!loaded.layoutJson.isEmpty()) {
            need.list.model.layoutJson = loaded.layoutJson.toStdString();
        }
        need.problem = model::layoutProblem(need.list.model, need.list.parameters, need.whole);
    } catch (const std::exception&) {
        return std::nullopt; // something else is wrong with the file
    }
    return need.problem.empty() || need.list.parameters.empty() ? std::nullopt
                                                                : std::optional(std::move(need));
}

void Document::askForLayout(const LayoutNeed& need, std::exception_ptr error) {
    m_loadingPath.clear();
    m_layoutNeed = need;
    const auto known = model::knownArchitectures();
    const auto& shape = need.list.model;
    Message m = Message::of(std::move(error));
    if (shape.layoutJson.empty() &&
        std::find(known.begin(), known.end(), shape.architecture) == known.end()) {
        m.what = tr("The architecture \"%1\" is unknown")
                     .arg(QString::fromStdString(shape.architecture));
        m.where = QDir::toNativeSeparators(need.path);
    }
    m.advice = tr("Say which parameters are Q, K, V and O; names and shapes are read already");
    m.action = tr("Assign parameters…");
    setMessage(m);
    emit layoutNeeded();
}

void Document::open(const QString& path) {
    openWithLayout(path, {});
}

void Document::openWithLayout(const QString& path, const QString& layoutJson) {
    if (m_state != State::loading && m_state != State::computing && m_state != State::collecting &&
        m_state != State::importing) {
        m_restState = m_state;
    }
    clearMessage();
    m_layoutNeed.reset();
    m_loadingPath = QFileInfo(path).absoluteFilePath();
    m_runner->start(loadWork(this, m_loadingPath, layoutJson));
    setState(State::loading);
}

void Document::adopt(Loaded loaded) {
    m_source = loaded.source;
    m_path = loaded.path;
    m_loadingPath.clear();
    m_checkpoint = std::move(loaded.checkpoint);
    m_dump = std::move(loaded.dump);
    m_layoutJson = loaded.layoutJson;
    m_memory.clear();
    m_toStore.clear();
    m_finder->cancel();
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
        m_memory.keep(m_scoresKey, m_scores, m_source == Source::results);
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

} // namespace qkov::ui
