// SPDX-License-Identifier: GPL-3.0-or-later
// Files the window writes: figures and numbers.
#include "pages/window/MainWindow.h"

#include "document/MapValues.h"
#include "document/Selection.h"
#include "document/Words.h"
#include "figures/FigureExport.h"
#include "pages/FigureDialog.h"
#include "pages/OverviewPage.h"

#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QSettings>

namespace qkov::ui {

QString MainWindow::suggestedFile(const QString& suffix) const {
    const QString folder =
        QSettings()
            .value(QStringLiteral("export/folder"), QFileInfo(m_document->path()).path())
            .toString();
    QString name = QFileInfo(m_document->path()).completeBaseName();
    if (const auto scores = m_document->scores()) {
        name += QStringLiteral("-%1-%2").arg(quoted(scores->header().taskA),
                                             quoted(scores->header().taskB));
    }
    return QDir(folder).filePath(name + QLatin1Char('.') + suffix);
}

void MainWindow::chooseFile(const QString& title, const QString& suffix, const QString& filter,
                            const std::function<void(const QString&)>& use) {
    const QString file = QFileDialog::getSaveFileName(this, title, suggestedFile(suffix), filter);
    if (file.isEmpty()) {
        return;
    }
    QSettings().setValue(QStringLiteral("export/folder"), QFileInfo(file).path());
    try {
        use(file);
    } catch (const std::exception&) {
        m_document->setMessage(Message::of(std::current_exception()));
    }
}

void MainWindow::exportMaps(const QString& file) {
    const auto scores = m_values->scores();
    if (!scores) {
        return;
    }
    const auto& look = m_overview->maps()->look();
    FigureOptions options;
    options.colorMap = look.map;
    options.range = look.range;
    options.sharedRange = look.sharedRange;
    options.layerZeroAtTop = look.layerZeroAtTop;
    options.command =
        commandLine(scores->header(),
                    m_document->dump() ? QString::fromStdString(m_document->dump()->file().string())
                                       : quoted(scores->header().dumpName));
    // The reduction on screen, not only the mean.
    std::vector<std::vector<double>> values;
    for (const Block b : allBlocks) {
        values.push_back(m_values->values(b));
    }
    FigureSpec spec = blocksFigure(*scores, options, values);
    if (!look.marks) {
        for (auto& panel : spec.panels) {
            panel.marks.clear();
        }
    }
    const auto done = exportFigure(spec, std::filesystem::path(file.toStdU16String()));
    m_document->setMessage(
        Message::info(tr("Wrote %1 (%2 × %3 in)")
                          .arg(QDir::toNativeSeparators(file))
                          .arg(number(done.inches.width()), number(done.inches.height()))));
}

void MainWindow::showFigureDialog() {
    const auto scores = m_values->scores();
    if (!scores) {
        return;
    }
    FigureDialog::Source source;
    source.scores = scores;
    for (const Block b : allBlocks) {
        source.values.push_back(m_values->values(b));
    }
    source.look = m_overview->maps()->look();
    const auto selected = m_document->selection()->state();
    source.cell = selected.cell;
    source.pair = selected.pair;
    source.command = commandText();
    FigureDialog dialog(std::move(source), this);
    if (dialog.exec() != QDialog::Accepted) {
        return;
    }
    const QString suffix = dialog.format();
    chooseFile(tr("Export the figure"), suffix, tr("%1 (*.%2)").arg(suffix.toUpper(), suffix),
               [&](const QString& f) {
                   QStringList names;
                   for (const QString& w : FigureDialog::write(dialog, f)) {
                       names << QFileInfo(w).fileName();
                   }
                   m_document->setMessage(
                       Message::info(tr("Wrote %1 to %2")
                                         .arg(names.join(QStringLiteral(", ")),
                                              QDir::toNativeSeparators(QFileInfo(f).path()))));
               });
}

void MainWindow::chooseFigure(const QString& suffix) {
    chooseFile(tr("Export the four maps"), suffix, tr("PDF (*.pdf);;SVG (*.svg);;PNG (*.png)"),
               [this](const QString& f) { exportMaps(f); });
}

} // namespace qkov::ui
