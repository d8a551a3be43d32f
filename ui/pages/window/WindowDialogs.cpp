// SPDX-License-Identifier: GPL-3.0-or-later
// The dialogs that lead to something open: collecting, importing, saying where the heads are.
#include "pages/window/MainWindow.h"

#include "pages/CollectDialog.h"
#include "pages/dialogs/ImportDialog.h"
#include "pages/layout/LayoutDialog.h"

#include <QDir>
#include <QFileInfo>
#include <QStandardPaths>

namespace qkov::ui {

void MainWindow::openDemo() {
    const QString demo = demoFolder();
    if (demo.isEmpty()) {
        return;
    }
    const QString folder = QStandardPaths::writableLocation(QStandardPaths::CacheLocation);
    QDir().mkpath(folder);
    // As it comes, whatever was chosen for other models.
    collect::CollectRequest request;
    const auto path = [](const QString& text) {
        return std::filesystem::path(text.toStdU16String());
    };
    request.model = path(demo);
    for (const char* task : {"arithmetic", "code"}) {
        request.tasks.push_back(
            {task, path(QStringLiteral("%1/%2.jsonl").arg(demo, QLatin1String(task)))});
    }
    request.headTypes = true;
    request.out = path(folder + QStringLiteral("/demo.h5"));
    m_computeWhenOpen = true;
    m_document->collect(request);
}

void MainWindow::showCollectDialog() {
    if (!m_document->checkpoint()) {
        return;
    }
    CollectDialog dialog(m_document->path(), this);
    if (dialog.exec() == QDialog::Accepted) {
        m_document->collect(dialog.request());
    }
}

void MainWindow::showImportDialog() {
    const QString path = m_document->path();
    ImportDialog dialog(path.isEmpty() ? QDir::homePath()
                                       : (QFileInfo(path).isDir() ? path : QFileInfo(path).path()),
                        this);
    if (dialog.exec() == QDialog::Accepted) {
        m_document->importStores(dialog.request());
    }
}

std::optional<LayoutNeed> MainWindow::layoutSubject() const {
    if (m_document->layoutNeed()) {
        return m_document->layoutNeed();
    }
    LayoutNeed subject;
    subject.path = m_document->path();
    if (const auto& checkpoint = m_document->checkpoint()) {
        subject.list.model = checkpoint->shape();
        for (const auto& [name, tensor] : checkpoint->tensors()) {
            subject.list.parameters.push_back({name, tensor.shape});
        }
        return subject;
    }
    if (m_document->source() == Document::Source::dump) {
        subject.whole = false;
        subject.list = dump::listParameters(std::filesystem::path(subject.path.toStdU16String()));
        subject.list.model.layoutJson = m_document->dump()->info().model.layoutJson;
        return subject;
    }
    return std::nullopt;
}

void MainWindow::showLayoutDialog() {
    try {
        const auto subject = layoutSubject();
        if (!subject) {
            return;
        }
        LayoutDialog dialog(*subject, this);
        if (dialog.exec() == QDialog::Accepted) {
            // A session that could not be restored for want of it goes on.
            if (m_lost && m_lost->path == subject->path) {
                Session session = *m_lost;
                session.layout = dialog.layoutJson();
                restore(session);
            } else {
                m_document->openWithLayout(subject->path, dialog.layoutJson());
            }
        }
    } catch (const std::exception&) {
        m_document->setMessage(Message::of(std::current_exception()));
    }
}

} // namespace qkov::ui
