// SPDX-License-Identifier: GPL-3.0-or-later
// From a number to a colour: perceptually uniform maps, and the range they cover.
#pragma once

#include <QRgb>
#include <QString>
#include <QStringList>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qkov::ui {

class ColorMap {
  public:
    enum class Id : std::uint8_t { viridis, cividis, magma, vik, RdBu, RdYlBu_r };
    static constexpr std::array<Id, 6> all{Id::viridis, Id::cividis, Id::magma,
                                           Id::vik,     Id::RdBu,    Id::RdYlBu_r};

    ColorMap(Id id = Id::viridis) // NOLINT: an id is a map
        : m_id(id) {}
    Id id() const { return m_id; }
    /// "viridis", … as on the command line.
    QString name() const;
    static QStringList names();
    static std::optional<ColorMap> fromName(const QString& name);
    /// Made to be centred on 0.
    bool diverging() const;
    /// Opaque colour at t in [0, 1], clamped; NaN gives the colour at 0.
    QRgb at(double t) const;
    friend bool operator==(ColorMap, ColorMap) = default;

  private:
    Id m_id;
};

struct RangeOptions {
    enum class Kind : std::uint8_t {
        data,   ///< minimum to maximum
        robust, ///< 2nd to 98th percentile
        given,  ///< low, high
    };
    Kind kind = Kind::data;
    double low = 0, high = 1; ///< for `given`
    bool log = false;     ///< linear unless the data has positive values; symlog if also negative
    bool symlog = false;  ///< logarithmic on both sides of 0, linear near it; wins over log
    bool centred = false; ///< symmetric around 0, for diverging maps
    friend bool operator==(const RangeOptions&, const RangeOptions&) = default;
};

/// A map and the values of its ends.
struct ColorScale {
    ColorMap map;
    double low = 0;
    double high = 1;                             ///< always > low
    bool log = false;                            ///< then low > 0
    double linear = 0;                           ///< > 0: symlog, sign(v) · ln(1 + |v| / linear)
    bool clipsBelow = false, clipsAbove = false; ///< data lies outside; drawn as pointed bar ends
    bool empty = true;                           ///< fitted to no finite value

    /// Over all finite values of all `sets`.
    static ColorScale fit(ColorMap map, const std::vector<std::span<const double>>& sets,
                          const RangeOptions& options = {});
    /// 0 at low, 1 at high, not clamped; NaN for NaN, -infinity for ≤ 0 on a log scale.
    double position(double value) const;
    double valueAt(double position) const;
    /// Part of the larger end that a symlog scale leaves linear.
    static constexpr double symlogLinearShare = 1e-3;
    /// `value` must not be NaN: missing cells are drawn otherwise.
    QRgb color(double value) const { return map.at(position(value)); }
    friend bool operator==(const ColorScale&, const ColorScale&) = default;
};

} // namespace qkov::ui
