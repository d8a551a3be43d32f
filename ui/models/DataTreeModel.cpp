// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/DataTreeModel.h"

#include "base/Numbers.h"
#include "document/Document.h"
#include "document/Words.h"
#include "plots/HeatmapData.h"

#include <algorithm>
#include <map>

namespace qkov::ui {

struct DataTreeModel::Node {
    QString name;
    QString value;
    QString toolTip;
    QString icon;
    Kind kind = Plain;
    QString link; ///< parameter or task
    Node* parent = nullptr;
    int row = 0;
    std::vector<std::unique_ptr<Node>> children;

    Node& add(const QString& n, const QString& v = {}, Kind k = Plain) {
        auto child = std::make_unique<Node>();
        child->name = n;
        child->value = v;
        child->kind = k;
        child->parent = this;
        child->row = static_cast<int>(children.size());
        children.push_back(std::move(child));
        return *children.back();
    }
};

namespace {

QString shapeText(const std::vector<std::int64_t>& shape) {
    QStringList parts;
    for (const auto d : shape) {
        parts << QString::number(d);
    }
    return parts.join(QStringLiteral(" × "));
}

const model::ModelShape* shapeOf(const Document& d) {
    if (d.checkpoint()) {
        return &d.checkpoint()->shape();
    }
    if (d.dump()) {
        return &d.dump()->info().model;
    }
    if (d.scores()) {
        return &d.scores()->header().model;
    }
    return nullptr;
}

const model::HeadLayout* layoutOf(const Document& d) {
    if (d.checkpoint()) {
        return &d.checkpoint()->layout();
    }
    return d.dump() ? &d.dump()->layout() : nullptr;
}

QString storageName(const dump::ParameterEntry& p) {
    switch (p.storage) {
    case dump::Storage::dense:
        return QObject::tr("gradients");
    case dump::Storage::contributions:
        return QObject::tr("contributions only");
    case dump::Storage::factored:
        return QObject::tr("factors");
    }
    return {};
}

/// What this file lacks, and what that disables.
QStringList missingOf(const Document& d) {
    QStringList lines;
    if (d.dump()) {
        const auto& info = d.dump()->info();
        if (!d.modeAvailable(engine::Mode::behavioral)) {
            lines << QObject::tr("Head types: behavioral and hybrid need them");
        }
        const auto& layout = d.dump()->layout();
        for (const auto& task : info.tasks) {
            const auto name = quoted(task.name);
            const bool texts = std::any_of(task.samples.begin(), task.samples.end(),
                                           [](const auto& s) { return !s.text.empty(); });
            if (!texts) {
                lines << QObject::tr("Texts of %1: pairs show ids only").arg(name);
            }
            if (!task.fisher.contains("structural")) {
                lines << QObject::tr("Stored Fisher of %1: it is computed from the samples")
                             .arg(name);
            }
            std::map<char, QStringList> holes;
            for (std::int64_t l = 0; l < info.model.numLayers; ++l) {
                for (const Block b : allBlocks) {
                    const auto slice = layout.slice(b, LayerIndex(l), HeadIndex(0));
                    if (!slice || !task.parameters.contains(slice->parameter)) {
                        holes[blockName(b)] << QString::number(l);
                    }
                }
            }
            for (const auto& [block, layers] : holes) {
                const bool all = layers.size() == info.model.numLayers;
                lines << (all ? QObject::tr("%1 of %2, in every layer")
                                    .arg(QLatin1Char(block))
                                    .arg(name)
                              : QObject::tr("%1 of %2, in layers %3")
                                    .arg(QLatin1Char(block))
                                    .arg(name, layers.join(QStringLiteral(", "))));
            }
            const bool unsignedOnly =
                std::any_of(task.parameters.begin(), task.parameters.end(), [](const auto& p) {
                    return p.second.storage == dump::Storage::contributions;
                });
            if (unsignedOnly) {
                lines << QObject::tr("Signs of %1's gradients: signed and cosine need them")
                             .arg(name);
            }
        }
    } else if (d.source() == Document::Source::results) {
        lines << QObject::tr(
            "The dump behind these results: needed to compute again. Put it beside "
            "the results file");
    }
    if (d.scores()) {
        for (const auto& m : d.scores()->header().missing) {
            const auto line = quoted(m);
            if (!lines.contains(line)) {
                lines << line;
            }
        }
    }
    return lines;
}

} // namespace

DataTreeModel::DataTreeModel(Document* document, QObject* parent)
    : QAbstractItemModel(parent)
    , m_document(document)
    , m_root(std::make_unique<Node>()) {
    connect(document, &Document::opened, this, &DataTreeModel::rebuild);
    connect(document, &Document::scoresChanged, this, [this] {
        // Scores arrive layer by layer; only news about what is missing changes the tree.
        if (missingOf(*m_document) != m_shownMissing) {
            rebuild();
        }
    });
    rebuild();
}

DataTreeModel::~DataTreeModel() = default;

void DataTreeModel::rebuild() {
    beginResetModel();
    m_root = std::make_unique<Node>();
    m_shownMissing = missingOf(*m_document);
    addModel(*m_root);
    addTasks(*m_root);
    addFisher(*m_root);
    addTypes(*m_root);
    addMissing(*m_root);
    endResetModel();
}

void DataTreeModel::addModel(Node& root) {
    const auto* shape = shapeOf(*m_document);
    if (!shape) {
        return;
    }
    Node& model = root.add(tr("Model"), quoted(shape->name), Model);
    model.icon = QStringLiteral("model");
    model.toolTip = quoted(shape->name);
    model.add(tr("Architecture"), quoted(shape->architecture));
    Node& layers = model.add(tr("Layers"), count(shape->numLayers));
    model.add(tr("Heads"), count(shape->numHeads));
    if (shape->numKvHeads != shape->numHeads) {
        model.add(tr("Key/value heads"),
                  tr("%1, each shared by %2").arg(shape->numKvHeads).arg(shape->queriesPerKv()));
    }
    model.add(tr("Head width"),
              shape->headDim == shape->vHeadDim
                  ? count(shape->headDim)
                  : tr("%1 (Q, K), %2 (V)").arg(shape->headDim).arg(shape->vHeadDim));
    model.add(tr("Hidden width"), count(shape->hiddenDim));
    if (m_document->checkpoint()) {
        model.add(tr("Parameters"), count(m_document->checkpoint()->parameterCount()));
        model.add(tr("On disk"),
                  quoted(formatBytes(static_cast<double>(m_document->checkpoint()->bytes()))));
    }
    const auto* layout = layoutOf(*m_document);
    if (!layout) {
        return;
    }
    Node* layer = nullptr;
    std::int64_t current = -1;
    for (const auto& p : layout->parameters()) {
        if (p.layer.value != current || !layer) {
            current = p.layer.value;
            layer = &layers.add(tr("Layer %1").arg(current), {}, Layer);
            layer->icon = QStringLiteral("layers");
        }
        QString blocks;
        for (const Block b : p.blocks) {
            blocks += QLatin1Char(blockName(b));
        }
        QString shapeWords;
        if (m_document->checkpoint()) {
            if (const auto* t = m_document->checkpoint()->find(p.name)) {
                shapeWords = shapeText(t->shape);
            }
        } else {
            for (const auto& task : m_document->dump()->info().tasks) {
                const auto it = task.parameters.find(p.name);
                if (it != task.parameters.end()) {
                    shapeWords = shapeText(it->second.shape) + QStringLiteral(", ") +
                                 storageName(it->second);
                    break;
                }
            }
        }
        Node& n = layer->add(blocks, shapeWords, Parameter);
        n.toolTip = quoted(p.name);
        n.link = quoted(p.name);
    }
}

void DataTreeModel::addTasks(Node& root) {
    struct Line {
        QString name;
        const std::vector<dump::SampleInfo>* samples;
        QString loss;
    };
    std::vector<Line> lines;
    if (m_document->dump()) {
        for (const auto& t : m_document->dump()->info().tasks) {
            lines.push_back({quoted(t.name), &t.samples, quoted(t.lossReduction)});
        }
    } else if (m_document->scores()) {
        const auto& h = m_document->scores()->header();
        lines.push_back({quoted(h.taskA), &h.samplesA, {}});
        if (h.taskB != h.taskA) {
            lines.push_back({quoted(h.taskB), &h.samplesB, {}});
        }
    }
    if (lines.empty()) {
        return;
    }
    Node& tasks = root.add(tr("Tasks"), count(static_cast<std::int64_t>(lines.size())));
    tasks.icon = QStringLiteral("task");
    for (const Line& l : lines) {
        const QString samples = count(static_cast<std::int64_t>(l.samples->size()));
        Node& t = tasks.add(l.name, samples, Task);
        t.toolTip = tr("%1: %2 samples").arg(l.name, samples);
        t.link = l.name;
        std::int64_t tokens = 0;
        double loss = 0;
        std::int64_t losses = 0;
        std::map<std::string, int> groups;
        for (const auto& s : *l.samples) {
            tokens += s.tokens;
            if (!std::isnan(s.loss)) {
                loss += static_cast<double>(s.loss);
                ++losses;
            }
            if (!s.group.empty()) {
                ++groups[s.group];
            }
        }
        if (!groups.empty()) {
            Node& g = t.add(tr("Groups"), count(static_cast<std::int64_t>(groups.size())));
            for (const auto& [name, n] : groups) {
                g.add(quoted(name), count(n));
            }
        }
        if (tokens > 0) {
            t.add(tr("Predicted tokens"), count(tokens));
        }
        if (losses > 0) {
            t.add(tr("Mean loss"), number(loss / static_cast<double>(losses)));
        }
        if (!l.loss.isEmpty()) {
            t.add(tr("Loss over tokens"), l.loss);
        }
    }
}

void DataTreeModel::addFisher(Node& root) {
    if (!m_document->dump()) {
        return;
    }
    Node* fisher = nullptr;
    for (const auto& task : m_document->dump()->info().tasks) {
        for (const auto& [name, set] : task.fisher) {
            if (!fisher) {
                fisher = &root.add(tr("Fisher"), {}, Fisher);
                fisher->icon = QStringLiteral("fisher");
            }
            Node& s = fisher->add(quoted(task.name), quoted(name));
            s.add(tr("Estimator"), quoted(set.estimator));
            s.add(tr("Samples"), count(set.samples));
            if (set.estimator == "ema") {
                s.add(tr("Decay"), number(set.decay));
            }
            const auto resolution = set.parameters.empty()
                                        ? dump::Resolution::element
                                        : set.parameters.begin()->second.resolution;
            s.add(tr("One value per"), resolution == dump::Resolution::element ? tr("parameter")
                                       : resolution == dump::Resolution::head  ? tr("head")
                                                                               : tr("head type"));
        }
    }
}

void DataTreeModel::addTypes(Node& root) {
    const dump::HeadTypes* types = nullptr;
    if (m_document->dump()) {
        types = &m_document->dump()->info().headTypes;
    } else if (m_document->scores()) {
        types = &m_document->scores()->header().headTypes;
    }
    if (!types || types->names.empty()) {
        return;
    }
    Node& n = root.add(tr("Head types"), {}, Types);
    n.icon = QStringLiteral("layers");
    for (std::size_t t = 0; t < types->names.size(); ++t) {
        const auto heads =
            std::count(types->type.begin(), types->type.end(), static_cast<std::uint8_t>(t));
        const QChar glyph = headTypeMark(quoted(types->names[t]));
        QString name = headTypeLabel(quoted(types->names[t]));
        if (!glyph.isNull()) {
            name += QLatin1Char(' ') + QString(glyph);
        }
        n.add(name, count(heads)).toolTip =
            heads == 1 ? tr("1 head") : tr("%1 heads").arg(count(heads));
    }
}

void DataTreeModel::addMissing(Node& root) {
    if (!shapeOf(*m_document) || m_document->source() == Document::Source::model) {
        return;
    }
    if (m_shownMissing.isEmpty()) {
        Node& n = root.add(tr("Nothing is missing"));
        n.icon = QStringLiteral("check");
        return;
    }
    Node& n = root.add(tr("Missing"), count(m_shownMissing.size()), Missing);
    n.icon = QStringLiteral("warning");
    for (const QString& line : std::as_const(m_shownMissing)) {
        Node& m = n.add(line, {}, Missing);
        m.toolTip = line;
    }
}

int DataTreeModel::missingCount() const {
    return static_cast<int>(m_shownMissing.size());
}

const DataTreeModel::Node* DataTreeModel::nodeOf(const QModelIndex& index) const {
    return index.isValid() ? static_cast<const Node*>(index.internalPointer()) : m_root.get();
}

QModelIndex DataTreeModel::index(int row, int column, const QModelIndex& parent) const {
    if (!hasIndex(row, column, parent)) {
        return {};
    }
    return createIndex(row, column, nodeOf(parent)->children[static_cast<std::size_t>(row)].get());
}

QModelIndex DataTreeModel::parent(const QModelIndex& index) const {
    if (!index.isValid()) {
        return {};
    }
    Node* p = nodeOf(index)->parent;
    return p && p != m_root.get() ? createIndex(p->row, 0, p) : QModelIndex();
}

int DataTreeModel::rowCount(const QModelIndex& parent) const {
    return parent.column() > 0 ? 0 : static_cast<int>(nodeOf(parent)->children.size());
}

int DataTreeModel::columnCount(const QModelIndex&) const {
    return 2;
}

QVariant DataTreeModel::data(const QModelIndex& index, int role) const {
    if (!index.isValid()) {
        return {};
    }
    const Node* n = nodeOf(index);
    switch (role) {
    case Qt::DisplayRole:
        return index.column() == Name ? n->name : n->value;
    case Qt::ToolTipRole:
        return n->toolTip.isEmpty()
                   ? (n->value.isEmpty() ? n->name : n->name + QStringLiteral(": ") + n->value)
                   : n->toolTip;
    case IconNameRole:
        return index.column() == Name ? n->icon : QString();
    case KindRole:
        return n->kind;
    case ParameterRole:
        return n->kind == Parameter ? n->link : QString();
    case TaskRole:
        return n->kind == Task ? n->link : QString();
    default:
        return {};
    }
}

QVariant DataTreeModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole) {
        return {};
    }
    return section == Name ? tr("Name") : tr("Value");
}

} // namespace qkov::ui
