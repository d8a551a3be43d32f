// SPDX-License-Identifier: GPL-3.0-or-later
// The part of `figure` that needs Qt: drawn by the code of the screen, on no screen.
#include "FigureOptions.h"

#include "base/AtomicFile.h"
#include "base/Error.h"
#include "figures/FigureExport.h"
#include "figures/FigurePainter.h"
#include "figures/FigureSpec.h"
#include "results/ResultsFile.h"
#include "results/Summary.h"

#include <QApplication>

#include <algorithm>
#include <clocale>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

namespace qkov::cli {
namespace {

using ScoresPtr = std::shared_ptr<const engine::Scores>;

QString qt(const std::string& text) {
    return QString::fromStdString(text);
}

ui::RangeOptions rangeOptions(const FigureCommandOptions& o) {
    ui::RangeOptions range;
    range.log = o.log;
    if (o.range == "data") {
        return range;
    }
    if (o.range == "robust") {
        range.kind = ui::RangeOptions::Kind::robust;
        return range;
    }
    range.kind = ui::RangeOptions::Kind::given;
    const QStringList ends = qt(o.range).split(QLatin1Char(','));
    bool good = ends.size() == 2;
    if (good) {
        bool low = false;
        bool high = false;
        range.low = ends[0].toDouble(&low);
        range.high = ends[1].toDouble(&high);
        good = low && high && range.low < range.high;
    }
    if (!good) {
        throw UsageError("--range '" + o.range +
                         "' is not data, robust or two numbers like 0,1.5, the lower first");
    }
    return range;
}

ui::FigureOptions figureOptions(const FigureCommandOptions& o) {
    ui::FigureOptions f;
    if (!o.size.empty()) {
        f.inches = ui::parseFigureSize(qt(o.size));
    }
    f.fontPoints = o.fontPoints;
    f.fontFamily = qt(o.font);
    if (!o.colorMap.empty()) {
        f.colorMap = ui::ColorMap::fromName(qt(o.colorMap));
        if (!f.colorMap) {
            throw UsageError("unknown color map \"" + o.colorMap + "\"; choose one of " +
                             ui::ColorMap::names().join(QStringLiteral(", ")).toStdString());
        }
    }
    f.range = rangeOptions(o);
    f.sharedRange = !o.ownRange;
    f.panelLetters = !o.noLetters;
    f.layerZeroAtTop = !o.layerZeroBottom;
    f.annotate = o.annotate;
    f.annotationDigits = o.annotateDigits;
    f.marks = !o.noMarks;
    f.legend = !o.noLegend;
    f.legendAbove = o.legendAbove;
    f.decimalComma = o.decimalComma;
    f.tickDensity = o.tickDensity;
    f.rowTitle = qt(o.rowTitle);
    f.columnTitle = qt(o.columnTitle);
    f.valueLabel = qt(o.valueLabel);
    f.title = qt(o.title);
    f.dpi = o.dpi;
    f.command = QStringLiteral("qkov figure %1 --kind %2")
                    .arg(o.results.empty() ? QString() : qt(o.results.front()), qt(o.kind));
    return f;
}

Block chosenBlock(const FigureCommandOptions& o, const engine::Scores& scores) {
    if (!o.block.empty()) {
        const std::vector<Block> blocks = engine::parseBlocks(o.block);
        if (blocks.size() != 1) {
            throw UsageError("--block '" + o.block + "' names more than one block");
        }
        if (!scores.header().blocks[blockIndex(blocks.front())]) {
            throw UsageError("block " + o.block + " is not in these results");
        }
        return blocks.front();
    }
    const auto most = results::overview(scores).mostConflicted;
    if (!most) {
        throw InputError("holds no score", o.results.front());
    }
    return *most;
}

std::size_t position(const std::vector<std::int32_t>& numbers, std::int64_t number,
                     const char* what) {
    const auto it = std::find(numbers.begin(), numbers.end(), number);
    if (it == numbers.end()) {
        throw UsageError(std::string(what) + " " + std::to_string(number) +
                         " is not in these results");
    }
    return static_cast<std::size_t>(it - numbers.begin());
}

std::size_t position(const std::vector<dump::SampleInfo>& samples, const std::string& id) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (samples[i].id == id) {
            return i;
        }
    }
    throw UsageError("sample '" + id + "' is not in these results");
}

std::vector<double> cellValues(const FigureCommandOptions& o, const engine::Scores& scores,
                               Block block) {
    static const std::map<std::string, results::Reduction> reductions{
        {"mean", results::Reduction::mean},
        {"max", results::Reduction::max},
        {"median", results::Reduction::median},
        {"p95", results::Reduction::percentile95}};
    return results::reduce(scores, block, reductions.at(o.reduction));
}

ui::FigureSpec pairsSpec(const FigureCommandOptions& o, const engine::Scores& scores,
                         const ui::FigureOptions& f) {
    const engine::ScoreHeader& h = scores.header();
    Cell cell{chosenBlock(o, scores), LayerIndex(o.layer), HeadIndex(o.head)};
    if (o.layer < 0 || o.head < 0) {
        const auto top = results::topConflicts(scores, {cell.block}, 1);
        if (top.empty()) {
            throw InputError("holds no score of this block", o.results.front());
        }
        cell = top.front().cell;
    }
    return ui::pairsFigure(scores, cell.block, position(h.layers, cell.layer.value, "layer"),
                           position(h.heads, cell.head.value, "head"), f);
}

ui::FigureSpec pairSpec(const FigureCommandOptions& o, const engine::Scores& scores,
                        const ui::FigureOptions& f) {
    const engine::ScoreHeader& h = scores.header();
    if (o.sampleI.empty() != o.sampleJ.empty()) {
        throw UsageError("--sample-i and --sample-j belong together");
    }
    if (!o.sampleI.empty()) {
        return ui::pairFigure(scores, position(h.samplesA, o.sampleI),
                              position(h.samplesB, o.sampleJ), f);
    }
    const auto top = results::topConflicts(scores, {allBlocks.begin(), allBlocks.end()}, 1);
    if (top.empty()) {
        throw InputError("holds no score", o.results.front());
    }
    return ui::pairFigure(scores, top.front().i, top.front().j, f);
}

ui::FigureSpec compareSpec(const FigureCommandOptions& o, const std::vector<ScoresPtr>& files,
                           const ui::FigureOptions& f) {
    std::map<engine::Mode, ScoresPtr> byMode;
    for (const ScoresPtr& s : files) {
        if (s->header().request.mode) {
            byMode[*s->header().request.mode] = s;
        }
    }
    if (files.size() != 3 || byMode.size() != 3) {
        throw UsageError(
            "--kind compare needs three results files: behavioral, structural, hybrid");
    }
    const ScoresPtr& behavioral = byMode[engine::Mode::behavioral];
    return ui::compareFigure(*behavioral, *byMode[engine::Mode::structural],
                             *byMode[engine::Mode::hybrid], chosenBlock(o, *behavioral), f);
}

ui::FigureSpec figureSpec(const FigureCommandOptions& o) {
    if (!o.from.empty()) {
        if (!o.results.empty()) {
            throw UsageError("--from takes the place of RESULTS; give one of them");
        }
        return ui::loadFigure(o.from);
    }
    const ui::FigureKind kind = ui::parseFigureKind(qt(o.kind));
    const ui::FigureOptions f = figureOptions(o);
    if (o.results.empty()) {
        throw UsageError("name a results file, or a figure's .json with --from");
    }
    if (o.results.size() > 1 && kind != ui::FigureKind::compare) {
        throw UsageError("--kind " + o.kind + " draws one results file");
    }
    std::vector<ScoresPtr> files;
    for (const std::string& file : o.results) {
        files.push_back(results::openResults(file));
    }
    const engine::Scores& scores = *files.front();
    switch (kind) {
    case ui::FigureKind::blocks: {
        std::vector<std::vector<double>> values;
        for (const Block b : allBlocks) {
            values.push_back(cellValues(o, scores, b));
        }
        return ui::blocksFigure(scores, f, values);
    }
    case ui::FigureKind::heatmap: {
        const Block block = chosenBlock(o, scores);
        return ui::heatmapFigure(scores, block, f, cellValues(o, scores, block));
    }
    case ui::FigureKind::bars:
        return ui::barsFigure(scores, f);
    case ui::FigureKind::compare:
        return compareSpec(o, files, f);
    case ui::FigureKind::pairs:
        return pairsSpec(o, scores, f);
    case ui::FigureKind::pair:
        return pairSpec(o, scores, f);
    case ui::FigureKind::volcano:
    case ui::FigureKind::null:
        break;
    }
    throw UsageError("--kind " + o.kind + " draws statistics, which these results don't hold");
}

} // namespace

void drawFigure(const Session& session, const FigureCommandOptions& o) {
    const std::filesystem::path out(o.out);
    const bool numbersOnly = out.extension() == ".csv";
    if (!numbersOnly) {
        (void)ui::figureFormat(out);
    }
    std::vector<std::filesystem::path> outputs{out};
    for (const std::string& beside : o.with) {
        outputs.push_back(std::filesystem::path(out).replace_extension(
            beside == "caption" ? ".txt" : "." + beside));
    }
    std::vector<std::filesystem::path> inputs(o.results.begin(), o.results.end());
    inputs.emplace_back(o.from);
    session.checkOutputs(outputs, inputs);

    // Fonts need a QApplication; drawing needs no display.
    qputenv("QT_QPA_PLATFORM", "offscreen");
    // Qt's remarks about the missing session are not the user's concern.
    qInstallMessageHandler([](QtMsgType, const QMessageLogContext&, const QString&) {});
    int argc = 1;
    char name[] = "qkov";
    char* argv[] = {name, nullptr};
    QApplication application(argc, argv);
    std::setlocale(LC_NUMERIC, "C"); // QApplication takes the user's; numbers in files don't

    ui::FigureSpec spec = figureSpec(o);
    nlohmann::json report{{"path", o.out}};
    if (numbersOnly) {
        ui::exportFigureCsv(spec, out);
    } else {
        const QString font = ui::figureStyle(spec, 0).font.family();
        if (!spec.fontFamily.isEmpty() && spec.fontFamily != QLatin1String("sans") &&
            spec.fontFamily != QLatin1String("serif") &&
            spec.fontFamily.compare(font, Qt::CaseInsensitive) != 0) {
            session.log("note: the font " + spec.fontFamily.toStdString() + " is not installed; " +
                        font.toStdString() + " takes its place");
        }
        const ui::ExportedFigure figure = ui::exportFigure(spec, out);
        report["inches"] = {figure.inches.width(), figure.inches.height()};
        report["cells"] = figure.cells;
        report["cells_as_image"] = figure.cellsAsImage;
        if (figure.cellsAsImage) {
            session.log("note: this many cells were drawn as an image, at 600 dpi or more");
        }
    }
    for (std::size_t i = 0; i < o.with.size(); ++i) {
        const std::filesystem::path& file = outputs[i + 1];
        if (o.with[i] == "csv") {
            ui::exportFigureCsv(spec, file);
        } else if (o.with[i] == "json") {
            ui::saveFigure(spec, file);
        } else {
            writeTextFile(file, spec.caption.toStdString() + "\n");
        }
    }
    std::vector<std::string> written;
    for (const auto& file : outputs) {
        written.push_back(file.string());
        session.print(file.string() + "\n");
    }
    report["files"] = written;
    report["caption"] = spec.caption.toStdString();
    report["bytes"] = std::filesystem::file_size(out);
    session.writeJson(report);
}

} // namespace qkov::cli
