// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/CellScatter.h"

#include "base/Numbers.h"
#include "plots/HeatmapPainter.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QVBoxLayout>

#include <qcustomplot.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace qkov::ui {

namespace {

/// Ticks with the same rules as the colour bars'.
class Ticker final : public QCPAxisTicker {
  public:
    bool log = false;

  protected:
    QVector<double> createTickVector(double, const QCPRange& range) override {
        m_ticks = axisTicks(range.lower, range.upper, tickCount(), log);
        return {m_ticks.values.begin(), m_ticks.values.end()};
    }
    QVector<double> createSubTickVector(int, const QVector<double>&) override { return {}; }
    QString getTickLabel(double tick, const QLocale&, QChar, int) override {
        for (std::size_t n = 0; n < m_ticks.values.size(); ++n) {
            if (m_ticks.values[n] == tick) {
                const QString& text = m_ticks.texts[static_cast<qsizetype>(n)];
                // A common power is written at the last tick only.
                return n + 1 == m_ticks.values.size() ? text + powerOfTen(m_ticks.exponent) : text;
            }
        }
        return QString::fromStdString(formatNumber(tick));
    }

  private:
    AxisTicks m_ticks;
};

} // namespace

struct CellScatter::Private {
    QCustomPlot* plot = nullptr;
    QCPGraph *all = nullptr, *marked = nullptr, *highlighted = nullptr, *selectedGraph = nullptr;
    QCPItemStraightLine* diagonal = nullptr;
    QSharedPointer<Ticker> tickers[2];
    std::vector<Point> points;
    std::unordered_map<int, std::size_t> byId;
    std::optional<int> selected, lastHover;
    std::vector<int> markedIds;

    const Point* find(std::optional<int> id) const {
        const auto it = id ? byId.find(*id) : byId.end();
        return it == byId.end() ? nullptr : &points[it->second];
    }
    void show(QCPGraph* graph, const std::vector<int>& ids) const {
        QVector<double> x, y;
        for (const int id : ids) {
            if (const Point* p = find(id)) {
                x << p->x;
                y << p->y;
            }
        }
        graph->setData(x, y);
        queueReplot();
    }
    /// Before it is shown there is nothing to draw on; showing draws.
    void queueReplot() const {
        if (plot->isVisible()) {
            plot->replot(QCustomPlot::rpQueuedReplot);
        }
    }
    void restyle(const CellScatter* widget);
    void rescale();
};

CellScatter::CellScatter(QWidget* parent)
    : QWidget(parent)
    , d(std::make_unique<Private>()) {
    setFocusPolicy(Qt::StrongFocus);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    d->plot = new QCustomPlot;
    d->plot->setFocusPolicy(Qt::NoFocus);
    d->plot->setMinimumSize(40, 40); // it cannot draw on nothing
    d->plot->setMouseTracking(true);
    d->plot->installEventFilter(this);
    layout->addWidget(d->plot);
    d->diagonal = new QCPItemStraightLine(d->plot);
    d->diagonal->point1->setCoords(0, 0);
    d->diagonal->point2->setCoords(1, 1);
    for (QCPGraph** graph : {&d->all, &d->marked, &d->highlighted, &d->selectedGraph}) {
        *graph = d->plot->addGraph();
        (*graph)->setLineStyle(QCPGraph::lsNone);
        (*graph)->setAntialiasedScatters(true);
    }
    QCPAxis* axes[] = {d->plot->xAxis, d->plot->yAxis};
    for (int n = 0; n < 2; ++n) {
        d->tickers[n] = QSharedPointer<Ticker>::create();
        d->tickers[n]->setTickCount(5);
        axes[n]->setTicker(d->tickers[n]);
        axes[n]->setSubTicks(false);
        axes[n]->grid()->setZeroLinePen(Qt::NoPen);
    }
    d->plot->xAxis2->setVisible(false);
    d->restyle(this);
}

CellScatter::~CellScatter() = default;

void CellScatter::Private::restyle(const CellScatter* widget) {
    const Palette& palette = Palette::current(widget);
    const PlotStyle style = PlotStyle::screen(widget);
    plot->setBackground(Qt::NoBrush);
    plot->setAttribute(Qt::WA_OpaquePaintEvent, false);
    for (QCPAxis* axis : {plot->xAxis, plot->yAxis}) {
        axis->setBasePen(QPen(palette.outline, 1));
        axis->setTickPen(QPen(palette.outline, 1));
        axis->setTickLength(0, 3);
        axis->setTickLabelColor(palette.mutedText);
        axis->setLabelColor(palette.text);
        axis->setTickLabelFont(style.font);
        axis->setLabelFont(style.font);
        axis->grid()->setPen(QPen(palette.separator, 1));
        axis->setLabelPadding(2);
    }
    diagonal->setPen(QPen(palette.outline, 1, Qt::DashLine));
    // A disc on a rim of the ground: points that overlap stay apart.
    const auto disc = [](const QColor& fill, const QColor& rim, double width, double size) {
        return QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(rim, width), QBrush(fill), size);
    };
    all->setScatterStyle(disc(palette.mutedText, palette.card, 1, 6));
    marked->setScatterStyle(disc(palette.text, palette.card, 1, 8));
    highlighted->setScatterStyle(disc(Qt::transparent, palette.text, 1.5, 11));
    selectedGraph->setScatterStyle(disc(palette.accent, palette.card, 1.5, 11));
}

void CellScatter::Private::rescale() {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const Point& p : points) {
        low = std::min({low, p.x, p.y});
        high = std::max({high, p.x, p.y});
    }
    if (!(high >= low)) {
        low = 0;
        high = 1;
    }
    const bool log = low > 0 && high > 100 * low;
    for (const auto& ticker : tickers) {
        ticker->log = log;
    }
    // The same range on both: the diagonal is what the eye compares with.
    QCPRange range;
    if (log) {
        const double pad = std::pow(high / low, 0.06);
        range = QCPRange(low / pad, high * pad);
    } else {
        const double pad = std::max((high - low) * 0.06, std::abs(high) * 1e-9 + 1e-300);
        range = QCPRange(low - pad, high + pad);
    }
    for (QCPAxis* axis : {plot->xAxis, plot->yAxis}) {
        axis->setScaleType(log ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
        axis->setRange(range);
    }
    // A straight line through two places of the diagonal, right for both scales.
    diagonal->point1->setCoords(range.lower, range.lower);
    diagonal->point2->setCoords(range.upper, range.upper);
}

void CellScatter::setPoints(std::vector<Point> points) {
    points.erase(
        std::remove_if(points.begin(), points.end(),
                       [](const Point& p) { return !std::isfinite(p.x) || !std::isfinite(p.y); }),
        points.end());
    d->points = std::move(points);
    d->byId.clear();
    QVector<double> x, y;
    for (std::size_t n = 0; n < d->points.size(); ++n) {
        d->byId[d->points[n].id] = n;
        x << d->points[n].x;
        y << d->points[n].y;
    }
    d->all->setData(x, y);
    d->rescale();
    d->show(d->marked, d->markedIds);
    d->show(d->highlighted, {});
    d->show(d->selectedGraph, d->selected ? std::vector<int>{*d->selected} : std::vector<int>{});
    setAccessibleDescription(tr("%1 cells").arg(d->points.size()));
}

const std::vector<CellScatter::Point>& CellScatter::points() const {
    return d->points;
}

void CellScatter::setAxisTitles(const QString& x, const QString& y) {
    d->plot->xAxis->setLabel(x);
    d->plot->yAxis->setLabel(y);
    setAccessibleName(tr("%1 against %2").arg(y, x));
    d->queueReplot();
}

void CellScatter::setHighlighted(std::optional<int> id) {
    d->show(d->highlighted, id ? std::vector<int>{*id} : std::vector<int>{});
}

void CellScatter::setSelected(std::optional<int> id) {
    if (id != d->selected) {
        d->selected = id;
        d->show(d->selectedGraph, id ? std::vector<int>{*id} : std::vector<int>{});
    }
}

std::optional<int> CellScatter::selected() const {
    return d->selected;
}

void CellScatter::setMarked(const std::vector<int>& ids) {
    d->markedIds = ids;
    d->show(d->marked, ids);
}

std::optional<QPointF> CellScatter::positionOf(int id) const {
    const Point* p = d->find(id);
    if (p == nullptr) {
        return {};
    }
    return QPointF(d->plot->xAxis->coordToPixel(p->x), d->plot->yAxis->coordToPixel(p->y));
}

std::optional<int> CellScatter::pointAt(const QPointF& position) const {
    double nearest = 6 * 6;
    std::optional<int> found;
    for (const Point& p : d->points) {
        const double dx = d->plot->xAxis->coordToPixel(p.x) - position.x();
        const double dy = d->plot->yAxis->coordToPixel(p.y) - position.y();
        if (dx * dx + dy * dy <= nearest) {
            nearest = dx * dx + dy * dy;
            found = p.id;
        }
    }
    return found;
}

QSize CellScatter::sizeHint() const {
    return {260, 240};
}
QSize CellScatter::minimumSizeHint() const {
    return {140, 120};
}

bool CellScatter::eventFilter(QObject* watched, QEvent* event) {
    if (watched != d->plot) {
        return QWidget::eventFilter(watched, event);
    }
    switch (event->type()) {
    case QEvent::MouseMove: {
        const auto id = pointAt(static_cast<QMouseEvent*>(event)->position());
        if (id != d->lastHover) {
            d->lastHover = id;
            setHighlighted(id);
            if (id) {
                emit hovered(*id);
            } else {
                emit left();
            }
        }
        break;
    }
    case QEvent::Leave:
        if (d->lastHover) {
            d->lastHover.reset();
            setHighlighted({});
            emit left();
        }
        break;
    case QEvent::MouseButtonPress: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        setFocus(Qt::MouseFocusReason);
        if (mouse->button() == Qt::LeftButton) {
            if (const auto id = pointAt(mouse->position())) {
                setSelected(id);
                emit selected(*id);
            }
        }
        break;
    }
    default:
        break;
    }
    return QWidget::eventFilter(watched, event);
}

void CellScatter::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        d->restyle(this);
        d->queueReplot();
    }
    QWidget::changeEvent(event);
}

void CellScatter::keyPressEvent(QKeyEvent* event) {
    const int step = event->key() == Qt::Key_Right || event->key() == Qt::Key_Up    ? 1
                     : event->key() == Qt::Key_Left || event->key() == Qt::Key_Down ? -1
                                                                                    : 0;
    if (step == 0 || d->points.empty() || event->modifiers() != Qt::NoModifier) {
        QWidget::keyPressEvent(event);
        return;
    }
    std::vector<std::size_t> order(d->points.size());
    for (std::size_t n = 0; n < order.size(); ++n) {
        order[n] = n;
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return d->points[a].x < d->points[b].x; });
    std::ptrdiff_t at = step > 0 ? -1 : static_cast<std::ptrdiff_t>(order.size());
    for (std::size_t n = 0; n < order.size(); ++n) {
        if (d->selected == d->points[order[n]].id) {
            at = static_cast<std::ptrdiff_t>(n);
        }
    }
    at = std::clamp<std::ptrdiff_t>(at + step, 0, static_cast<std::ptrdiff_t>(order.size()) - 1);
    const int id = d->points[order[static_cast<std::size_t>(at)]].id;
    if (d->selected != id) {
        setSelected(id);
        emit selected(id);
    }
}

void CellScatter::focusInEvent(QFocusEvent* event) {
    if (event->reason() != Qt::MouseFocusReason) {
        d->plot->axisRect()->setBackground(QBrush(Palette::current(this).selection));
        d->queueReplot();
    }
}

void CellScatter::focusOutEvent(QFocusEvent*) {
    d->plot->axisRect()->setBackground(Qt::NoBrush);
    d->queueReplot();
}

} // namespace qkov::ui
