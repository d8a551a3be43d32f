// SPDX-License-Identifier: GPL-3.0-or-later
#include "Reference.h"

#include <algorithm>
#include <cmath>

namespace qkov::test {

using engine::FisherTask;
using engine::Mode;
using engine::Variant;

namespace {

std::vector<std::size_t> selected(const dump::TaskInfo& task, const std::vector<std::string>& ids,
                                  std::int64_t most) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; ids.empty() && i < task.samples.size(); ++i) {
        if (static_cast<std::int64_t>(i) < most) {
            out.push_back(i);
        }
    }
    for (const std::string& id : ids) {
        for (std::size_t i = 0; i < task.samples.size(); ++i) {
            if (task.samples[i].id == id) {
                out.push_back(i);
            }
        }
    }
    return out;
}

double mean(const std::vector<double>& v) {
    double sum = 0;
    for (const double x : v) {
        sum += x;
    }
    return sum / static_cast<double>(v.size());
}

bool allZero(const std::vector<double>& v) {
    return std::all_of(v.begin(), v.end(), [](double x) { return x == 0; });
}

} // namespace

Reference::Reference(const Case& c, Mode mode)
    : m_case(c)
    , m_model(c.source.dump.model)
    , m_mode(mode) {
    samplesA = selected(c.source.dump.tasks[0], c.request.samplesA, c.request.maxSamples);
    samplesB = selected(c.source.dump.tasks[1], c.request.samplesB, c.request.maxSamples);
}

std::vector<int> Reference::fisherTasks() const {
    switch (m_case.request.fisherTask) {
    case FisherTask::a:
        return {0};
    case FisherTask::b:
        return {1};
    case FisherTask::pooled:
        break;
    }
    return {0, 1};
}

bool Reference::canGroup(const Case& c) {
    if (!c.source.dump.headTypes.names.empty()) {
        return true;
    }
    for (const int t : Reference(c, Mode::structural).fisherTasks()) {
        if (!c.source.dump.tasks[static_cast<std::size_t>(t)].fisher.contains("behavioral")) {
            return false;
        }
    }
    return true;
}

std::vector<Reference::Place> Reference::places(Block block, std::int64_t layer,
                                                std::int64_t head) const {
    const std::int64_t kv = head / (m_model.numHeads / m_model.numKvHeads);
    const std::int64_t dk = m_model.headDim;
    const std::int64_t dv = m_model.vHeadDim;
    const std::int64_t width = block == Block::V || block == Block::O ? dv : dk;
    const std::int64_t own = block == Block::Q || block == Block::O ? head : kv;
    const std::string l = std::to_string(layer);
    std::string stem;
    std::int64_t first = 0; // along the head axis
    std::int64_t row = 0;
    bool columns = false;
    if (m_model.architecture == "gpt2") {
        stem = "transformer.h." + l + (block == Block::O ? ".attn.c_proj" : ".attn.c_attn");
        columns = block != Block::O;
        const std::int64_t q = m_model.numHeads * dk;
        row = block == Block::K ? 1 : block == Block::V ? 2 : 0;
        first = own * width + row * q;
    } else if (m_model.architecture == "gpt_neox") {
        stem = "gpt_neox.layers." + l +
               (block == Block::O ? ".attention.dense" : ".attention.query_key_value");
        columns = block == Block::O;
        row = block == Block::K ? 1 : block == Block::V ? 2 : 0;
        first = block == Block::O ? own * dv : own * 3 * dk + row * dk;
    } else {
        const char* names[] = {"q_proj", "k_proj", "v_proj", "o_proj"};
        stem = "model.layers." + l + ".self_attn." + names[blockIndex(block)];
        columns = block == Block::O;
        first = own * width;
    }
    std::vector<Place> out;
    const auto in = [&](int t, const std::string& name) {
        return m_case.source.parameters[static_cast<std::size_t>(t)].contains(name);
    };
    const std::string weight = stem + ".weight";
    if (!in(0, weight) || !in(1, weight)) {
        return out;
    }
    const auto both = [&](const std::string& name) {
        return std::array{&m_case.source.parameters[0].at(name),
                          &m_case.source.parameters[1].at(name)};
    };
    const StoredParameter& p = *both(weight)[0];
    const std::int64_t other = columns ? p.rows : p.columns;
    const std::array<const StoredParameter*, 2> stored = both(weight);
    for (std::int64_t k = first; k < first + width; ++k) {
        for (std::int64_t m = 0; m < other; ++m) {
            const std::int64_t index = columns ? m * p.columns + k : k * p.columns + m;
            out.push_back({weight, stored, static_cast<std::size_t>(index), row, width * other});
        }
    }
    const std::string bias = stem + ".bias";
    if (m_case.request.includeBias && block != Block::O && in(0, bias) && in(1, bias)) {
        for (std::int64_t k = first; k < first + width; ++k) {
            out.push_back({bias, both(bias), static_cast<std::size_t>(k), row, width});
        }
    }
    return out;
}

double Reference::gradient(int task, const Place& p, std::size_t sample) const {
    const StoredParameter& s = *p.numbers[static_cast<std::size_t>(task)];
    return s.rebuilt.at(sample * static_cast<std::size_t>(s.rows * s.columns) + p.index);
}

double Reference::contribution(int task, const Place& p, std::size_t sample) const {
    const StoredParameter& s = *p.numbers[static_cast<std::size_t>(task)];
    if (!s.contributions.values.empty()) {
        return s.contributions.values.at(sample * static_cast<std::size_t>(s.rows * s.columns) +
                                         p.index);
    }
    const double g = gradient(task, p, sample);
    return g * g;
}

double Reference::absolute(int task, const Place& p, std::size_t sample) const {
    const StoredParameter& s = *p.numbers[static_cast<std::size_t>(task)];
    if (!s.rebuilt.empty()) {
        return std::abs(gradient(task, p, sample));
    }
    const dump::TaskInfo& t = m_case.source.dump.tasks[static_cast<std::size_t>(task)];
    const double tokens =
        t.parameters.at(p.parameter).contributionsPerToken ? t.samples[sample].tokens : 1;
    return std::sqrt(contribution(task, p, sample) * tokens);
}

bool Reference::stored(int task, const std::string& set, const std::string& parameter) const {
    const auto& sets = m_case.source.dump.tasks[static_cast<std::size_t>(task)].fisher;
    const auto it = sets.find(set);
    if (it == sets.end() || !it->second.parameters.contains(parameter)) {
        return false;
    }
    return set != "structural" || !m_case.request.estimator ||
           engine::name(*m_case.request.estimator) == it->second.estimator;
}

double Reference::samplesBehind(int task, const std::string& set,
                                const std::string& parameter) const {
    if (stored(task, set, parameter)) {
        return static_cast<double>(
            m_case.source.dump.tasks[static_cast<std::size_t>(task)].fisher.at(set).samples);
    }
    return static_cast<double>(count(task));
}

double Reference::reduced(int task, const std::string& setName, const Place& p, Block block,
                          std::int64_t layer, std::int64_t head) const {
    const auto& set = m_case.source.dump.tasks[static_cast<std::size_t>(task)].fisher.at(setName);
    const auto& entry = set.parameters.at(p.parameter);
    const auto& values =
        m_case.source.fisher[static_cast<std::size_t>(task)].at(setName + "/" + p.parameter).values;
    const bool byType = entry.resolution == dump::Resolution::type;
    const bool kv = block == Block::K || block == Block::V;
    const std::int64_t own = kv ? head / (m_model.numHeads / m_model.numKvHeads) : head;
    const std::int64_t at =
        p.headRow * entry.shape.back() + (byType ? typeOf(block, layer, head) : own);
    double v = values.at(static_cast<std::size_t>(at));
    if (entry.reducedBySum) {
        std::int64_t slices = 1;
        if (byType) {
            slices = 0;
            for (const std::int64_t h : distinctHeads(block)) {
                slices += typeOf(block, layer, h) == typeOf(block, layer, head) ? 1 : 0;
            }
        }
        v /= static_cast<double>(p.partSize * slices);
    }
    return v;
}

std::vector<double> Reference::structural(const std::vector<Place>& where, std::int64_t head,
                                          Block block) const {
    std::vector<double> fisher;
    for (const Place& p : where) {
        double total = 0;
        double share = 0;
        for (const int t : fisherTasks()) {
            const double n = samplesBehind(t, "structural", p.parameter);
            double f = 0;
            if (stored(t, "structural", p.parameter)) {
                const auto& set =
                    m_case.source.dump.tasks[static_cast<std::size_t>(t)].fisher.at("structural");
                if (set.parameters.at(p.parameter).resolution == dump::Resolution::element) {
                    f = m_case.source.fisher[static_cast<std::size_t>(t)]
                            .at("structural/" + p.parameter)
                            .values.at(p.index);
                } else {
                    f = reduced(t, "structural", p, block, 0, head);
                }
            } else if (m_case.request.estimator == engine::Estimator::mean) {
                for (std::size_t s = 0; s < count(t); ++s) {
                    f += contribution(t, p, s);
                }
                f /= static_cast<double>(count(t));
            } else {
                const double beta = m_case.request.emaDecay;
                for (std::size_t s = 0; s < count(t); ++s) {
                    f = beta * f + (1 - beta) * contribution(t, p, s);
                }
                f /= 1 - std::pow(beta, static_cast<double>(count(t)));
            }
            total += n * f;
            share += n;
        }
        fisher.push_back(total / share);
    }
    return fisher;
}

int Reference::typeOf(Block block, std::int64_t layer, std::int64_t head) const {
    const auto& types = m_case.source.dump.headTypes;
    const auto at = [&](std::int64_t h) {
        return int(types.type.at(static_cast<std::size_t>(layer * m_model.numHeads + h)));
    };
    if (block == Block::Q || block == Block::O) {
        return at(head);
    }
    const std::int64_t per = m_model.numHeads / m_model.numKvHeads;
    const std::int64_t first = head / per * per;
    for (std::int64_t h = first; h < first + per; ++h) {
        if (at(h) != at(first)) {
            return 2; // "mixed"
        }
    }
    return at(first);
}

std::vector<std::int64_t> Reference::distinctHeads(Block block) const {
    const std::int64_t step =
        block == Block::K || block == Block::V ? m_model.numHeads / m_model.numKvHeads : 1;
    std::vector<std::int64_t> out;
    for (std::int64_t h = 0; h < m_model.numHeads; h += step) {
        out.push_back(h);
    }
    return out;
}

std::vector<double> Reference::behavioral(const std::vector<Place>& where, Block block,
                                          std::int64_t layer, std::int64_t head) const {
    bool all = true;
    for (const int t : fisherTasks()) {
        all = all && stored(t, "behavioral", where.front().parameter);
    }
    std::vector<double> out;
    if (all) {
        for (const Place& p : where) {
            double total = 0;
            double share = 0;
            for (const int t : fisherTasks()) {
                const auto& set =
                    m_case.source.dump.tasks[static_cast<std::size_t>(t)].fisher.at("behavioral");
                const double n = static_cast<double>(set.samples);
                const bool element =
                    set.parameters.at(p.parameter).resolution == dump::Resolution::element;
                total += n * (element ? m_case.source.fisher[static_cast<std::size_t>(t)]
                                            .at("behavioral/" + p.parameter)
                                            .values.at(p.index)
                                      : reduced(t, "behavioral", p, block, layer, head));
                share += n;
            }
            out.push_back(total / share);
        }
        return out;
    }
    double sum = 0;
    double parameters = 0;
    for (const std::int64_t h : distinctHeads(block)) {
        if (typeOf(block, layer, h) == typeOf(block, layer, head)) {
            for (const double f : structural(places(block, layer, h), h, block)) {
                sum += f;
                parameters += 1;
            }
        }
    }
    out.assign(where.size(), sum / parameters);
    return out;
}

ReferenceCell Reference::profile(const std::vector<Place>& where, bool allPairs) const {
    ReferenceCell cell;
    std::vector<std::pair<int, std::size_t>> rows, columns, pooled;
    for (const std::size_t s : samplesA) {
        pooled.emplace_back(0, s);
    }
    for (const std::size_t s : samplesB) {
        pooled.emplace_back(1, s);
    }
    rows = columns = pooled;
    if (!allPairs) {
        rows.resize(samplesA.size());
        columns.erase(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(rows.size()));
    }
    const auto shares = [&](const std::pair<int, std::size_t>& s, bool squared) {
        std::vector<double> v;
        double sum = 0;
        for (const Place& p : where) {
            v.push_back(squared ? contribution(s.first, p, s.second)
                                : absolute(s.first, p, s.second));
            sum += v.back();
        }
        for (double& x : v) {
            x = sum > 0 ? x / sum : std::nan("");
        }
        return v;
    };
    std::vector<double> d(where.size(), 0);
    double used = 0;
    for (const auto& s : pooled) {
        const auto x = shares(s, true);
        if (!std::isnan(x.front())) {
            used += 1;
            for (std::size_t k = 0; k < d.size(); ++k) {
                d[k] += x[k];
            }
        }
    }
    for (double& v : d) {
        v /= std::max(used, 1.0);
    }
    const double lambda = m_case.request.regularization.ridgeRelative * mean(d);
    cell.lambda = lambda;
    for (const auto& i : rows) {
        const auto x = shares(i, true);
        for (const auto& j : columns) {
            const auto y = shares(j, false);
            double sum = 0;
            for (std::size_t k = 0; k < d.size(); ++k) {
                sum += x[k] == 0 ? 0 : x[k] / (d[k] + lambda) * y[k];
            }
            cell.score.push_back(sum);
            cell.size.push_back(std::abs(sum));
        }
    }
    return cell;
}

ReferenceCell Reference::pooledProfile(Block block, std::int64_t layer, std::int64_t head) const {
    const auto where = places(block, layer, head);
    if (where.empty()) {
        ReferenceCell cell;
        cell.missing = true;
        return cell;
    }
    return profile(where, true);
}

ReferenceCell Reference::cell(Block block, std::int64_t layer, std::int64_t head) const {
    ReferenceCell cell;
    const engine::ScoreRequest& q = m_case.request;
    const auto where = places(block, layer, head);
    if (where.empty()) {
        cell.missing = true;
        return cell;
    }
    if (q.variant == Variant::profile) {
        return profile(where, false);
    }
    const engine::Regularization& reg = q.regularization;
    std::vector<std::vector<double>> fishers;
    if (m_mode != Mode::behavioral) {
        fishers.push_back(structural(where, head, block));
    }
    if (m_mode != Mode::structural) {
        fishers.push_back(behavioral(where, block, layer, head));
    }
    std::vector<double> d(where.size(), 1);
    bool degenerate = false;
    for (std::size_t f = 0; f < fishers.size(); ++f) {
        const double lambda = std::max(reg.ridge, reg.ridgeRelative * mean(fishers[f]));
        degenerate = degenerate || (allZero(fishers[f]) && lambda == 0);
        for (std::size_t k = 0; k < d.size(); ++k) {
            d[k] *= std::max(fishers[f][k], reg.epsilon) + lambda;
        }
        if (f == 0) {
            cell.lambda = lambda;
            auto sorted = fishers[0];
            std::sort(sorted.begin(), sorted.end());
            const std::size_t n = sorted.size();
            cell.fisherMin = sorted.front();
            cell.fisherMax = sorted.back();
            cell.fisherMedian = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
            cell.below = 0;
            for (const double v : sorted) {
                cell.below += v < std::max(reg.epsilon, lambda) ? 1.0 / double(n) : 0;
            }
        }
    }
    if (fishers.size() == 2) {
        for (double& v : d) {
            v = std::sqrt(v);
        }
    }
    bool anyContribution = false;
    for (const std::size_t i : samplesA) {
        for (const Place& p : where) {
            const bool signs = q.variant == Variant::signedProduct || q.variant == Variant::cosine;
            anyContribution =
                anyContribution || (signs ? gradient(0, p, i) : contribution(0, p, i)) != 0;
        }
    }
    if (degenerate && anyContribution) {
        cell.missing = true;
        return cell;
    }
    for (const std::size_t i : samplesA) {
        for (const std::size_t j : samplesB) {
            double sum = 0;
            double size = 0;
            double normI = 0;
            double normJ = 0;
            for (std::size_t k = 0; k < d.size() && !degenerate; ++k) {
                const Place& p = where[k];
                double term = 0;
                switch (q.variant) {
                case Variant::magnitude:
                    term = contribution(0, p, i) / d[k] * absolute(1, p, j);
                    break;
                case Variant::signedProduct:
                case Variant::cosine:
                    term = gradient(0, p, i) * gradient(1, p, j) / d[k];
                    normI += gradient(0, p, i) * gradient(0, p, i) / d[k];
                    normJ += gradient(1, p, j) * gradient(1, p, j) / d[k];
                    break;
                case Variant::symmetric:
                    term =
                        std::sqrt(contribution(0, p, i)) * std::sqrt(contribution(1, p, j)) / d[k];
                    break;
                case Variant::natural:
                    term = contribution(0, p, i) / d[k] * absolute(1, p, j) / std::sqrt(d[k]);
                    break;
                case Variant::profile:
                    break;
                }
                sum += term;
                size += std::abs(term);
            }
            double factor = 1;
            if (q.variant == Variant::cosine) {
                factor = normI > 0 && normJ > 0 ? 1 / std::sqrt(normI) / std::sqrt(normJ) : 0;
            } else {
                if (q.aggregate == engine::Aggregate::mean) {
                    factor /= static_cast<double>(d.size());
                }
                if (q.gradScale == engine::GradScale::perToken) {
                    factor /= m_case.source.dump.tasks[1].samples[j].tokens;
                }
            }
            cell.score.push_back(sum * factor);
            cell.size.push_back(size * factor);
        }
    }
    return cell;
}

} // namespace qkov::test
