// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/BatchCapture.h"

#include "collect/MemoryPlan.h"

#include <algorithm>
#include <cstring>

namespace qkov::collect {
namespace {

struct PaddedBatch {
    at::Tensor ids; ///< int64 [B, T] on the device
    std::vector<std::int64_t> lengths;
    std::int64_t tokens = 0;
    // Predicted positions: row b·T + t predicts `target`, and weighs `weight` in sample b's loss.
    std::vector<std::int64_t> row, target, sample;
    std::vector<double> weight;
    at::Tensor rows, targets, weights; ///< the same on the device, weights in the compute type
};

at::Tensor deviceTensor(const std::vector<std::int64_t>& values, at::Device device) {
    return at::tensor(values, at::TensorOptions(at::kLong)).to(device);
}

PaddedBatch pad(std::span<const Sample* const> samples, LossReduction reduction,
                const Decoder& decoder) {
    const at::Device device = decoder.device();
    PaddedBatch batch;
    for (const Sample* s : samples) {
        batch.lengths.push_back(static_cast<std::int64_t>(s->ids.size()));
    }
    batch.tokens = *std::max_element(batch.lengths.begin(), batch.lengths.end());
    const auto B = static_cast<std::int64_t>(samples.size());
    at::Tensor ids = at::zeros({B, batch.tokens}, at::TensorOptions(at::kLong));
    auto* target = ids.data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < B; ++b) {
        const Sample& s = *samples[static_cast<std::size_t>(b)];
        std::copy(s.ids.begin(), s.ids.end(), target + b * batch.tokens);
        const double weight =
            reduction == LossReduction::mean ? 1.0 / static_cast<double>(s.predicted) : 1.0;
        for (std::size_t t = 1; t < s.labels.size(); ++t) {
            if (s.labels[t] != ignoredLabel) {
                batch.row.push_back(b * batch.tokens + static_cast<std::int64_t>(t) - 1);
                batch.target.push_back(s.labels[t]);
                batch.sample.push_back(b);
                batch.weight.push_back(weight);
            }
        }
    }
    // Now, not when they are needed: a copy to a GPU waits until it has nothing else to do.
    batch.ids = ids.to(device);
    batch.rows = deviceTensor(batch.row, device);
    batch.targets = deviceTensor(batch.target, device);
    batch.weights =
        at::tensor(batch.weight, at::TensorOptions(at::kDouble)).to(decoder.compute()).to(device);
    return batch;
}

/// Cross entropy of `output` [B, T, E] and, if wanted, its gradient with respect to output. Written
/// out by hand, chunk by chunk, instead of recorded: logits are the largest tensor there is.
struct HeadResult {
    std::vector<at::Tensor> terms; ///< −log p of the predicted positions, on the device
    at::Tensor gradient;
};

/// Each sample's loss. Waits for the device: a backward pass should be under way by then.
std::vector<double> sampleLosses(const HeadResult& head, const PaddedBatch& batch) {
    std::vector<double> losses(batch.lengths.size(), 0.0);
    if (head.terms.empty()) {
        return losses;
    }
    const at::Tensor terms = at::cat(head.terms).to(at::kCPU, at::kDouble).contiguous();
    const auto* values = terms.data_ptr<double>();
    for (std::size_t i = 0; i < batch.row.size(); ++i) {
        losses[static_cast<std::size_t>(batch.sample[i])] += values[i] * batch.weight[i];
    }
    return losses;
}

HeadResult headLoss(const Decoder& decoder, const at::Tensor& output, const PaddedBatch& batch,
                    bool wantGradient, const CancelToken& token) {
    const c10::NoGradGuard noGrad;
    const DecoderSpec& spec = decoder.spec();
    HeadResult result;
    const std::int64_t width = output.size(-1);
    const at::Tensor rows = output.reshape({-1, width});
    if (wantGradient) {
        result.gradient = at::zeros_like(rows);
    }
    const auto count = static_cast<std::int64_t>(batch.row.size());
    const std::int64_t chunk =
        std::max<std::int64_t>(1, logitsAtOnce(decoder.device().is_cuda()) / spec.vocabulary);
    for (std::int64_t begin = 0; begin < count; begin += chunk) {
        if (token.cancelled()) {
            throw Cancelled();
        }
        const std::int64_t end = std::min(count, begin + chunk);
        const at::Tensor index = batch.rows.slice(0, begin, end);
        const at::Tensor target = batch.targets.slice(0, begin, end).unsqueeze(1);
        at::Tensor logits = decoder.rawLogits(rows.index_select(0, index));
        at::Tensor factors = batch.weights.slice(0, begin, end);
        if (spec.logitScale != 1) {
            factors = factors * spec.logitScale;
        }
        const at::Tensor fused = fusedCrossEntropy(logits, target, spec.logitScale,
                                                   std::max(0.0, spec.logitSoftcap), wantGradient);
        if (fused.defined()) {
            result.terms.push_back(fused);
            if (wantGradient) {
                result.gradient.index_copy_(0, index,
                                            decoder.headBackward(std::move(logits), factors));
            }
            continue;
        }
        if (spec.logitScale != 1) {
            logits.mul_(spec.logitScale);
        }
        at::Tensor capped;
        if (spec.logitSoftcap > 0) {
            capped = at::tanh(logits / spec.logitSoftcap);
            logits = capped * spec.logitSoftcap;
        }
        at::Tensor logp = at::log_softmax(logits, -1);
        result.terms.push_back(logp.gather(1, target).squeeze(1).neg());
        if (!wantGradient) {
            continue;
        }
        // d nll / d logits = softmax − onehot
        at::Tensor grad = logp.exp_();
        grad.scatter_add_(1, target, at::full_like(target, -1, grad.options()));
        if (capped.defined()) {
            grad.mul_(1 - capped * capped);
        }
        result.gradient.index_copy_(0, index, decoder.headBackward(std::move(grad), factors));
    }
    if (wantGradient) {
        result.gradient = result.gradient.view(output.sizes());
    }
    return result;
}

} // namespace

BatchCapture captureBatch(const Decoder& decoder, std::span<const Sample* const> samples,
                          LossReduction reduction, const CancelToken& token) {
    const c10::AutoGradMode gradients(true);
    const PaddedBatch batch = pad(samples, reduction, decoder);
    BatchCapture result;
    // Hooks write into the slots of this vector; it must not move while they live.
    std::size_t total = 0;
    for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
        total += decoder.projections(l).size();
    }
    result.projections.reserve(total);

    Observers observers;
    observers.poll = [&token] {
        if (token.cancelled()) {
            throw Cancelled();
        }
    };
    observers.projection = [&](std::int64_t layer, Slot slot, const Linear& linear,
                               const at::Tensor& x, const at::Tensor& y) {
        ProjectionFactors& f = result.projections.emplace_back();
        f.layer = layer;
        f.slot = slot;
        f.linear = &linear;
        f.input = x.detach();
        y.register_hook([&f, &token](const at::Tensor& gradient) {
            if (token.cancelled()) {
                throw Cancelled();
            }
            f.gradOutput = gradient.detach();
        });
    };

    const Decoder::Context context = decoder.context(batch.lengths, batch.tokens);
    // Below the first projections nothing is wanted: gradients begin at their outputs.
    at::Tensor hidden = decoder.embed(batch.ids).detach();
    for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
        hidden = decoder.layer(l, hidden, context, observers);
    }
    observers.poll();
    const at::Tensor output = decoder.finish(hidden);
    HeadResult head = headLoss(decoder, output, batch, true, token);
    output.backward(head.gradient);
    result.losses = sampleLosses(head, batch);
    return result;
}

std::vector<double> batchLosses(const Decoder& decoder, std::span<const Sample* const> samples,
                                LossReduction reduction, const CancelToken& token) {
    const c10::NoGradGuard noGrad;
    const PaddedBatch batch = pad(samples, reduction, decoder);
    const Decoder::Context context = decoder.context(batch.lengths, batch.tokens);
    Observers observers;
    observers.poll = [&token] {
        if (token.cancelled()) {
            throw Cancelled();
        }
    };
    at::Tensor hidden = decoder.embed(batch.ids);
    for (std::int64_t l = 0; l < decoder.spec().layers; ++l) {
        hidden = decoder.layer(l, hidden, context, observers);
    }
    return sampleLosses(headLoss(decoder, decoder.finish(hidden), batch, false, token), batch);
}

at::Tensor denseGradients(const ProjectionFactors& f) {
    const c10::NoGradGuard noGrad;
    return f.linear->inOut ? at::bmm(f.input.transpose(1, 2), f.gradOutput)
                           : at::bmm(f.gradOutput.transpose(1, 2), f.input);
}

} // namespace qkov::collect
