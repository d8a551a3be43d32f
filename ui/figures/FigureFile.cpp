// SPDX-License-Identifier: GPL-3.0-or-later
// A figure as JSON, and its numbers as CSV.
#include "base/AtomicFile.h"
#include "base/Error.h"
#include "base/RawFile.h"
#include "figures/FigureExport.h"

#include <nlohmann/json.hpp>

#include <array>
#include <charconv>

namespace qkov::ui {

namespace {

using nlohmann::json;

constexpr int formatVersion = 1;
constexpr std::uint64_t maxFileBytes = 1 << 30;

json text(const QString& s) {
    return s.toStdString();
}
/// NaN and infinities have no place in JSON: null.
json number(double v) {
    return std::isfinite(v) ? json(v) : json(nullptr);
}

json brackets(const std::vector<HeatmapData::Bracket>& list) {
    json out = json::array();
    for (const auto& b : list) {
        out.push_back({{"first", b.first}, {"last", b.last}, {"label", text(b.label)}});
    }
    return out;
}

json strings(const QStringList& list) {
    json out = json::array();
    for (const QString& s : list) {
        out.push_back(text(s));
    }
    return out;
}

json panel(const HeatmapData& d) {
    json out{{"title", text(d.title)},
             {"subtitle", text(d.subtitle)},
             {"row_title", text(d.rowTitle)},
             {"column_title", text(d.columnTitle)},
             {"rows", d.rows},
             {"columns", d.columns},
             {"row_labels", strings(d.rowLabels)},
             {"column_labels", strings(d.columnLabels)},
             {"column_brackets", brackets(d.columnBrackets)},
             {"row_brackets", brackets(d.rowBrackets)},
             {"reserve_column_brackets", d.reserveColumnBrackets},
             {"column_bands", brackets(d.columnBands)},
             {"row_bands", brackets(d.rowBands)}};
    json rowMeans = json::array(), columnMeans = json::array();
    for (const double v : d.rowMeans) {
        rowMeans.push_back(number(v));
    }
    for (const double v : d.columnMeans) {
        columnMeans.push_back(number(v));
    }
    out["row_means"] = std::move(rowMeans);
    out["column_means"] = std::move(columnMeans);
    json values = json::array(), states = json::array(), significant = json::array();
    for (const double v : d.values) {
        values.push_back(number(v));
    }
    for (const auto s : d.states) {
        states.push_back(static_cast<int>(s));
    }
    for (const auto s : d.significant) {
        significant.push_back(static_cast<int>(s));
    }
    QStringList marks;
    for (const QChar c : d.marks) {
        marks << (c.isNull() ? QString() : QString(c));
    }
    json outlines = json::array();
    for (const auto& set : d.outlines) {
        json cells = json::array();
        for (const CellPosition c : set) {
            cells.push_back({c.row, c.column});
        }
        outlines.push_back(std::move(cells));
    }
    out["values"] = std::move(values);
    out["states"] = std::move(states);
    out["marks"] = strings(marks);
    out["significant"] = std::move(significant);
    out["outlines"] = std::move(outlines);
    return out;
}

/// Reads keys of one object and names the one that is wrong.
class Reader {
  public:
    Reader(const json& object, std::filesystem::path file, std::string where)
        : m_object(object)
        , m_file(std::move(file))
        , m_where(std::move(where)) {
        if (!object.is_object()) {
            throw InputError("is no JSON object", m_file, m_where);
        }
    }
    const json* find(const char* key) const {
        const auto it = m_object.find(key);
        return it == m_object.end() || it->is_null() ? nullptr : &*it;
    }
    template <class T>
    T get(const char* key, T fallback) const {
        const json* value = find(key);
        if (value == nullptr) {
            return fallback;
        }
        try {
            return value->get<T>();
        } catch (const json::exception&) {
            throw bad(key, "has the wrong type");
        }
    }
    QString string(const char* key) const {
        return QString::fromStdString(get<std::string>(key, {}));
    }
    double number(const char* key) const {
        return get<double>(key, std::numeric_limits<double>::quiet_NaN());
    }
    const json& array(const char* key) const {
        static const json none = json::array();
        const json* value = find(key);
        if (value == nullptr) {
            return none;
        }
        if (!value->is_array()) {
            throw bad(key, "is no list");
        }
        return *value;
    }
    QStringList strings(const char* key) const {
        QStringList list;
        for (const json& s : array(key)) {
            if (!s.is_string()) {
                throw bad(key, "holds something else than text");
            }
            list << QString::fromStdString(s.get<std::string>());
        }
        return list;
    }
    std::vector<double> numbers(const char* key) const {
        std::vector<double> list;
        for (const json& v : array(key)) {
            if (!v.is_number() && !v.is_null()) {
                throw bad(key, "holds something else than numbers");
            }
            list.push_back(v.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                       : v.get<double>());
        }
        return list;
    }
    std::vector<std::uint8_t> flags(const char* key, int last) const {
        std::vector<std::uint8_t> list;
        for (const json& v : array(key)) {
            if (!v.is_number_integer() || v < 0 || v > last) {
                throw bad(key, "holds a number out of range");
            }
            list.push_back(v.get<std::uint8_t>());
        }
        return list;
    }
    std::vector<HeatmapData::Bracket> brackets(const char* key) const {
        std::vector<HeatmapData::Bracket> list;
        for (const json& b : array(key)) {
            const Reader r(b, m_file, inner(key));
            list.push_back({r.get("first", 0), r.get("last", 0), r.string("label")});
        }
        return list;
    }
    template <class T, class Parse>
    T named(const char* key, T fallback, Parse parse) const {
        const QString value = string(key);
        if (value.isEmpty()) {
            return fallback;
        }
        const std::optional<T> found = parse(value);
        if (!found) {
            throw bad(key, "is unknown: " + value.toStdString());
        }
        return *found;
    }
    std::string inner(const char* key) const { return m_where.empty() ? key : m_where + "." + key; }
    InputError bad(const char* key, const std::string& problem) const {
        return {problem, m_file, inner(key)};
    }
    const std::filesystem::path& file() const { return m_file; }

  private:
    const json& m_object;
    std::filesystem::path m_file;
    std::string m_where;
};

HeatmapData readPanel(const Reader& r) {
    HeatmapData d;
    d.title = r.string("title");
    d.subtitle = r.string("subtitle");
    d.rowTitle = r.string("row_title");
    d.columnTitle = r.string("column_title");
    d.rows = r.get("rows", 0);
    d.columns = r.get("columns", 0);
    d.rowLabels = r.strings("row_labels");
    d.columnLabels = r.strings("column_labels");
    d.values = r.numbers("values");
    for (const auto s : r.flags("states", 2)) {
        d.states.push_back(static_cast<HeatmapData::State>(s));
    }
    for (const QString& m : r.strings("marks")) {
        d.marks.push_back(m.isEmpty() ? QChar() : m.front());
    }
    d.columnBrackets = r.brackets("column_brackets");
    d.rowBrackets = r.brackets("row_brackets");
    d.reserveColumnBrackets = r.get("reserve_column_brackets", false);
    d.columnBands = r.brackets("column_bands");
    d.rowBands = r.brackets("row_bands");
    d.rowMeans = r.numbers("row_means");
    d.columnMeans = r.numbers("column_means");
    d.significant = r.flags("significant", 1);
    for (const json& set : r.array("outlines")) {
        auto& cells = d.outlines.emplace_back();
        for (const json& c : set.is_array() ? set : json::array()) {
            if (!c.is_array() || c.size() != 2 || !c[0].is_number_integer() ||
                !c[1].is_number_integer()) {
                throw r.bad("outlines", "holds something else than cells");
            }
            cells.push_back({c[0].get<int>(), c[1].get<int>()});
        }
    }
    if (!d.consistent() || d.values.empty()) {
        throw r.bad("values", "does not have rows x columns entries, or labels do not fit them");
    }
    return d;
}

std::optional<RangeOptions::Kind> rangeKind(const QString& s) {
    return s == QLatin1String("data")     ? std::optional(RangeOptions::Kind::data)
           : s == QLatin1String("robust") ? std::optional(RangeOptions::Kind::robust)
           : s == QLatin1String("given")  ? std::optional(RangeOptions::Kind::given)
                                          : std::nullopt;
}

QByteArray csvNumber(double v) {
    if (std::isnan(v)) {
        return "NaN";
    }
    std::array<char, 40> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v);
    return {buffer.data(), static_cast<qsizetype>(end.ptr - buffer.data())};
}

QByteArray csvText(const QString& s) {
    QByteArray t = s.toUtf8();
    if (t.contains(',') || t.contains('"') || t.contains('\n') || t.contains('\r')) {
        t = '"' + t.replace('"', "\"\"") + '"';
    }
    return t;
}

} // namespace

QByteArray figureJson(const FigureSpec& s) {
    static constexpr std::array rangeNames{"data", "robust", "given"};
    json out{{"qkov_figure", formatVersion},
             {"kind", text(name(s.kind))},
             {"width_in", s.inches.width()},
             {"height_in", s.inches.height()},
             {"grid_columns", s.gridColumns},
             {"font_points", s.fontPoints},
             {"font_family", text(s.fontFamily)},
             {"color_map", text(s.colorMap.name())},
             {"difference_map", text(s.differenceMap.name())},
             {"range",
              {{"kind", rangeNames[static_cast<std::size_t>(s.range.kind)]},
               {"low", s.range.low},
               {"high", s.range.high},
               {"log", s.range.log},
               {"symlog", s.range.symlog},
               {"centred", s.range.centred}}},
             {"shared_range", s.sharedRange},
             {"panel_letters", s.panelLetters},
             {"layer_zero_at_top", s.layerZeroAtTop},
             {"annotate", s.annotate},
             {"annotation_digits", s.annotationDigits},
             {"marks", s.marks},
             {"legend", s.legend},
             {"legend_above", s.legendAbove},
             {"tick_density", s.tickDensity},
             {"decimal_comma", s.decimalComma},
             {"title", text(s.title)},
             {"value_label", text(s.valueLabel)},
             {"difference_label", text(s.differenceLabel)},
             {"x_label", text(s.xLabel)},
             {"y_label", text(s.yLabel)},
             {"observed", number(s.observed)},
             {"threshold", number(s.threshold)},
             {"dpi", s.dpi},
             {"command", text(s.command)},
             {"source", text(s.source)},
             {"caption", text(s.caption)}};
    json panels = json::array(), bars = json::array(), points = json::array(),
         nulls = json::array(), difference = json::array();
    for (const HeatmapData& d : s.panels) {
        panels.push_back(panel(d));
    }
    for (const auto d : s.difference) {
        difference.push_back(static_cast<int>(d));
    }
    for (const FigureBar& b : s.bars) {
        bars.push_back({{"label", text(b.label)},
                        {"value", number(b.value)},
                        {"low", number(b.low)},
                        {"high", number(b.high)}});
    }
    for (const FigurePoint& p : s.points) {
        points.push_back({{"x", number(p.x)},
                          {"y", number(p.y)},
                          {"label", text(p.label)},
                          {"marked", p.marked}});
    }
    for (const double v : s.nullValues) {
        nulls.push_back(number(v));
    }
    out["panels"] = std::move(panels);
    out["difference"] = std::move(difference);
    out["bars"] = std::move(bars);
    out["points"] = std::move(points);
    out["null_values"] = std::move(nulls);
    return QByteArray::fromStdString(out.dump(1, ' ', false, json::error_handler_t::replace)) +
           '\n';
}

FigureSpec figureFromJson(const QByteArray& bytes, const std::filesystem::path& file) {
    const json document = json::parse(bytes.begin(), bytes.end(), nullptr, false);
    if (document.is_discarded()) {
        throw InputError("is not valid JSON", file);
    }
    const Reader r(document, file, {});
    if (r.get("qkov_figure", 0) != formatVersion) {
        throw InputError("is not a figure of this program, or of a newer one", file, "qkov_figure",
                         "Use a file that 'qkov figure' wrote");
    }
    const auto colorMap = [](const QString& name) { return ColorMap::fromName(name); };
    FigureSpec s;
    try {
        s.kind = parseFigureKind(r.string("kind"));
    } catch (const UsageError& e) {
        throw r.bad("kind", e.what());
    }
    s.inches = {r.get("width_in", 5.5), r.get("height_in", 4.6)};
    s.gridColumns = r.get("grid_columns", 0);
    s.fontPoints = r.get("font_points", 8.0);
    s.fontFamily = r.string("font_family");
    s.colorMap = r.named("color_map", s.colorMap, colorMap);
    s.differenceMap = r.named("difference_map", s.differenceMap, colorMap);
    if (const json* range = r.find("range")) {
        const Reader rr(*range, file, "range");
        s.range.kind = rr.named("kind", s.range.kind, rangeKind);
        s.range.low = rr.get("low", 0.0);
        s.range.high = rr.get("high", 1.0);
        s.range.log = rr.get("log", false);
        s.range.symlog = rr.get("symlog", false);
        s.range.centred = rr.get("centred", false);
    }
    s.sharedRange = r.get("shared_range", true);
    s.panelLetters = r.get("panel_letters", true);
    s.layerZeroAtTop = r.get("layer_zero_at_top", true);
    s.annotate = r.get("annotate", false);
    s.annotationDigits = std::clamp(r.get("annotation_digits", 2), 1, 6);
    s.marks = r.get("marks", true);
    s.legend = r.get("legend", true);
    s.legendAbove = r.get("legend_above", false);
    s.tickDensity = std::clamp(r.get("tick_density", 1.0), 0.05, 5.0);
    s.decimalComma = r.get("decimal_comma", false);
    s.title = r.string("title");
    s.valueLabel = r.string("value_label");
    s.differenceLabel = r.string("difference_label");
    s.xLabel = r.string("x_label");
    s.yLabel = r.string("y_label");
    s.observed = r.number("observed");
    s.threshold = r.number("threshold");
    s.dpi = r.get("dpi", 300);
    s.command = r.string("command");
    s.source = r.string("source");
    s.caption = r.string("caption");
    std::size_t n = 0;
    for (const json& p : r.array("panels")) {
        s.panels.push_back(readPanel(Reader(p, file, "panels[" + std::to_string(n++) + "]")));
    }
    s.difference = r.flags("difference", 1);
    for (const json& b : r.array("bars")) {
        const Reader rb(b, file, "bars");
        s.bars.push_back(
            {rb.string("label"), rb.number("value"), rb.number("low"), rb.number("high")});
    }
    for (const json& p : r.array("points")) {
        const Reader rp(p, file, "points");
        s.points.push_back(
            {rp.number("x"), rp.number("y"), rp.string("label"), rp.get("marked", false)});
    }
    s.nullValues = r.numbers("null_values");
    const bool maps =
        s.kind != FigureKind::bars && s.kind != FigureKind::volcano && s.kind != FigureKind::null;
    if (maps && s.panels.empty()) {
        throw r.bad("panels", "is empty");
    }
    return s;
}

void saveFigure(const FigureSpec& spec, const std::filesystem::path& file) {
    const QByteArray bytes = figureJson(spec);
    writeTextFile(file, {bytes.constData(), static_cast<std::size_t>(bytes.size())});
}

FigureSpec loadFigure(const std::filesystem::path& file) {
    return figureFromJson(QByteArray::fromStdString(readText(file, maxFileBytes)), file);
}

QByteArray figureCsv(const FigureSpec& s) {
    QByteArray out;
    switch (s.kind) {
    case FigureKind::bars:
        out = "label,value,low,high\n";
        for (const FigureBar& b : s.bars) {
            out += csvText(b.label) + ',' + csvNumber(b.value) + ',' + csvNumber(b.low) + ',' +
                   csvNumber(b.high) + '\n';
        }
        return out;
    case FigureKind::volcano:
        out = "label,x,y,marked\n";
        for (const FigurePoint& p : s.points) {
            out += csvText(p.label) + ',' + csvNumber(p.x) + ',' + csvNumber(p.y) +
                   (p.marked ? ",1\n" : ",0\n");
        }
        return out;
    case FigureKind::null:
        out = "kind,value\nobserved," + csvNumber(s.observed) + '\n';
        for (const double v : s.nullValues) {
            out += "null," + csvNumber(v) + '\n';
        }
        return out;
    default:
        break;
    }
    out = "panel,row,column,value\n";
    for (const HeatmapData& d : s.panels) {
        for (int r = 0; r < d.rows; ++r) {
            const QByteArray start = csvText(d.title) + ',' + csvText(d.rowLabel(r)) + ',';
            for (int c = 0; c < d.columns; ++c) {
                const bool ok = d.state(r, c) == HeatmapData::State::ok;
                out += start + csvText(d.columnLabel(c)) + ',' +
                       csvNumber(ok ? d.value(r, c) : std::numeric_limits<double>::quiet_NaN()) +
                       '\n';
            }
        }
    }
    return out;
}

void exportFigureCsv(const FigureSpec& spec, const std::filesystem::path& file) {
    const QByteArray bytes = figureCsv(spec);
    writeTextFile(file, {bytes.constData(), static_cast<std::size_t>(bytes.size())});
}

} // namespace qkov::ui
