// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/LookJson.h"

namespace qkov::ui {

namespace {

template <class T>
struct Name {
    T value;
    const char* text;
};

constexpr Name<HeadSort> sorts[] = {
    {HeadSort::number, "number"}, {HeadSort::value, "value"}, {HeadSort::type, "type"}};
constexpr Name<RangeOptions::Kind> kinds[] = {{RangeOptions::Kind::data, "data"},
                                              {RangeOptions::Kind::robust, "robust"},
                                              {RangeOptions::Kind::given, "given"}};

template <class T, std::size_t n>
QString nameOf(const Name<T> (&names)[n], T value) {
    for (const auto& name : names) {
        if (name.value == value) {
            return QString::fromLatin1(name.text);
        }
    }
    return {};
}

template <class T, std::size_t n>
void take(const QJsonObject& json, const char* key, const Name<T> (&names)[n], T& value) {
    const QString text = json.value(QLatin1String(key)).toString();
    for (const auto& name : names) {
        if (text == QLatin1String(name.text)) {
            value = name.value;
        }
    }
}

} // namespace

QJsonObject toJson(const FourMaps::Look& look) {
    QJsonObject j{
        {QStringLiteral("shared_range"), look.sharedRange},
        {QStringLiteral("marks"), look.marks},
        {QStringLiteral("margins"), look.margins},
        {QStringLiteral("layer_0"),
         look.layerZeroAtTop ? QStringLiteral("top") : QStringLiteral("bottom")},
        {QStringLiteral("sort"), nameOf(sorts, look.sort)},
        {QStringLiteral("range"), nameOf(kinds, look.range.kind)},
        {QStringLiteral("scale"), look.range.symlog ? QStringLiteral("symlog")
                                  : look.range.log  ? QStringLiteral("log")
                                                    : QStringLiteral("linear")},
        {QStringLiteral("colour_map"), look.map ? look.map->name() : QStringLiteral("automatic")},
    };
    if (look.range.kind == RangeOptions::Kind::given) {
        j[QStringLiteral("low")] = look.range.low;
        j[QStringLiteral("high")] = look.range.high;
    }
    return j;
}

FourMaps::Look lookFromJson(const QJsonObject& json, const FourMaps::Look& base) {
    FourMaps::Look look = base;
    const auto flag = [&](const char* key, bool& value) {
        value = json.value(QLatin1String(key)).toBool(value);
    };
    const auto text = [&](const char* key) { return json.value(QLatin1String(key)).toString(); };
    flag("shared_range", look.sharedRange);
    flag("marks", look.marks);
    flag("margins", look.margins);
    if (const QString top = text("layer_0"); !top.isEmpty()) {
        look.layerZeroAtTop = top != QLatin1String("bottom");
    }
    take(json, "sort", sorts, look.sort);
    take(json, "range", kinds, look.range.kind);
    if (const QString scale = text("scale"); !scale.isEmpty()) {
        look.range.log = scale == QLatin1String("log");
        look.range.symlog = scale == QLatin1String("symlog");
    }
    const double low = json.value(QStringLiteral("low")).toDouble(look.range.low);
    const double high = json.value(QStringLiteral("high")).toDouble(look.range.high);
    if (low < high) {
        look.range.low = low;
        look.range.high = high;
    } else if (look.range.kind == RangeOptions::Kind::given) {
        look.range.kind = RangeOptions::Kind::data;
    }
    if (const QString map = text("colour_map"); !map.isEmpty()) {
        look.map = map == QLatin1String("automatic") ? std::nullopt : ColorMap::fromName(map);
    }
    return look;
}

} // namespace qkov::ui
