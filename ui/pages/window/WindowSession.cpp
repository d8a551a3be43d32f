// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions: what the window shows, as a file, and back; the last one comes back by itself.
#include "pages/window/MainWindow.h"

#include "base/AtomicFile.h"
#include "document/MapValues.h"
#include "document/Notes.h"
#include "document/Selection.h"
#include "document/Session.h"
#include "document/Words.h"
#include "pages/LookJson.h"
#include "pages/OverviewPage.h"
#include "pages/PairsPage.h"
#include "pages/compare/ComparePage.h"

#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QJsonArray>
#include <QSplitter>
#include <QStandardPaths>
#include <QTabWidget>

#include <algorithm>
#include <numeric>

namespace qkov::ui {

namespace {
QString reductionName(results::Reduction r) {
    switch (r) {
    case results::Reduction::max:
        return QStringLiteral("max");
    case results::Reduction::median:
        return QStringLiteral("median");
    case results::Reduction::percentile95:
        return QStringLiteral("p95");
    default:
        return QStringLiteral("mean");
    }
}

results::Reduction reductionFromName(const QString& name) {
    return name == QLatin1String("max")      ? results::Reduction::max
           : name == QLatin1String("median") ? results::Reduction::median
           : name == QLatin1String("p95")    ? results::Reduction::percentile95
                                             : results::Reduction::mean;
}
} // namespace

QString MainWindow::lastSessionFile() {
    return QStandardPaths::writableLocation(QStandardPaths::AppLocalDataLocation) +
           QStringLiteral("/last.qkovsession");
}

Session MainWindow::session() const {
    Session s;
    s.path = m_document->path();
    if (m_document->dump()) {
        s.fingerprint = quoted(m_document->dump()->info().fingerprint);
    } else if (m_document->scores()) {
        s.fingerprint = quoted(m_document->scores()->header().dumpFingerprint);
    }
    if (m_document->source() != Document::Source::model) {
        s.request = m_document->request();
    }
    s.computed = m_document->scores() != nullptr;
    s.place = placeOf(*m_document);
    if (const auto scores = m_document->scores()) {
        const auto& h = scores->header();
        for (const CellRef& c : m_document->selection()->cells()) {
            s.cells.push_back({c.block, LayerIndex(h.layers[static_cast<std::size_t>(c.row)]),
                               HeadIndex(h.heads[static_cast<std::size_t>(c.column)])});
        }
    }
    s.page = m_tabs->currentWidget()->objectName();
    s.reduction = reductionName(m_values->reduction());
    s.layout = m_document->layoutJson();
    s.compared = m_comparePage->otherFile();
    s.view = viewState();
    s.notes = m_notes->notes();
    s.pins = m_notes->pins();
    s.others = m_sessionOthers;
    return s;
}

QJsonObject MainWindow::viewState() const {
    QJsonObject sizes;
    for (const QSplitter* splitter : findChildren<QSplitter*>()) {
        // One that was never shown has no sizes of its own.
        const QList<int> now = splitter->sizes();
        if (!splitter->objectName().isEmpty() && std::accumulate(now.begin(), now.end(), 0) > 0) {
            QJsonArray list;
            for (const int n : now) {
                list.append(n);
            }
            sizes[splitter->objectName()] = list;
        }
    }
    // Keys of a newer version stay.
    QJsonObject view = m_sessionView;
    view[QStringLiteral("maps")] = toJson(m_overview->maps()->look());
    view[QStringLiteral("pairs")] = m_pairsPage->viewState();
    view[QStringLiteral("compare")] = m_comparePage->viewState();
    view[QStringLiteral("sizes")] = sizes;
    return view;
}

void MainWindow::setViewState(const Session& s) {
    m_sessionView = s.view;
    if (s.view.contains(QStringLiteral("maps"))) {
        m_overview->setLook(lookFromJson(s.view.value(QStringLiteral("maps")).toObject()));
    }
    if (s.view.contains(QStringLiteral("pairs"))) {
        m_pairsPage->setViewState(s.view.value(QStringLiteral("pairs")).toObject());
    }
    const bool compared = !s.compared.isEmpty() && QFileInfo::exists(s.compared);
    m_comparePage->setViewState(s.view.value(QStringLiteral("compare")).toObject(),
                                compared ? s.compared : QString());
    const QJsonObject sizes = s.view.value(QStringLiteral("sizes")).toObject();
    for (QSplitter* splitter : findChildren<QSplitter*>()) {
        QList<int> list;
        for (const QJsonValue& n : sizes.value(splitter->objectName()).toArray()) {
            list << n.toInt();
        }
        if (list.size() == splitter->count()) {
            splitter->setSizes(list);
        }
    }
}

void MainWindow::saveSessionTo(const QString& file) {
    saveSession(session(), file);
    m_sessionFile = file;
}

void MainWindow::openSession(const QString& file) {
    Session s;
    try {
        s = loadSession(file);
    } catch (const std::exception&) {
        m_document->setMessage(Message::of(std::current_exception()));
        return;
    }
    m_sessionFile = file;
    if (!QFileInfo::exists(s.path)) {
        // Moved together with the session?
        const QString beside =
            QFileInfo(file).absolutePath() + QLatin1Char('/') + QFileInfo(s.path).fileName();
        if (!QFileInfo::exists(beside)) {
            askForFile(s);
            return;
        }
        s.path = beside;
    }
    restore(s);
}

void MainWindow::askForFile(const Session& s) {
    m_lost = s;
    Message m = Message::warning(
        tr("%1 is not where this session left it").arg(QFileInfo(s.path).fileName()),
        s.notes.empty() ? tr("Say where it is now")
                        : tr("Say where it is now; the session and its notes are kept"));
    m.severity = Message::Severity::error;
    m.where = QDir::toNativeSeparators(s.path);
    m.action = findAction();
    // The session of the last time is written over on closing: what was written about the file is
    // kept beside it.
    if (m_sessionFile == lastSessionFile() && !(s.notes.empty() && s.pins.empty())) {
        const QString kept = QFileInfo(m_sessionFile).absolutePath() +
                             QStringLiteral("/%1.qkovsession").arg(QFileInfo(s.path).fileName());
        QFile::remove(kept);
        if (QFile::copy(m_sessionFile, kept)) {
            m.advice += tr(" in %1").arg(QDir::toNativeSeparators(kept));
        }
    }
    m_document->setMessage(m);
}

void MainWindow::findLostFile() {
    const Session lost = *m_lost;
    const QString start = QFileInfo(m_sessionFile).absolutePath();
    // A model's session knows no request.
    const QString found =
        lost.request ? QFileDialog::getOpenFileName(
                           this, tr("Where %1 is now").arg(QFileInfo(lost.path).fileName()), start,
                           tr("Dumps and results (*.h5 *.hdf5 *.qkov);;All files (*)"))
                     : QFileDialog::getExistingDirectory(
                           this, tr("Where %1 is now").arg(QFileInfo(lost.path).fileName()), start);
    if (!found.isEmpty()) {
        restoreAt(found);
    }
}

void MainWindow::restoreAt(const QString& path) {
    Session s = *m_lost;
    s.path = path;
    restore(s);
}

void MainWindow::restore(const Session& s) {
    m_lost.reset();
    m_restoring = s;
    m_restoreSelection = false;
    m_computeWhenOpen = false;
    m_document->openWithLayout(s.path, s.layout);
}

void MainWindow::restoreOpened() {
    // Called for every file that opens: the session's own may still be on its way.
    if (!m_restoring || m_document->state() == Document::State::loading ||
        m_document->path() != QFileInfo(m_restoring->path).absoluteFilePath()) {
        return;
    }
    const Session s = *m_restoring;
    m_sessionOthers = s.others;
    m_notes->setNotes(s.notes);
    m_notes->setPins(s.pins);
    m_values->setReduction(reductionFromName(s.reduction));
    setViewState(s);
    for (int t = 0; t < m_tabs->count(); ++t) {
        if (m_tabs->widget(t)->objectName() == s.page) {
            m_tabs->setCurrentIndex(t);
        }
    }
    const QStringList tasks = m_document->taskNames();
    const bool sameTasks = s.request && tasks.contains(quoted(s.request->taskA)) &&
                           tasks.contains(quoted(s.request->taskB));
    sayWhatChanged(s, sameTasks);
    if (sameTasks && m_document->canCompute()) {
        m_document->setRequest(*s.request);
        if (s.computed && !m_document->scores() &&
            m_document->state() != Document::State::computing) {
            // After the other slots of `opened` have run.
            QMetaObject::invokeMethod(m_document, &Document::compute, Qt::QueuedConnection);
        }
    }
    m_restoreSelection = true;
    restoreSelection();
}

void MainWindow::sayWhatChanged(const Session& s, bool sameTasks) {
    QStringList changed, advice;
    const QString fingerprint =
        m_document->dump() ? quoted(m_document->dump()->info().fingerprint) : QString();
    if (!s.fingerprint.isEmpty() && !fingerprint.isEmpty() && fingerprint != s.fingerprint) {
        changed << tr("%1 has changed since this session was saved").arg(m_document->fileName());
        advice << tr("Its numbers may differ from those in your notes");
    }
    if (s.request && !sameTasks && !m_document->taskNames().isEmpty()) {
        changed << tr("it has no tasks %1 and %2")
                       .arg(quoted(s.request->taskA), quoted(s.request->taskB));
        advice << tr("choose the tasks again");
    }
    if (!s.compared.isEmpty() && !QFileInfo::exists(s.compared)) {
        changed << tr("the results that were compared are gone: %1")
                       .arg(QDir::toNativeSeparators(s.compared));
    }
    if (!s.others.isEmpty()) {
        QStringList keys = s.others.keys();
        keys.removeAll(QStringLiteral("request"));
        keys += s.others.value(QStringLiteral("request")).toObject().keys();
        changed << tr("a newer version has saved what this one doesn't know: %1; it is kept")
                       .arg(keys.join(QStringLiteral(", ")));
    }
    if (!changed.isEmpty()) {
        QString text = changed.join(QStringLiteral("; "));
        text[0] = text[0].toUpper();
        m_document->setMessage(Message::warning(text, advice.join(QStringLiteral("; "))));
    }
}

void MainWindow::restoreSelection() {
    if (!m_restoring || !m_restoreSelection) {
        return;
    }
    if (!m_restoring->place) {
        m_restoring.reset();
        return;
    }
    const auto scores = m_document->scores();
    if (scores && scores->complete()) {
        const Place place = *m_restoring->place;
        const std::vector<Cell> marked = m_restoring->cells;
        m_restoring.reset();
        goTo(*m_document, place);
        const auto& h = scores->header();
        std::vector<CellRef> cells;
        for (const Cell& c : marked) {
            const auto row = std::find(h.layers.begin(), h.layers.end(), c.layer.value);
            const auto column = std::find(h.heads.begin(), h.heads.end(), c.head.value);
            if (row != h.layers.end() && column != h.heads.end()) {
                cells.push_back({c.block, static_cast<int>(row - h.layers.begin()),
                                 static_cast<int>(column - h.heads.begin())});
            }
        }
        m_document->selection()->setCells(std::move(cells));
    }
}

void MainWindow::chooseSession() {
    const QString file =
        QFileDialog::getOpenFileName(this, tr("Open a session"), QFileInfo(m_sessionFile).path(),
                                     tr("Sessions (*.qkovsession)"));
    if (!file.isEmpty()) {
        openSession(file);
    }
}

void MainWindow::saveSessionAs(bool ask) {
    QString file = m_sessionFile;
    if (ask || file.isEmpty() || file == lastSessionFile()) {
        file = QFileDialog::getSaveFileName(this, tr("Save the session"),
                                            suggestedFile(QStringLiteral("qkovsession")),
                                            tr("Sessions (*.qkovsession)"));
    }
    if (file.isEmpty()) {
        return;
    }
    try {
        saveSessionTo(file);
        m_document->setMessage(
            Message::info(tr("Saved the session as %1").arg(QDir::toNativeSeparators(file))));
    } catch (const std::exception&) {
        m_document->setMessage(Message::of(std::current_exception()));
    }
}

void MainWindow::keepLastSession() {
    if (m_document->source() == Document::Source::none) {
        // Not what could not be restored: its notes would be lost.
        if (!m_lost && !m_restoring) {
            QFile::remove(lastSessionFile());
        }
        return;
    }
    QDir().mkpath(QFileInfo(lastSessionFile()).path());
    try {
        saveSession(session(), lastSessionFile());
    } catch (const std::exception&) {
        // Closing must not fail because a convenience can't be written.
    }
}

bool MainWindow::restoreLastSession() {
    if (!QFileInfo::exists(lastSessionFile())) {
        return false;
    }
    try {
        loadSession(lastSessionFile());
    } catch (const std::exception&) {
        return false; // not worth a message at start
    }
    openSession(lastSessionFile());
    return true;
}

void MainWindow::exportNotes() {
    chooseFile(tr("Export the notes"), QStringLiteral("md"), tr("Markdown (*.md)"),
               [this](const QString& f) {
                   const auto scores = m_document->scores();
                   writeTextFile(std::filesystem::path(f.toStdU16String()),
                                 m_notes
                                     ->markdown(tr("Notes on %1").arg(m_document->fileName()),
                                                scores ? provenance(scores->header()) : QString())
                                     .toStdString());
                   m_document->setMessage(
                       Message::info(tr("Wrote %1").arg(QDir::toNativeSeparators(f))));
               });
}

} // namespace qkov::ui
