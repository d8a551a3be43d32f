// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/FigureDialog.h"

#include "base/AtomicFile.h"
#include "document/Words.h"
#include "figures/FigureExport.h"
#include "results/Summary.h"
#include "widgets/Card.h"
#include "widgets/Theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QDoubleSpinBox>
#include <QFileInfo>
#include <QFormLayout>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSettings>
#include <QVBoxLayout>

#include <algorithm>

namespace qkov::ui {

namespace {

enum What { blocks = 0, oneBlock = 1, means = 5, pairsOfCell = 6, selectedPair = 7 };

constexpr double customSize = -1;

QLabel* smallTitle(const QString& text, QWidget* parent) {
    auto* label = new QLabel(text, parent);
    setTextSize(label, TextSize::body, true);
    return label;
}

} // namespace

FigureDialog::FigureDialog(Source source, QWidget* parent)
    : QDialog(parent)
    , m_source(std::move(source))
    , m_kind(new QComboBox(this))
    , m_size(new QComboBox(this))
    , m_width(new QDoubleSpinBox(this))
    , m_points(new QDoubleSpinBox(this))
    , m_font(new QComboBox(this))
    , m_colors(new QComboBox(this))
    , m_range(new QComboBox(this))
    , m_shared(new QCheckBox(tr("One range for all panels"), this))
    , m_log(new QCheckBox(tr("Log scale"), this))
    , m_numbers(new QCheckBox(tr("Numbers in the cells"), this))
    , m_marks(new QCheckBox(tr("Marks of head types"), this))
    , m_letters(new QCheckBox(tr("Panel letters"), this))
    , m_legend(new QCheckBox(tr("Legend"), this))
    , m_title(new QLineEdit(this))
    , m_format(new QComboBox(this))
    , m_csv(new QCheckBox(tr("Its numbers (.csv)"), this))
    , m_json(new QCheckBox(tr("Its recipe (.json), for qkov figure --from"), this))
    , m_text(new QCheckBox(tr("The caption (.txt)"), this))
    , m_preview(new QLabel(this))
    , m_facts(new QLabel(this))
    , m_caption(new QPlainTextEdit(this)) {
    setWindowTitle(tr("Export a figure"));
    setObjectName(QStringLiteral("figureDialog"));
    m_soon.setSingleShot(true);
    m_soon.setInterval(30);
    connect(&m_soon, &QTimer::timeout, this, &FigureDialog::redraw);

    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    auto* form = buildForm();
    scroll->setWidget(form);
    scroll->setMinimumWidth(form->sizeHint().width() + 14);
    auto* both = new QHBoxLayout;
    both->setSpacing(16);
    both->addWidget(scroll);
    both->addWidget(buildPreview(), 1);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Cancel, this);
    auto* ok = new QPushButton(tr("Export…"), this);
    ok->setProperty("primary", true);
    buttons->addButton(ok, QDialogButtonBox::AcceptRole);
    ok->setDefault(true);
    ok->setObjectName(QStringLiteral("exportNow"));
    connect(buttons, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(12);
    column->addLayout(both, 1);
    column->addWidget(buttons);
    const QSize room = parent ? parent->size() : QSize(1280, 720);
    resize(std::min(980, room.width() - 40), std::min(680, room.height() - 30));
    changed();
}

QWidget* FigureDialog::buildForm() {
    auto* w = new QWidget(this);
    auto* column = new QVBoxLayout(w);
    column->setContentsMargins(0, 0, 4, 0);
    column->setSpacing(8);
    const auto form = [&] {
        auto* f = new QFormLayout;
        f->setHorizontalSpacing(12);
        f->setVerticalSpacing(6);
        f->setLabelAlignment(Qt::AlignLeft | Qt::AlignVCenter);
        f->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
        column->addLayout(f);
        return f;
    };
    auto* top = form();
    const auto& scores = *m_source.scores;
    const auto& h = scores.header();
    nameWidget(m_kind, "figureKind", tr("What the figure shows"));
    m_kind->addItem(tr("Four maps"), blocks);
    for (const Block b : allBlocks) {
        if (h.blocks[blockIndex(b)]) {
            m_kind->addItem(tr("Map of block %1").arg(QLatin1Char(blockName(b))),
                            oneBlock + static_cast<int>(blockIndex(b)));
        }
    }
    m_kind->addItem(tr("Block means"), means);
    if (m_source.cell) {
        m_kind->addItem(tr("Pairs of %1").arg(cellName(h, *m_source.cell)), pairsOfCell);
    }
    if (m_source.pair) {
        m_kind->addItem(tr("The selected pair in every cell"), selectedPair);
    }
    top->addRow(tr("Shows"), m_kind);

    nameWidget(m_size, "figureSize", tr("Width of the figure"));
    const auto size = [&](const QString& text, double width) { m_size->addItem(text, width); };
    size(tr("NeurIPS, ICLR (5.5 in)"), 5.5);
    size(tr("ICML column (3.25 in)"), 3.25);
    size(tr("ICML page (6.75 in)"), 6.75);
    size(tr("ACL column (3.03 in)"), 3.03);
    size(tr("ACL page (6.3 in)"), 6.3);
    size(tr("Single column (3.5 in)"), 3.5);
    size(tr("Slide (13.3 × 7.5 in)"), 13.33);
    size(tr("Own width"), customSize);
    top->addRow(tr("Width"), m_size);
    nameWidget(m_width, "figureWidth", tr("Own width in inches"));
    m_width->setRange(1, 40);
    m_width->setDecimals(2);
    m_width->setSingleStep(0.25);
    m_width->setValue(5.5);
    m_width->setSuffix(tr(" in"));
    m_width->hide();
    top->addRow(QString(), m_width);
    nameWidget(m_points, "figurePoints", tr("Size of the text as printed"));
    m_points->setRange(6, 20);
    m_points->setDecimals(1);
    m_points->setSingleStep(0.5);
    m_points->setValue(8);
    m_points->setSuffix(tr(" pt"));
    top->addRow(tr("Text"), m_points);
    nameWidget(m_font, "figureFont", tr("Font"));
    m_font->addItem(tr("Sans serif"), QStringLiteral("sans"));
    m_font->addItem(tr("Serif"), QStringLiteral("serif"));
    top->addRow(tr("Font"), m_font);
    nameWidget(m_title, "figureTitle", tr("Title above the panels"));
    m_title->setPlaceholderText(tr("None"));
    top->addRow(tr("Title"), m_title);
    nameWidget(m_colors, "figureColors", tr("Colour map"));
    m_colors->addItem(tr("Automatic"));
    for (const auto id : ColorMap::all) {
        m_colors->addItem(ColorMap(id).name(), static_cast<int>(id));
        if (m_source.look.map && m_source.look.map->id() == id) {
            m_colors->setCurrentIndex(m_colors->count() - 1);
        }
    }
    top->addRow(tr("Colours"), m_colors);
    nameWidget(m_range, "figureRange", tr("Colour range"));
    m_range->addItem(tr("All values"), static_cast<int>(RangeOptions::Kind::data));
    m_range->addItem(tr("2nd to 98th percentile"), static_cast<int>(RangeOptions::Kind::robust));
    m_range->setCurrentIndex(m_source.look.range.kind == RangeOptions::Kind::robust ? 1 : 0);
    top->addRow(tr("Range"), m_range);

    m_shared->setChecked(m_source.look.sharedRange);
    m_log->setChecked(m_source.look.range.log);
    m_marks->setChecked(m_source.look.marks);
    m_letters->setChecked(true);
    m_legend->setChecked(true);
    auto* grid = new QGridLayout;
    grid->setContentsMargins(0, 4, 0, 4);
    grid->setHorizontalSpacing(12);
    grid->setVerticalSpacing(6);
    int n = 0;
    for (QCheckBox* c : {m_shared, m_log, m_numbers, m_marks, m_letters, m_legend}) {
        grid->addWidget(c, n / 2, n % 2);
        connect(c, &QCheckBox::toggled, this, &FigureDialog::changed);
        ++n;
    }
    m_shared->setObjectName(QStringLiteral("figureShared"));
    m_numbers->setObjectName(QStringLiteral("figureNumbers"));
    m_marks->setObjectName(QStringLiteral("figureMarks"));
    column->addLayout(grid);

    column->addWidget(smallTitle(tr("File"), w));
    auto* files = form();
    nameWidget(m_format, "figureFormat", tr("Format"));
    m_format->addItem(tr("PDF, vector"), QStringLiteral("pdf"));
    m_format->addItem(tr("SVG, vector"), QStringLiteral("svg"));
    m_format->addItem(tr("PNG, 300 dpi"), QStringLiteral("png"));
    files->addRow(tr("Format"), m_format);
    m_csv->setObjectName(QStringLiteral("figureCsv"));
    m_json->setObjectName(QStringLiteral("figureJson"));
    m_text->setObjectName(QStringLiteral("figureText"));
    const QSettings settings;
    m_csv->setChecked(settings.value(QStringLiteral("figure/csv"), true).toBool());
    m_json->setChecked(settings.value(QStringLiteral("figure/json"), true).toBool());
    m_text->setChecked(settings.value(QStringLiteral("figure/caption"), false).toBool());
    auto* beside = new QVBoxLayout;
    beside->setSpacing(6);
    beside->addWidget(m_csv);
    beside->addWidget(m_json);
    beside->addWidget(m_text);
    files->addRow(tr("Beside it"), beside);
    column->addStretch(1);
    alignForm(top);
    alignForm(files);

    for (QComboBox* c : {m_kind, m_size, m_font, m_colors, m_range}) {
        connect(c, &QComboBox::currentIndexChanged, this, &FigureDialog::changed);
    }
    connect(m_width, &QDoubleSpinBox::valueChanged, this, &FigureDialog::changed);
    connect(m_points, &QDoubleSpinBox::valueChanged, this, &FigureDialog::changed);
    connect(m_title, &QLineEdit::textChanged, this, &FigureDialog::changed);
    return w;
}

QWidget* FigureDialog::buildPreview() {
    auto* w = new QWidget(this);
    auto* column = new QVBoxLayout(w);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(8);
    nameWidget(m_preview, "figurePreview", tr("Preview of the figure"));
    m_preview->setAlignment(Qt::AlignCenter);
    m_preview->setMinimumSize(240, 160);
    m_preview->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Ignored);
    column->addWidget(m_preview, 1);
    setTextSize(m_facts, TextSize::small);
    setMuted(m_facts);
    m_facts->setObjectName(QStringLiteral("figureFacts"));
    m_facts->setAlignment(Qt::AlignCenter);
    column->addWidget(m_facts);
    column->addWidget(smallTitle(tr("Draft of a caption"), w));
    nameWidget(m_caption, "figureCaption", tr("Draft of a caption"));
    m_caption->setReadOnly(true);
    m_caption->setTabChangesFocus(true);
    m_caption->document()->setDocumentMargin(8);
    m_caption->setFixedHeight(5 * fontMetrics().lineSpacing() + 18);
    column->addWidget(m_caption);
    return w;
}

QString FigureDialog::format() const {
    return m_format->currentData().toString();
}
bool FigureDialog::withNumbers() const {
    return m_csv->isChecked();
}
bool FigureDialog::withRecipe() const {
    return m_json->isChecked();
}
bool FigureDialog::withCaption() const {
    return m_text->isChecked();
}

FigureSpec FigureDialog::spec() const {
    FigureOptions o;
    const double width = m_size->currentData().toDouble();
    const bool slide = width > 13;
    o.inches = QSizeF(width == customSize ? m_width->value() : width, slide ? 7.5 : 0);
    o.fontPoints = m_points->value();
    o.fontFamily = m_font->currentData().toString();
    if (m_colors->currentIndex() > 0) {
        o.colorMap = static_cast<ColorMap::Id>(m_colors->currentData().toInt());
    }
    o.range = m_source.look.range;
    o.range.kind = static_cast<RangeOptions::Kind>(m_range->currentData().toInt());
    o.range.log = m_log->isChecked();
    o.sharedRange = m_shared->isChecked();
    o.layerZeroAtTop = m_source.look.layerZeroAtTop;
    o.annotate = m_numbers->isChecked();
    o.marks = m_marks->isChecked();
    o.panelLetters = m_letters->isChecked();
    o.legend = m_legend->isChecked();
    o.title = m_title->text().trimmed();
    o.command = m_source.command;
    const auto& scores = *m_source.scores;
    const int what = m_kind->currentData().toInt();
    if (what == means) {
        return barsFigure(scores, o);
    }
    if (what == pairsOfCell) {
        const auto& c = *m_source.cell;
        return pairsFigure(scores, c.block, static_cast<std::size_t>(c.row),
                           static_cast<std::size_t>(c.column), o);
    }
    if (what == selectedPair) {
        return pairFigure(scores, static_cast<std::size_t>(m_source.pair->i),
                          static_cast<std::size_t>(m_source.pair->j), o);
    }
    if (what >= oneBlock) {
        const Block b = allBlocks[static_cast<std::size_t>(what - oneBlock)];
        return heatmapFigure(scores, b, o,
                             m_source.values.empty() ? std::vector<double>{}
                                                     : m_source.values[blockIndex(b)]);
    }
    return blocksFigure(scores, o, m_source.values);
}

QStringList FigureDialog::write(const FigureDialog& dialog, const QString& file) {
    const FigureSpec figure = dialog.spec();
    const std::filesystem::path path(file.toStdU16String());
    QStringList written{file};
    exportFigure(figure, path);
    const auto beside = [&](const char* suffix) {
        const auto p = std::filesystem::path(path).replace_extension(suffix);
        written << QString::fromStdU16String(p.u16string());
        return p;
    };
    if (dialog.withNumbers()) {
        exportFigureCsv(figure, beside(".csv"));
    }
    if (dialog.withRecipe()) {
        saveFigure(figure, beside(".json"));
    }
    if (dialog.withCaption()) {
        writeTextFile(beside(".txt"), figure.caption.toStdString() + "\n");
    }
    QSettings settings;
    settings.setValue(QStringLiteral("figure/csv"), dialog.withNumbers());
    settings.setValue(QStringLiteral("figure/json"), dialog.withRecipe());
    settings.setValue(QStringLiteral("figure/caption"), dialog.withCaption());
    return written;
}

void FigureDialog::changed() {
    const int what = m_kind->currentData().toInt();
    m_width->setVisible(m_size->currentData().toDouble() == customSize);
    const bool map = what != means;
    m_numbers->setEnabled(map && what != pairsOfCell);
    m_marks->setEnabled(map && what != pairsOfCell && what != selectedPair);
    m_shared->setEnabled(what == blocks || what == selectedPair);
    m_letters->setEnabled(what == blocks || what == selectedPair);
    for (QWidget* w : std::initializer_list<QWidget*>{m_colors, m_range, m_log, m_legend}) {
        w->setEnabled(map);
    }
    m_soon.start();
}

void FigureDialog::redraw() {
    const FigureSpec figure = spec();
    const double dpi = std::min(200.0, 1100 * devicePixelRatioF() / figure.inches.width());
    m_image = renderFigure(figure, dpi);
    m_caption->setPlainText(figure.caption);
    m_facts->setText(tr("%1 × %2 in as printed")
                         .arg(number(figure.inches.width()), number(figure.inches.height())));
    showPreview();
}

void FigureDialog::showPreview() {
    if (m_image.isNull()) {
        return;
    }
    const double ratio = devicePixelRatioF();
    QPixmap shown =
        QPixmap::fromImage(m_image.scaled((QSizeF(m_preview->size()) * ratio).toSize(),
                                          Qt::KeepAspectRatio, Qt::SmoothTransformation));
    shown.setDevicePixelRatio(ratio);
    m_preview->setPixmap(shown);
}

void FigureDialog::resizeEvent(QResizeEvent* event) {
    QDialog::resizeEvent(event);
    showPreview();
    m_soon.start(); // the preview gets its size after the dialog
}

} // namespace qkov::ui
