// SPDX-License-Identifier: GPL-3.0-or-later
#include "RandomCase.h"

#include <algorithm>
#include <set>

namespace qkov::test {

namespace {

using engine::Variant;

struct Shape {
    std::string name;
    std::int64_t rows, columns;
    bool inOut;
    bool bias;
};

std::vector<Shape> shapesOf(const model::ModelShape& m, std::int64_t layer, bool biases) {
    const std::string l = std::to_string(layer);
    const std::int64_t q = m.numHeads * m.headDim;
    const std::int64_t k = m.numKvHeads * m.headDim;
    const std::int64_t v = m.numKvHeads * m.vHeadDim;
    const std::int64_t o = m.numHeads * m.vHeadDim;
    const std::int64_t d = m.hiddenDim;
    std::vector<Shape> out;
    const auto add = [&](const std::string& stem, std::int64_t dOut, std::int64_t dIn, bool inOut) {
        out.push_back({stem + ".weight", inOut ? dIn : dOut, inOut ? dOut : dIn, inOut, false});
        if (biases) {
            out.push_back({stem + ".bias", dOut, 1, false, true});
        }
    };
    if (m.architecture == "gpt2") {
        add("transformer.h." + l + ".attn.c_attn", q + k + v, d, true);
        add("transformer.h." + l + ".attn.c_proj", d, o, true);
    } else if (m.architecture == "gpt_neox") {
        add("gpt_neox.layers." + l + ".attention.query_key_value", q + k + v, d, false);
        add("gpt_neox.layers." + l + ".attention.dense", d, o, false);
    } else {
        const std::string p = "model.layers." + l + ".self_attn.";
        add(p + "q_proj", q, d, false);
        add(p + "k_proj", k, d, false);
        add(p + "v_proj", v, d, false);
        add(p + "o_proj", d, o, false);
    }
    return out;
}

DType pickType(Random& r, double scale, const CaseOptions& options) {
    if (options.writable) {
        return scale < 1e-6 || scale > 1e3 ? r.pick({DType::f32, DType::bf16})
                                           : r.pick({DType::f16, DType::bf16, DType::f32});
    }
    // float16 can't hold the extreme scales.
    if (scale < 1e-6 || scale > 1e3) {
        return r.pick({DType::f32, DType::f64, DType::bf16});
    }
    return r.pick({DType::f16, DType::bf16, DType::f32, DType::f64});
}

void fillParameter(Random& r, Case& c, std::size_t t, const Shape& shape,
                   const CaseOptions& options, double scale, bool signs, bool ridge) {
    dump::TaskInfo& task = c.source.dump.tasks[t];
    const auto n = task.samples.size();
    const auto size = static_cast<std::size_t>(shape.rows * shape.columns);
    StoredParameter p;
    p.rows = shape.rows;
    p.columns = shape.columns;
    dump::ParameterEntry entry;
    entry.name = shape.name;
    entry.shape = shape.bias ? std::vector<std::int64_t>{shape.rows}
                             : std::vector<std::int64_t>{shape.rows, shape.columns};
    entry.inOut = shape.inOut;
    const int kind = options.onlyDense ? 0 : r.below(shape.bias ? 3 : 5);
    const DType type = pickType(r, scale, options);
    if (kind >= 3) { // factored
        entry.storage = dump::Storage::factored;
        const std::int64_t dIn = shape.inOut ? shape.rows : shape.columns;
        const std::int64_t dOut = shape.inOut ? shape.columns : shape.rows;
        std::vector<double> input, output;
        for (std::size_t s = 0; s < n; ++s) {
            // Without a ridge, a sum of tokens that cancels is divided by its own square: then its
            // float32 rounding shows.
            p.lengths.push_back(ridge ? 1 + r.below(4) : 1);
            entry.maxTokens = std::max<std::int64_t>(entry.maxTokens, p.lengths.back());
            for (std::int64_t k = 0; k < p.lengths.back() * dIn; ++k) {
                input.push_back(r.normal());
            }
            for (std::int64_t k = 0; k < p.lengths.back() * dOut; ++k) {
                output.push_back(r.chance(0.2) ? 0 : r.normal() * scale);
            }
        }
        if (options.writable) {
            p.input.assign(DType::f32, input);
            p.gradOutput.assign(DType::f32, output);
        } else {
            p.input.assign(r.pick({DType::f16, DType::f32, DType::f64}), input);
            p.gradOutput.assign(type, output);
        }
        entry.dtype = p.input.dtype;
        entry.gradOutputDtype = p.gradOutput.dtype;
        p.rebuilt.assign(n * size, 0);
        std::size_t token = 0;
        for (std::size_t s = 0; s < n; ++s) {
            for (std::int32_t u = 0; u < p.lengths[s]; ++u, ++token) {
                for (std::size_t k = 0; k < size; ++k) {
                    const std::size_t row = k / static_cast<std::size_t>(shape.columns);
                    const std::size_t column = k % static_cast<std::size_t>(shape.columns);
                    const std::size_t in = shape.inOut ? row : column;
                    const std::size_t out = shape.inOut ? column : row;
                    p.rebuilt[s * size + k] +=
                        p.input.values[token * static_cast<std::size_t>(dIn) + in] *
                        p.gradOutput.values[token * static_cast<std::size_t>(dOut) + out];
                }
            }
        }
    } else {
        std::vector<double> g(n * size);
        const double zeros = r.pick({0.0, 0.3, 0.9});
        for (std::size_t s = 0; s < n; ++s) {
            const double own = std::exp(r.normal());
            for (std::size_t k = 0; k < size; ++k) {
                g[s * size + k] = r.chance(zeros) ? 0 : r.normal() * scale * own;
            }
        }
        if (r.chance(0.1)) { // a dead parameter
            std::fill(g.begin(), g.end(), 0.0);
        }
        const bool alone = kind == 2 && signs;
        p.gradients.assign(type, g);
        if (kind >= 1) {
            std::vector<double> contributions(n * size);
            entry.contributionsPerToken = r.chance(0.5);
            for (std::size_t k = 0; k < contributions.size(); ++k) {
                const double tokens = task.samples[k / size].tokens;
                contributions[k] = g[k] * g[k] * std::exp(0.1 * r.normal()) /
                                   (entry.contributionsPerToken ? tokens : 1);
            }
            p.contributions.assign(pickType(r, scale * scale, options), contributions);
            entry.storedContributions = true;
            entry.contributionsDtype = p.contributions.dtype;
        }
        if (alone) {
            p.gradients = {};
            entry.storage = dump::Storage::contributions;
            entry.dtype = p.contributions.dtype;
        } else {
            entry.dtype = type;
            p.rebuilt = p.gradients.values;
        }
    }
    task.parameters[shape.name] = entry;
    c.source.parameters[t][shape.name] = std::move(p);
}

/// Values per head of each block fused into the matrix, or per type; NaN where there is none.
std::vector<double> reducedValues(Random& r, std::int64_t rows, std::int64_t width, double scale,
                                  const std::vector<std::int64_t>& used) {
    std::vector<double> v(static_cast<std::size_t>(rows * width), std::nan(""));
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t k = 0; k < used[static_cast<std::size_t>(row)]; ++k) {
            v[static_cast<std::size_t>(row * width + k)] = scale * scale * std::exp(r.normal());
        }
    }
    return v;
}

void fillFisher(Random& r, Case& c, std::size_t t, const std::vector<Shape>& shapes,
                const std::string& setName, double scale) {
    dump::TaskInfo& task = c.source.dump.tasks[t];
    const model::ModelShape& m = c.source.dump.model;
    dump::FisherSet set;
    set.name = setName;
    set.estimator = r.pick({"ema", "mean"});
    set.samples = 1 + r.below(20);
    const int resolution = setName == "structural" ? r.below(2) : r.below(3);
    const bool sum = r.chance(0.5);
    for (const Shape& shape : shapes) {
        if (!task.parameters.contains(shape.name)) {
            continue;
        }
        dump::FisherEntry entry;
        entry.parameter = shape.name;
        StoredFisher stored;
        const auto types = static_cast<std::int64_t>(c.source.dump.headTypes.names.size());
        const bool byType = resolution == 2 && types > 0;
        if (resolution == 0 || (resolution == 2 && types == 0)) {
            entry.shape = {shape.rows, shape.columns};
            for (std::int64_t k = 0; k < shape.rows * shape.columns; ++k) {
                stored.values.push_back(r.chance(0.2) ? 0
                                                      : scale * scale * std::exp(2 * r.normal()));
            }
        } else {
            const bool fused = shape.name.find("c_attn") != std::string::npos ||
                               shape.name.find("query_key_value") != std::string::npos;
            const bool kv = shape.name.find("k_proj") != std::string::npos ||
                            shape.name.find("v_proj") != std::string::npos;
            const std::int64_t rows = fused ? 3 : 1;
            const std::int64_t width = byType ? types : kv ? m.numKvHeads : m.numHeads;
            std::vector<std::int64_t> used(3, width);
            if (fused && !byType) {
                used = {m.numHeads, m.numKvHeads, m.numKvHeads};
            }
            entry.resolution = byType ? dump::Resolution::type : dump::Resolution::head;
            entry.reducedBySum = sum;
            entry.shape =
                fused ? std::vector<std::int64_t>{rows, width} : std::vector<std::int64_t>{width};
            stored.values = reducedValues(r, rows, width, scale, used);
        }
        set.parameters[shape.name] = entry;
        c.source.fisher[t][setName + "/" + shape.name] = std::move(stored);
    }
    task.fisher[setName] = set;
}

} // namespace

std::unique_ptr<Case> randomCase(unsigned seed, const CaseOptions& options) {
    Random r(seed);
    auto c = std::make_unique<Case>();
    model::ModelShape& m = c->source.dump.model;
    m.architecture = r.pick({"gpt2", "gpt_neox", "llama"});
    m.name = "random";
    m.numLayers = 1 + r.below(2);
    m.numHeads = r.pick({1, 2, 3, 4, 6});
    m.headDim = r.pick({1, 2, 3, 5, 8});
    m.numKvHeads = m.numHeads;
    m.vHeadDim = m.headDim;
    if (m.architecture == "llama") {
        m.numKvHeads = m.numHeads % 2 == 0 && r.chance(0.6) ? m.numHeads / 2
                       : r.chance(0.3)                      ? 1
                                                            : m.numHeads;
        m.vHeadDim = r.pick({1, 3, 4});
    }
    m.hiddenDim = m.architecture == "llama" ? r.pick({1, 3, 7, 16, 33}) : m.numHeads * m.headDim;
    m.configJson = "{}";
    engine::ScoreRequest& q = c->request;
    q.exactBelow = 0; // the way that large requests go
    q.variant = r.pick({Variant::magnitude, Variant::signedProduct, Variant::symmetric,
                        Variant::natural, Variant::cosine, Variant::profile});
    const bool signs = q.variant != Variant::signedProduct && q.variant != Variant::cosine;
    const double scale =
        options.scale > 0 ? options.scale : r.pick({1.0, 1.0, 1e-3, 1e-5, 1e-18, 1e8});
    const bool biases = r.chance(0.5);
    q.includeBias = r.chance(0.5);

    const int regularization = r.below(4);
    if (regularization == 1) {
        q.regularization = engine::Regularization::original();
    } else if (regularization == 2) {
        q.regularization.ridgeRelative = 0;
    } else if (regularization == 3) {
        q.regularization = {1e-12, 1e-3 * scale * scale, 0.1};
    }

    c->source.parameters.resize(2);
    c->source.fisher.resize(2);
    std::vector<Shape> all;
    std::set<std::string> names;
    for (std::int64_t l = 0; l < m.numLayers; ++l) {
        for (const Shape& s : shapesOf(m, l, biases)) {
            all.push_back(s);
        }
    }
    for (std::size_t t = 0; t < 2; ++t) {
        dump::TaskInfo task;
        task.name = t == 0 ? "arithmetic" : "code";
        task.lossReduction = r.pick({"mean", "sum"});
        const int n =
            options.fixedSamples > 0 ? options.fixedSamples : r.pick({1, 2, 3, 5, 7, 11, 18});
        for (int i = 0; i < n; ++i) {
            dump::SampleInfo s;
            s.id = task.name + std::to_string(i);
            s.tokens = 1 + r.below(9);
            task.samples.push_back(s);
        }
        c->source.dump.tasks.push_back(task);
    }
    if (options.headTypes && r.chance(0.75)) {
        auto& types = c->source.dump.headTypes;
        types.names = {"induction", "previous_token", "mixed"};
        for (std::int64_t k = 0; k < m.numLayers * m.numHeads; ++k) {
            types.type.push_back(static_cast<std::uint8_t>(r.below(3)));
        }
    }
    for (std::size_t t = 0; t < 2; ++t) {
        for (const Shape& s : all) {
            if (!s.bias && r.chance(0.04)) {
                continue; // a task may miss a parameter
            }
            fillParameter(r, *c, t, s, options, scale, signs,
                          regularization == 0 || regularization == 3);
            names.insert(s.name);
        }
    }
    for (const char* set : {"structural", "behavioral"}) {
        if (r.chance(0.3)) {
            const bool both = r.chance(0.8);
            for (std::size_t t = 0; t < (both ? 2u : 1u); ++t) {
                fillFisher(r, *c, t, all, set, scale);
            }
        }
    }
    // Named by what is there; a name that no task has would not be in a dump.
    c->source.heads = std::make_unique<model::HeadLayout>(
        m, std::vector<std::string>(names.begin(), names.end()));

    q.taskA = "arithmetic";
    q.taskB = "code";
    q.fisherTask = r.pick({engine::FisherTask::pooled, engine::FisherTask::pooled,
                           engine::FisherTask::a, engine::FisherTask::b});
    if (r.chance(0.5)) {
        q.estimator = r.pick({engine::Estimator::ema, engine::Estimator::mean});
    }
    q.emaDecay = r.pick({0.99, 0.5, 0.0});
    q.aggregate = r.pick({engine::Aggregate::sum, engine::Aggregate::mean});
    q.gradScale = r.pick({engine::GradScale::none, engine::GradScale::perToken});
    q.threads = 1 + r.below(3);
    // Sometimes so little that slices are read in many tiles.
    const auto n0 = static_cast<std::int64_t>(c->source.dump.tasks[0].samples.size());
    const auto n1 = static_cast<std::int64_t>(c->source.dump.tasks[1].samples.size());
    const std::int64_t results = (n0 + n1) * (n0 + n1) * m.numLayers * m.numHeads * 48;
    q.memoryBudget = r.pick({results + 4000, results + 100000, std::int64_t(2) << 30});
    q.device = "cpu";
    if (r.chance(0.3)) {
        q.heads = {r.below(static_cast<int>(m.numHeads))};
        if (m.numHeads > 2) {
            q.heads.push_back(m.numHeads - 1);
        }
    }
    if (r.chance(0.2)) {
        q.layers = {m.numLayers - 1};
    }
    if (r.chance(0.2)) {
        q.blocks = {Block::K, Block::O};
    }
    q.maxSamples = r.chance(0.3) ? 3 : 100;
    if (r.chance(0.2)) {
        const auto& samples = c->source.dump.tasks[1].samples;
        q.samplesB = {samples.back().id};
        if (samples.size() > 1) {
            q.samplesB.push_back(samples.front().id);
        }
    }
    c->text = "seed " + std::to_string(seed) + " " + m.architecture + " " +
              engine::name(q.variant) + " fisher " + engine::name(q.fisherTask) + " scale " +
              std::to_string(std::log10(scale));
    return c;
}

} // namespace qkov::test
