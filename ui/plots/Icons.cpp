// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/Icons.h"

#include <QIconEngine>
#include <QPainter>
#include <QSvgRenderer>

#include <array>

namespace qkov::ui {

namespace {

struct Drawing {
    const char* name;
    const char* paths; ///< inside a 20 × 20 box, drawn with a 1.5 stroke
};

constexpr std::array drawings{
    Drawing{"open", R"(<path d="M2.75 15.5v-11h5l1.75 2h6v2.5M2.75 15.5l2.5-6.5h12l-2.25 6.5z"/>)"},
    Drawing{"swap",
            R"(<path d="M3 7h13M12.75 3.75 16 7l-3.25 3.25M17 13H4M7.25 9.75 4 13l3.25 3.25"/>)"},
    Drawing{"play", R"(<path d="M6 3.75v12.5L16 10z"/>)"},
    Drawing{
        "cancel",
        R"(<circle cx="10" cy="10" r="7.25"/><path d="M7.25 7.25l5.5 5.5M12.75 7.25l-5.5 5.5"/>)"},
    Drawing{"export", R"(<path d="M10 12.5V3M6.5 6.25 10 2.75l3.5 3.5M4 10.5v6.25h12V10.5"/>)"},
    Drawing{"folder", R"(<path d="M2.75 15.75V4.5h5l1.75 2.25h7.75v9z"/>)"},
    Drawing{"file", R"(<path d="M4.75 2.75h6.5l4 4v10.5H4.75zM11.25 2.75v4h4"/>)"},
    Drawing{"search", R"(<circle cx="8.75" cy="8.75" r="5.5"/><path d="M12.75 12.75 17 17"/>)"},
    Drawing{"copy", R"(<path d="M7.25 7.25h9.5v9.5h-9.5zM12.75 7.25v-4h-9.5v9.5h4"/>)"},
    Drawing{
        "sun",
        R"(<circle cx="10" cy="10" r="3.25"/><path d="M10 2v2M10 16v2M2 10h2M16 10h2M4.35 4.35l1.4 1.4M14.25 14.25l1.4 1.4M4.35 15.65l1.4-1.4M14.25 5.75l1.4-1.4"/>)"},
    Drawing{"moon", R"(<path d="M16.75 11.75A7 7 0 1 1 8.25 3.25a5.75 5.75 0 0 0 8.5 8.5z"/>)"},
    Drawing{
        "model",
        R"(<circle cx="4.5" cy="6" r="1.75"/><circle cx="4.5" cy="14" r="1.75"/><circle cx="15.5" cy="6" r="1.75"/><circle cx="15.5" cy="14" r="1.75"/><path d="M6.25 6h7.5M6.25 14h7.5M5.9 7.1l8.2 5.8M5.9 12.9l8.2-5.8"/>)"},
    Drawing{
        "layers",
        R"(<path d="M10 2.75 17.25 6.5 10 10.25 2.75 6.5zM2.75 10.25 10 14l7.25-3.75M2.75 13.75 10 17.5l7.25-3.75"/>)"},
    Drawing{
        "task",
        R"(<path d="M8 5h9M8 10h9M8 15h9M2.75 5l1 1 1.75-2M2.75 10l1 1 1.75-2M2.75 15l1 1 1.75-2"/>)"},
    Drawing{"fisher",
            R"(<path d="M3 3v14h14"/><path d="M5 14.5c3.25 0 3-9 5.75-9s2.5 9 5.75 9"/>)"},
    Drawing{"warning", R"(<path d="M10 3 17.75 16.5H2.25zM10 8v4M10 14v.25"/>)"},
    Drawing{
        "error",
        R"(<path d="M6.75 2.5h6.5l4.25 4.25v6.5l-4.25 4.25h-6.5L2.5 13.25v-6.5zM10 6.25v4.75M10 13.5v.25"/>)"},
    Drawing{"info", R"(<circle cx="10" cy="10" r="7.25"/><path d="M10 9v4.75M10 6.25v.25"/>)"},
    Drawing{"check", R"(<path d="M3.5 10.5l4.25 4.25L16.5 5.5"/>)"},
    Drawing{"chevron", R"(<path d="M5 7.5l5 5 5-5"/>)"},
    Drawing{"pin",
            R"(<path d="M7 2.75h6M8 2.75v5.5l-2.5 3v1.5h9v-1.5l-2.5-3v-5.5M10 12.75v4.75"/>)"},
    Drawing{
        "settings",
        R"(<path d="M2.75 6h7M14 6h3.25M2.75 14H6M10.25 14h7"/><circle cx="11.9" cy="6" r="2"/><circle cx="8.1" cy="14" r="2"/>)"},
    Drawing{"pair", R"(<circle cx="7.25" cy="10" r="4.75"/><circle cx="12.75" cy="10" r="4.75"/>)"},
    Drawing{"table",
            R"(<path d="M2.75 3.75h14.5v12.5H2.75zM2.75 8h14.5M2.75 12.1h14.5M8 8v8.25"/>)"},
    Drawing{"recent", R"(<circle cx="10" cy="10" r="7.25"/><path d="M10 5.75V10l3 2"/>)"},
    Drawing{"close", R"(<path d="M4.75 4.75l10.5 10.5M15.25 4.75 4.75 15.25"/>)"},
};

/// Draws the paths anew at every size, so that nothing is scaled.
class StrokeEngine final : public QIconEngine {
  public:
    StrokeEngine(const char* paths, QColor normal, QColor disabled)
        : m_paths(paths)
        , m_normal(std::move(normal))
        , m_disabled(std::move(disabled)) {}

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override {
        const QColor& c = mode == QIcon::Disabled ? m_disabled : m_normal;
        const QByteArray svg =
            QByteArrayLiteral("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 20 20\">"
                              "<g fill=\"none\" stroke-width=\"1.5\" stroke-linecap=\"round\" "
                              "stroke-linejoin=\"round\" stroke=\"") +
            c.name().toLatin1() + "\" stroke-opacity=\"" + QByteArray::number(c.alphaF()) + "\">" +
            m_paths + "</g></svg>";
        QSvgRenderer renderer(svg);
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        const int side = std::min(rect.width(), rect.height());
        QRect square(0, 0, side, side);
        square.moveCenter(rect.center());
        renderer.render(painter, square);
        painter->restore();
    }
    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override {
        return scaledPixmap(size, mode, state, 1.0);
    }
    QPixmap scaledPixmap(const QSize& size, QIcon::Mode mode, QIcon::State state, qreal) override {
        // `size` counts device pixels here; a squeezed button may have none.
        if (size.isEmpty()) {
            return {};
        }
        QPixmap pixmap(size);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        paint(&painter, QRect(QPoint(), size), mode, state);
        return pixmap;
    }
    QIconEngine* clone() const override { return new StrokeEngine(m_paths, m_normal, m_disabled); }

  private:
    const char* m_paths;
    QColor m_normal, m_disabled;
};

QIcon makeIcon(const QString& name, const QColor& normal, const QColor& disabled) {
    for (const Drawing& drawing : drawings) {
        if (name == QLatin1String(drawing.name)) {
            return QIcon(new StrokeEngine(drawing.paths, normal, disabled));
        }
    }
    return {};
}

} // namespace

QIcon icon(const QString& name, const Palette& palette) {
    return makeIcon(name, palette.text, palette.outline);
}

QIcon icon(const QString& name, const QColor& color) {
    QColor faded = color;
    faded.setAlphaF(0.4F);
    return makeIcon(name, color, faded);
}

QStringList iconNames() {
    QStringList names;
    for (const Drawing& drawing : drawings) {
        names << QString::fromLatin1(drawing.name);
    }
    return names;
}

} // namespace qkov::ui
