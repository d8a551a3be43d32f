// SPDX-License-Identifier: GPL-3.0-or-later
// What is open, what is asked for, what is computed: the one state that all views follow.
#pragma once

#include "collect/Collect.h"
#include "document/Message.h"
#include "document/ScoreMemory.h"
#include "dump/Contents.h"
#include "dump/DumpReader.h"
#include "engine/Scores.h"
#include "jobs/JobRunner.h"
#include "model/Checkpoint.h"

#include <QObject>
#include <QString>

#include <deque>
#include <memory>
#include <optional>

namespace qkov::dump {
struct ImportRequest;
}

namespace qkov::ui {

class Selection;

/// A model or dump that can't be opened until somebody says which parameters are Q, K, V and O.
struct LayoutNeed {
    QString path;
    dump::ParameterList list;
    std::string problem; ///< of the layout in force
    bool whole = true;   ///< every layer needs all four blocks (models; dumps may lack some)
};

class Document : public QObject {
    Q_OBJECT

  public:
    enum class Source { none, model, dump, results };
    enum class State {
        empty,     ///< nothing open
        loading,   ///< a file is being opened (what was open stays until it is)
        ready,     ///< open, at rest
        computing, ///< scores are being computed
        collecting,
        importing,
        partial, ///< a computation was cancelled; scores() holds what it reached
    };
    Q_ENUM(State)

    explicit Document(QObject* parent = nullptr);
    ~Document() override;

    Selection* selection() const { return m_selection; }
    /// The lane of opening, computing and collecting.
    JobRunner* runner() const { return m_runner; }
    /// The lane of saving and exporting, which may go on while the other computes.
    JobRunner* writer() const { return m_writer; }

    State state() const { return m_state; }
    Source source() const { return m_source; }
    bool busy() const { return m_runner->running(); }
    /// The file or folder that was opened; while one is being opened, still the one before.
    QString path() const { return m_path; }
    QString loadingPath() const { return m_loadingPath; }
    QString fileName() const;
    const std::optional<model::Checkpoint>& checkpoint() const { return m_checkpoint; }
    /// The dump behind what is shown; null for a model, and for results whose dump is not at hand.
    std::shared_ptr<const dump::DumpReader> dump() const { return m_dump; }

    /// Of the last thing that was to be opened; none when it is open.
    const std::optional<LayoutNeed>& layoutNeed() const { return m_layoutNeed; }
    /// The user's layout behind what is open; empty: the file's own or the registry's.
    QString layoutJson() const { return m_layoutJson; }
    /// Results of earlier sessions are found here, and new ones kept. Off until it is set.
    void setScoreCache(std::shared_ptr<const engine::ScoreCache> cache) {
        m_memory.setDisk(std::move(cache));
    }
    /// Complete scores of the open dump that were computed elsewhere.
    void keepScores(const engine::ScoreRequest& request,
                    std::shared_ptr<const engine::Scores> scores);

    /// What Compute would compute.
    const engine::ScoreRequest& request() const { return m_request; }
    void setRequest(const engine::ScoreRequest& request);
    void setTasks(const std::string& a, const std::string& b);
    void swapTasks();
    void setMode(engine::Mode mode);
    void setVariant(engine::Variant variant);
    /// Mode that is in force: the request's, else that of the shown scores.
    std::optional<engine::Mode> mode() const;
    QStringList taskNames() const;
    bool modeAvailable(engine::Mode mode) const;
    bool canCompute() const { return m_dump != nullptr && !m_request.taskA.empty(); }

    /// What is shown; null before the first result. Grows while computing.
    std::shared_ptr<const engine::Scores> scores() const { return m_scores; }
    /// True when scores() are not what request() asks for.
    bool outdated() const;

    const Message& message() const { return m_message; }
    void setMessage(const Message& message);
    void clearMessage() { setMessage({}); }

  public slots:
    void open(const QString& path);
    void close();
    void compute();
    /// Stops the running job, whatever it is.
    void cancel();

  public:
    /// Opens with a user's layout and keeps it for this file; empty: as open().
    void openWithLayout(const QString& path, const QString& layoutJson);
    void collect(const collect::CollectRequest& request);
    /// Makes a dump from other tools' gradient stores and opens it.
    void importStores(const dump::ImportRequest& request);
    void saveResults(const QString& file);
    void exportCellsCsv(const QString& file);
    /// Shows ready-made scores without a file behind them (tests, figures).
    void showScores(std::shared_ptr<const engine::Scores> scores);

  signals:
    void stateChanged();
    /// Another file, model or nothing is open.
    void opened();
    void requestChanged();
    void scoresChanged();
    void messageChanged();
    void collected(const QString& dump);
    /// layoutNeed() is set and said in message().
    void layoutNeeded();

  private:
    struct Loaded;
    void adopt(Loaded loaded);
    void startCompute(bool showLayers);
    void setState(State state);
    void setScores(std::shared_ptr<const engine::Scores> scores);
    void requestEdited();
    void jobFailed(std::exception_ptr error);
    void warn(const std::vector<std::string>& warnings);
    void showKnown(std::shared_ptr<const engine::Scores> scores);
    void findOnDisk();
    void storeNext();
    engine::ScoreRequest resolved(const engine::ScoreRequest& request) const;
    std::string cacheKey(const engine::ScoreRequest& request) const;
    static void load(Loaded& loaded, const Job& job);
    void keepLayout(const QString& path, const QString& layoutJson);
    static std::optional<LayoutNeed> layoutNeedOf(const Loaded& loaded);
    void askForLayout(const LayoutNeed& need, std::exception_ptr error);
    static JobRunner::Work loadWork(Document* document, const QString& path,
                                    const QString& layoutJson);

    Selection* m_selection;
    JobRunner* m_runner;
    JobRunner* m_writer;
    JobRunner* m_finder; ///< looks for results of earlier sessions
    JobRunner* m_keeper; ///< keeps results for later ones
    State m_state = State::empty;
    State m_restState = State::empty; ///< to return to when a job ends without a result
    Source m_source = Source::none;
    QString m_path;
    QString m_loadingPath;
    std::optional<model::Checkpoint> m_checkpoint;
    std::shared_ptr<const dump::DumpReader> m_dump;
    engine::ScoreRequest m_request;
    std::shared_ptr<const engine::Scores> m_scores;
    std::string m_scoresKey; ///< of the request behind m_scores; empty: unknown
    ScoreMemory m_memory;
    std::deque<std::pair<engine::ScoreRequest, std::shared_ptr<const engine::Scores>>> m_toStore;
    std::optional<LayoutNeed> m_layoutNeed;
    QString m_layoutJson;
    Message m_message;
};

} // namespace qkov::ui
