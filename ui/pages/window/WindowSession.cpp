// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions: what the window shows, as a file, and back; the last one comes back by itself.
#include "pages/window/MainWindow.h"

#include "base/AtomicFile.h"
#include "document/MapValues.h"
#include "document/Notes.h"
#include "document/Selection.h"
#include "document/Session.h"
#include "document/Words.h"
#include "pages/PairsPage.h"

#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QStandardPaths>
#include <QTabWidget>

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
    s.page = m_tabs->currentWidget()->objectName();
    s.reduction = reductionName(m_values->reduction());
    s.notes = m_notes->notes();
    s.pins = m_notes->pins();
    return s;
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
    m_restoring = s;
    m_restoreSelection = false;
    m_computeWhenOpen = false;
    m_document->open(s.path);
}

void MainWindow::restoreOpened() {
    if (!m_restoring) {
        return;
    }
    const Session s = *m_restoring;
    m_notes->setNotes(s.notes);
    m_notes->setPins(s.pins);
    m_values->setReduction(reductionFromName(s.reduction));
    for (int t = 0; t < m_tabs->count(); ++t) {
        if (m_tabs->widget(t)->objectName() == s.page) {
            m_tabs->setCurrentIndex(t);
        }
    }
    const QString fingerprint =
        m_document->dump() ? quoted(m_document->dump()->info().fingerprint) : QString();
    if (!s.fingerprint.isEmpty() && !fingerprint.isEmpty() && fingerprint != s.fingerprint) {
        m_document->setMessage(Message::warning(
            tr("%1 has changed since this session was saved").arg(m_document->fileName()),
            tr("Its numbers may differ from those in your notes")));
    }
    if (s.request && m_document->canCompute()) {
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
        m_restoring.reset();
        goTo(*m_document, place);
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
        QFile::remove(lastSessionFile());
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
        const Session s = loadSession(lastSessionFile());
        if (!QFileInfo::exists(s.path)) {
            return false;
        }
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
