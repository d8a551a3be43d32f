// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/ConflictQuery.h"

#include "results/Summary.h"

#include <QRegularExpression>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qkov::ui {

namespace {

QString lower(const std::string& s) {
    return QString::fromStdString(s).toCaseFolded();
}

std::optional<std::vector<std::pair<std::int64_t, std::int64_t>>> parseNumbers(const QString& t) {
    std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
    for (const QString& part : t.split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        const auto ends = part.split(QLatin1Char('-'));
        bool okA = false;
        bool okB = false;
        const qint64 a = ends.first().toLongLong(&okA);
        const qint64 b = ends.last().toLongLong(&okB);
        if (!okA || !okB || ends.size() > 2) {
            return std::nullopt;
        }
        ranges.emplace_back(a, b);
    }
    if (ranges.empty()) {
        return std::nullopt;
    }
    return ranges;
}

bool within(const std::vector<std::pair<std::int64_t, std::int64_t>>& ranges, std::int64_t n) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [n](const auto& r) { return r.first <= n && n <= r.second; });
}

} // namespace

ConflictFilter ConflictFilter::parse(const QString& text) {
    using Key = Term::Key;
    static const std::vector<std::pair<QLatin1String, Key>> keys{
        {QLatin1String("layer"), Key::layer}, {QLatin1String("l"), Key::layer},
        {QLatin1String("head"), Key::head},   {QLatin1String("h"), Key::head},
        {QLatin1String("block"), Key::block}, {QLatin1String("type"), Key::type},
        {QLatin1String("id"), Key::id},       {QLatin1String("a"), Key::a},
        {QLatin1String("b"), Key::b},         {QLatin1String("group"), Key::group},
        {QLatin1String("text"), Key::text},   {QLatin1String("score"), Key::score}};
    // key:value, key:"two words", "two words", word
    static const QRegularExpression token(QStringLiteral("(?:(\\w+):)?(?:\"([^\"]*)\"?|(\\S+))"));
    ConflictFilter f;
    auto it = token.globalMatch(text);
    while (it.hasNext()) {
        const auto m = it.next();
        QString key = m.captured(1).toLower();
        QString value = (m.capturedLength(3) > 0 ? m.captured(3) : m.captured(2)).toCaseFolded();
        Term term{Key::word, value, {}, '=', 0};
        if (!key.isEmpty()) {
            const auto found = std::find_if(keys.begin(), keys.end(),
                                            [&](const auto& k) { return key == k.first; });
            if (found == keys.end()) {
                // An id may contain a colon: search for it as it is written.
                term.text = m.captured(0).remove(QLatin1Char('"')).toCaseFolded();
            } else {
                term.key = found->second;
            }
        }
        const auto isKey = [&](const QString& word) {
            return std::any_of(keys.begin(), keys.end(), [&](const auto& k) {
                return word == QString(k.first) + QLatin1Char(':');
            });
        };
        if (term.text.isEmpty() || isKey(term.text)) {
            continue; // "layer:" while it is being typed
        }
        bool understood = true;
        if (term.key == Key::layer || term.key == Key::head) {
            if (auto ranges = parseNumbers(value)) {
                term.ranges = *ranges;
            } else {
                understood = false;
            }
        } else if (term.key == Key::block) {
            term.text = value.toUpper().remove(QLatin1Char(','));
            understood = std::all_of(term.text.begin(), term.text.end(),
                                     [](QChar c) { return QStringLiteral("QKVO").contains(c); });
        } else if (term.key == Key::score) {
            QString n = value;
            if (n.startsWith(QLatin1Char('>')) || n.startsWith(QLatin1Char('<'))) {
                term.comparison = n[0].toLatin1();
                n = n.mid(
                    n.startsWith(QLatin1String(">=")) || n.startsWith(QLatin1String("<=")) ? 2 : 1);
            } else {
                term.comparison = '>';
            }
            term.number = n.toDouble(&understood);
        }
        if (understood) {
            f.m_terms.push_back(term);
        } else {
            f.m_problems << m.captured(0);
        }
    }
    return f;
}

bool ConflictFilter::acceptsCell(const engine::ScoreHeader& header, Block block, std::size_t row,
                                 std::size_t column) const {
    return std::all_of(m_terms.begin(), m_terms.end(), [&](const Term& t) {
        switch (t.key) {
        case Term::Key::layer:
            return within(t.ranges, header.layers[row]);
        case Term::Key::head:
            return within(t.ranges, header.heads[column]);
        case Term::Key::block:
            return t.text.contains(QLatin1Char(blockName(block)));
        case Term::Key::type: {
            const auto& types = header.headTypes;
            const auto at = static_cast<std::size_t>(header.layers[row]) *
                                static_cast<std::size_t>(header.model.numHeads) +
                            static_cast<std::size_t>(header.heads[column]);
            return at < types.type.size() && types.type[at] < types.names.size() &&
                   lower(types.names[types.type[at]]).contains(t.text);
        }
        default:
            return true;
        }
    });
}

bool ConflictFilter::acceptsScore(double score) const {
    return std::all_of(m_terms.begin(), m_terms.end(), [&](const Term& t) {
        return t.key != Term::Key::score ||
               (t.comparison == '>' ? score >= t.number : score <= t.number);
    });
}

bool ConflictFilter::SampleMatch::accepts(std::size_t i, std::size_t j) const {
    for (std::size_t t = 0; t < a.size(); ++t) {
        if (!a[t][i] && !b[t][j]) {
            return false;
        }
    }
    return true;
}

ConflictFilter::SampleMatch ConflictFilter::matchSamples(const engine::ScoreHeader& header) const {
    SampleMatch match;
    for (const Term& t : m_terms) {
        using Key = Term::Key;
        const auto test = [&](const dump::SampleInfo& s) {
            switch (t.key) {
            case Key::id:
            case Key::a:
            case Key::b:
                return lower(s.id).contains(t.text);
            case Key::group:
                return lower(s.group).contains(t.text);
            case Key::text:
                return lower(s.text).contains(t.text);
            case Key::word:
                return lower(s.id).contains(t.text) || lower(s.group).contains(t.text);
            default:
                return false;
            }
        };
        if (t.key == Key::layer || t.key == Key::head || t.key == Key::block ||
            t.key == Key::type || t.key == Key::score) {
            continue;
        }
        std::vector<bool> a(header.nA(), false);
        std::vector<bool> b(header.nB(), false);
        if (t.key != Key::b) {
            std::transform(header.samplesA.begin(), header.samplesA.end(), a.begin(), test);
        }
        if (t.key != Key::a) {
            std::transform(header.samplesB.begin(), header.samplesB.end(), b.begin(), test);
        }
        match.a.push_back(std::move(a));
        match.b.push_back(std::move(b));
    }
    return match;
}

ConflictList runQuery(const engine::Scores& scores, const ConflictQuery& query,
                      const std::function<void(double)>& progress) {
    const auto& h = scores.header();
    const bool low = results::lowIsConflict(h.request.variant);
    const auto worse = [low](const ConflictRow& x, const ConflictRow& y) {
        if (x.score != y.score) {
            return low ? x.score < y.score : x.score > y.score;
        }
        return std::tie(x.row, x.column, x.i, x.j, x.block) <
               std::tie(y.row, y.column, y.i, y.j, y.block);
    };
    const auto match = query.filter.matchSamples(h);
    ConflictList list;
    // Twice the limit is gathered, then cut to the best: each cut costs one selection.
    const std::size_t gather = query.limit * 2;
    std::optional<float> bound;
    const auto cut = [&] {
        if (list.rows.size() > query.limit) {
            std::nth_element(list.rows.begin(),
                             list.rows.begin() + static_cast<std::ptrdiff_t>(query.limit),
                             list.rows.end(), worse);
            list.rows.resize(query.limit);
            // What is less conflicted than the last of these will not be listed.
            bound = std::max_element(list.rows.begin(), list.rows.end(), worse)->score;
        }
    };
    const auto visit = [&](Block block, std::size_t row, std::size_t column) {
        if (!h.blocks[blockIndex(block)] || !query.filter.acceptsCell(h, block, row, column)) {
            return;
        }
        const auto values = scores.pairs(block, row, column);
        if (values.empty()) {
            return;
        }
        for (std::size_t i = 0; i < h.nA(); ++i) {
            for (std::size_t j = 0; j < h.nB(); ++j) {
                const float v = values[i * h.nB() + j];
                if (std::isnan(v) || !match.accepts(i, j) ||
                    !query.filter.acceptsScore(static_cast<double>(v))) {
                    continue;
                }
                ++list.matches;
                if (bound && (low ? v > *bound : v < *bound)) {
                    continue;
                }
                list.rows.push_back(
                    {block, static_cast<std::uint16_t>(row), static_cast<std::uint16_t>(column),
                     static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(j), v});
            }
        }
        if (list.rows.size() > gather) {
            cut();
        }
    };
    if (query.cell) {
        visit(query.block, (*query.cell)[0], (*query.cell)[1]);
    } else {
        const std::size_t cells = 4 * h.layers.size() * h.heads.size();
        std::size_t done = 0;
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (std::size_t column = 0; column < h.heads.size(); ++column) {
                for (const Block block : allBlocks) {
                    if (progress) {
                        progress(static_cast<double>(done++) / static_cast<double>(cells));
                    }
                    if (h.distinct(block, column) && scores.computed(row)) {
                        visit(block, row, column);
                    }
                }
            }
        }
    }
    cut();
    sortRows(h, list.rows, query.sort, query.ascending);
    return list;
}

void sortRows(const engine::ScoreHeader& h, std::vector<ConflictRow>& rows,
              ConflictQuery::Sort sort, bool ascending) {
    using Sort = ConflictQuery::Sort;
    // Words are ranked once, so that a million rows compare integers.
    std::vector<std::uint32_t> rankA(h.nA());
    std::vector<std::uint32_t> rankB(h.nB());
    const auto rank = [](const std::vector<dump::SampleInfo>& samples, bool group,
                         std::vector<std::uint32_t>& out) {
        std::vector<std::size_t> order(samples.size());
        std::iota(order.begin(), order.end(), std::size_t(0));
        const auto key = [&](std::size_t s) -> const std::string& {
            return group ? samples[s].group : samples[s].id;
        };
        std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
            const auto& a = key(x);
            const auto& b = key(y);
            // "math-7" before "math-23"
            std::size_t i = 0;
            std::size_t j = 0;
            const auto digit = [](char c) { return c >= '0' && c <= '9'; };
            while (i < a.size() && j < b.size()) {
                if (digit(a[i]) && digit(b[j])) {
                    const std::size_t si = i;
                    const std::size_t sj = j;
                    while (i < a.size() && digit(a[i])) {
                        ++i;
                    }
                    while (j < b.size() && digit(b[j])) {
                        ++j;
                    }
                    if (i - si != j - sj) {
                        return i - si < j - sj;
                    }
                    const int c = a.compare(si, i - si, b, sj, j - sj);
                    if (c != 0) {
                        return c < 0;
                    }
                } else if (a[i] != b[j]) {
                    return a[i] < b[j];
                } else {
                    ++i;
                    ++j;
                }
            }
            return a.size() - i < b.size() - j;
        });
        std::uint32_t r = 0;
        for (std::size_t n = 0; n < order.size(); ++n) {
            if (n > 0 && key(order[n]) != key(order[n - 1])) {
                ++r;
            }
            out[order[n]] = r;
        }
    };
    if (sort == Sort::sampleA || sort == Sort::groupA) {
        rank(h.samplesA, sort == Sort::groupA, rankA);
    } else if (sort == Sort::sampleB || sort == Sort::groupB) {
        rank(h.samplesB, sort == Sort::groupB, rankB);
    }
    const auto key = [&](const ConflictRow& r) -> double {
        switch (sort) {
        case Sort::score:
            return static_cast<double>(r.score);
        case Sort::block:
            return static_cast<double>(blockIndex(r.block));
        case Sort::layer:
            return r.row;
        case Sort::head:
            return r.column;
        case Sort::sampleA:
        case Sort::groupA:
            return rankA[r.i];
        case Sort::sampleB:
        case Sort::groupB:
            return rankB[r.j];
        }
        return 0;
    };
    const bool low = results::lowIsConflict(h.request.variant);
    std::sort(rows.begin(), rows.end(), [&](const ConflictRow& x, const ConflictRow& y) {
        const double a = key(x);
        const double b = key(y);
        if (a != b) {
            return ascending ? a < b : a > b;
        }
        if (sort != Sort::score && x.score != y.score) {
            return low ? x.score < y.score : x.score > y.score;
        }
        return std::tie(x.row, x.column, x.i, x.j, x.block) <
               std::tie(y.row, y.column, y.i, y.j, y.block);
    });
}

} // namespace qkov::ui
