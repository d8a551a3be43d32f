// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/collect/GoldenCase.h"

#include "collect/BatchCapture.h"
#include "collect/DeviceStore.h"
#include "collect/HeadScores.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

namespace qkov::test {
namespace {

using namespace collect;

struct Reference {
    std::vector<std::int64_t> shape;
    std::vector<double> values;
};

std::map<std::string, Reference> readReference(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::uint64_t length = 0;
    in.read(reinterpret_cast<char*>(&length), 8);
    std::string header(length, ' ');
    in.read(header.data(), static_cast<std::streamsize>(length));
    std::map<std::string, Reference> result;
    const auto json = nlohmann::json::parse(header);
    for (const auto& [name, entry] : json.items()) {
        Reference r;
        r.shape = entry["shape"].get<std::vector<std::int64_t>>();
        const auto offsets = entry["data_offsets"].get<std::vector<std::uint64_t>>();
        r.values.resize((offsets[1] - offsets[0]) / 8);
        in.seekg(static_cast<std::streamoff>(8 + length + offsets[0]));
        in.read(reinterpret_cast<char*>(r.values.data()),
                static_cast<std::streamsize>(offsets[1] - offsets[0]));
        result[name] = std::move(r);
    }
    if (!in) {
        throw std::runtime_error("can't read " + file.string());
    }
    return result;
}

struct Loaded {
    model::Checkpoint checkpoint;
    std::vector<Sample> samples;
    std::vector<const Sample*> all;
    Decoder decoder;

    Loaded(const std::filesystem::path& folder, at::ScalarType compute)
        : checkpoint(model::Checkpoint::open(folder))
        , decoder(spec(checkpoint, folder), checkpoint, compute, at::kCPU) {
        SampleRules rules;
        rules.vocabulary = decoder.spec().vocabulary;
        rules.maxTokens = decoder.spec().maxPositions;
        samples = readSamples(folder / "samples.jsonl", rules);
        for (const Sample& s : samples) {
            all.push_back(&s);
        }
    }

    static DecoderSpec spec(const model::Checkpoint& checkpoint,
                            const std::filesystem::path& folder) {
        std::vector<std::string> names;
        for (const auto& [name, entry] : checkpoint.tensors()) {
            names.push_back(name);
        }
        return decoderSpec(checkpoint.shape(), folder / "config.json", names);
    }
};

double largestOf(const at::Tensor& tensor) {
    return tensor.abs().max().item<double>();
}

void compare(Difference& difference, const double* value, const double* reference, std::size_t n,
             const std::string& where, double largest = 0) {
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
        largest = std::max(largest, std::abs(reference[i]));
        const double d = std::abs(value[i] - reference[i]);
        worst = d > worst || std::isnan(d) ? d : worst;
    }
    ++difference.compared;
    const double relative = largest > 0 ? worst / largest : worst;
    if (!(relative <= difference.worst)) {
        difference.worst = relative;
        difference.where = where;
    }
}

void compare(Difference& difference, const at::Tensor& value, const at::Tensor& reference,
             const std::string& where) {
    const at::Tensor v = value.to(at::kDouble).contiguous();
    const at::Tensor r = reference.to(at::kDouble).contiguous();
    if (v.sizes() != r.sizes()) {
        throw std::runtime_error("shapes differ: " + where);
    }
    compare(difference, v.data_ptr<double>(), r.data_ptr<double>(),
            static_cast<std::size_t>(v.numel()), where);
}

} // namespace

CaseResult compareWithReference(const std::filesystem::path& folder, bool computeDouble) {
    const Loaded m(folder, computeDouble ? at::kDouble : at::kFloat);
    auto reference = readReference(folder / "expected.safetensors");
    const BatchCapture capture = captureBatch(m.decoder, m.all, LossReduction::mean, {});
    CaseResult result;
    const std::size_t n = m.samples.size();
    compare(result.losses, capture.losses.data(), reference["losses"].values.data(), n, "losses");
    reference.erase("losses");

    for (const ProjectionFactors& f : capture.projections) {
        const auto it = reference.find(f.linear->parameter);
        if (it == reference.end()) {
            result.unmatched.push_back(f.linear->parameter + " (no reference)");
            continue;
        }
        const at::Tensor dense = denseGradients(f).to(at::kDouble).contiguous();
        if (dense.sizes().vec() != it->second.shape) {
            result.unmatched.push_back(f.linear->parameter + " (shape)");
            continue;
        }
        const std::size_t size = it->second.values.size() / n;
        for (std::size_t b = 0; b < n; ++b) {
            compare(result.gradients, dense.data_ptr<double>() + b * size,
                    it->second.values.data() + b * size, size,
                    f.linear->parameter + " of sample " + std::to_string(b));
        }
        reference.erase(it);
        // The bias gradient is the sum of gradOutput over the sample's tokens.
        const auto bias = reference.find(f.linear->biasParameter);
        if (!f.linear->biasParameter.empty() && bias != reference.end()) {
            // Measured against the weight's gradient: where scores are q·k alone, that of the k
            // bias is exactly zero (softmax ignores it), and all that is left is rounding.
            const at::Tensor sum = f.gradOutput.sum(1).to(at::kDouble).contiguous();
            compare(result.gradients, sum.data_ptr<double>(), bias->second.values.data(),
                    bias->second.values.size(), bias->first, largestOf(dense));
            reference.erase(bias);
        }
    }

    // Attention weights of the first sample alone.
    const Sample* first = m.all.front();
    const auto tokens = static_cast<std::int64_t>(first->ids.size());
    const Decoder::Context context = m.decoder.context({tokens}, tokens);
    std::vector<at::Tensor> patterns;
    Observers observers;
    observers.pattern = [&](std::int64_t, const at::Tensor& w) { patterns.push_back(w); };
    at::Tensor hidden = m.decoder.embed(
        at::tensor(first->ids, at::TensorOptions(at::kInt)).to(at::kLong).unsqueeze(0));
    for (std::int64_t l = 0; l < m.decoder.spec().layers; ++l) {
        hidden = m.decoder.layer(l, hidden, context, observers);
    }
    const at::Tensor all = at::cat(patterns).to(at::kDouble).contiguous();
    compare(result.attentions, all.data_ptr<double>(), reference["attentions"].values.data(),
            static_cast<std::size_t>(all.numel()), "attentions");
    reference.erase("attentions");
    for (const auto& [name, tensor] : reference) {
        result.unmatched.push_back(name + " (not captured)");
    }
    return result;
}

Difference batchedAgainstSingle(const std::filesystem::path& folder) {
    const Loaded m(folder, at::kDouble);
    Difference difference;
    const BatchCapture batch = captureBatch(m.decoder, m.all, LossReduction::mean, {});
    for (std::size_t b = 0; b < m.all.size(); ++b) {
        const Sample* one = m.all[b];
        const BatchCapture single = captureBatch(m.decoder, {&one, 1}, LossReduction::mean, {});
        compare(difference, &batch.losses[b], single.losses.data(), 1, "loss");
        const auto length = static_cast<std::int64_t>(one->ids.size());
        for (std::size_t p = 0; p < batch.projections.size(); ++p) {
            const auto& x = batch.projections[p];
            const auto& y = single.projections[p];
            const auto sample = static_cast<std::int64_t>(b);
            compare(difference, denseGradients(x)[sample], denseGradients(y)[0],
                    x.linear->parameter);
            compare(difference, x.input[sample].slice(0, 0, length), y.input[0], "input");
            compare(difference, x.gradOutput[sample].slice(0, 0, length), y.gradOutput[0],
                    x.linear->parameter + " output");
            // Padding contributes exactly nothing.
            const at::Tensor behind = x.gradOutput[sample].slice(0, length);
            compare(difference, behind, at::zeros_like(behind), "padding");
        }
    }
    return difference;
}

Difference sumAgainstMean(const std::filesystem::path& folder) {
    const Loaded m(folder, at::kDouble);
    Difference difference;
    const BatchCapture mean = captureBatch(m.decoder, m.all, LossReduction::mean, {});
    const BatchCapture sum = captureBatch(m.decoder, m.all, LossReduction::sum, {});
    const auto only = batchLosses(m.decoder, m.all, LossReduction::sum, {});
    for (std::size_t b = 0; b < m.all.size(); ++b) {
        const double scaled = mean.losses[b] * m.all[b]->predicted;
        compare(difference, &sum.losses[b], &scaled, 1, "loss");
        compare(difference, &only[b], &scaled, 1, "loss without gradients");
        for (std::size_t p = 0; p < mean.projections.size(); ++p) {
            const auto sample = static_cast<std::int64_t>(b);
            compare(difference, sum.projections[p].gradOutput[sample],
                    mean.projections[p].gradOutput[sample] * m.all[b]->predicted,
                    mean.projections[p].linear->parameter);
        }
    }
    return difference;
}

std::vector<float> headScores(const std::filesystem::path& folder,
                              const std::filesystem::path& file, bool computeDouble) {
    const auto checkpoint = model::Checkpoint::open(folder);
    const Decoder decoder(Loaded::spec(checkpoint, folder), checkpoint,
                          computeDouble ? at::kDouble : at::kFloat, at::kCPU);
    Job job;
    return computeHeadTypes(decoder, readProbe(file, decoder.spec().vocabulary, 0), job).scores;
}

bool cancelStops(const std::filesystem::path& folder, bool inBackward) {
    const Loaded m(folder, at::kFloat);
    const CancelToken token;
    try {
        if (!inBackward) {
            token.cancel();
            captureBatch(m.decoder, m.all, LossReduction::mean, token);
            return false;
        }
        const c10::AutoGradMode gradients(true);
        // The same hooks as a capture's, cancelled between the passes.
        Observers observers;
        observers.projection = [&](std::int64_t, Slot, const Linear&, const at::Tensor&,
                                   const at::Tensor& y) {
            y.register_hook([&token](const at::Tensor&) {
                if (token.cancelled()) {
                    throw Cancelled();
                }
            });
        };
        const Decoder::Context context = m.decoder.context({4}, 4);
        at::Tensor hidden =
            m.decoder.embed(at::zeros({1, 4}, at::TensorOptions(at::kLong))).requires_grad_(true);
        hidden = m.decoder.layer(0, hidden, context, observers);
        token.cancel();
        hidden.sum().backward();
        return false;
    } catch (const Cancelled&) {
        return true;
    }
}

int storedOtherwise(const std::filesystem::path& folder, bool half) {
    const Loaded m(folder, at::kFloat);
    CollectRequest request;
    request.storage = half ? DType::f16 : DType::f32;
    CollectPlan plan;
    for (std::int64_t l = 0; l < m.decoder.spec().layers; ++l) {
        for (const auto& [slot, linear] : m.decoder.projections(l)) {
            plan.parameters.push_back({linear->parameter, linear->biasParameter, l, linear->inOut,
                                       linear->in(), linear->out()});
        }
    }
    PlannedTask& task = plan.tasks.emplace_back();
    task.name = "task";
    task.samples = m.samples;
    const std::size_t cut = (task.samples.size() + 1) / 2;
    for (std::size_t i = 0; i < task.samples.size(); ++i) {
        if (i % cut == 0) {
            task.batches.emplace_back();
        }
        task.batches.back().push_back(task.samples.size() - 1 - i);
    }
    DeviceStore store(plan, request, at::kCPU);
    const std::size_t number = dtypeSize(request.storage);
    int different = 0, compared = 0;
    std::int64_t row = 0;
    for (std::size_t k = 0; k < task.batches.size(); ++k) {
        std::vector<const Sample*> samples;
        for (const std::size_t i : task.batches[k]) {
            samples.push_back(&task.samples[i]);
        }
        const BatchCapture capture = captureBatch(m.decoder, samples, LossReduction::mean, {});
        RoundingLoss packedLoss, storedLoss;
        const Payload packed =
            fetch(packBatch(plan, request, task, task.batches[k], capture, packedLoss));
        const Payload biases = store.put(0, k, capture, storedLoss);
        different += packedLoss.written != storedLoss.written;
        different += packedLoss.zeroed != storedLoss.zeroed;
        const PayloadLayout layout(plan, request, task, task.batches[k]);
        const PayloadLayout biasLayout(plan, request, task, task.batches[k], false);
        for (std::size_t b = 0; b < samples.size(); ++b) {
            const auto rows = static_cast<std::int64_t>(samples[b]->ids.size());
            for (std::size_t p = 0; p < plan.parameters.size(); ++p) {
                const RecordedParameter& r = plan.parameters[p];
                std::vector<std::byte> own(static_cast<std::size_t>(rows * (r.dIn + r.dOut)) *
                                           number);
                store.read(0, p, row, rows, own.data(),
                           own.data() + static_cast<std::size_t>(rows * r.dIn) * number);
                different +=
                    std::memcmp(own.data(), packed.data() + layout.offset(p, b), own.size()) != 0;
                if (!r.bias.empty()) {
                    different += std::memcmp(biases.data() + biasLayout.biasOffset(p, b),
                                             packed.data() + layout.biasOffset(p, b),
                                             static_cast<std::size_t>(r.dOut) * sizeof(float)) != 0;
                }
                ++compared;
            }
            row += rows;
        }
    }
    return compared > 0 ? different : -1;
}

} // namespace qkov::test
