// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/HeadScores.h"

#include "base/Threads.h"
#include "collect/MemoryPlan.h"

#include <algorithm>
#include <map>

namespace qkov::collect {
namespace {

constexpr std::int64_t neighbours = 4; // pairs of each sequence for the content score
constexpr std::int64_t batchTokens = 4096;
// What one CPU thread works on at a time. Fixed: the scores don't depend on the number of threads.
constexpr std::int64_t partTokens = 256;

/// Running means of one layer's heads: [H] sums in float64 and how many numbers are in them.
struct Mean {
    at::Tensor sum;
    double count = 0;
    void add(const at::Tensor& total, double n) {
        sum = sum.defined() ? sum + total : total;
        count += n;
    }
    at::Tensor value() const { return sum / count; }
};

/// Of some of a layer's heads.
struct HeadGroup {
    std::int64_t begin = 0, end = 0;
    Mean previous, same, induction, first, content;
    std::map<std::int64_t, Mean> offsets;
};

/// All sequences of one batch have the same length.
struct Batch {
    at::Tensor ids; ///< [B, T]
    std::int64_t tokens = 0;
};

std::vector<Batch> batches(const Probe& probe, at::Device device) {
    std::map<std::size_t, std::vector<const std::vector<std::int32_t>*>> byLength;
    for (const auto& sequence : probe) {
        byLength[sequence.size()].push_back(&sequence);
    }
    std::vector<Batch> result;
    for (const auto& [length, sequences] : byLength) {
        const auto tokens = static_cast<std::int64_t>(length);
        const auto atOnce =
            static_cast<std::size_t>(std::max<std::int64_t>(2, batchTokens / tokens));
        for (std::size_t begin = 0; begin < sequences.size(); begin += atOnce) {
            const std::size_t end = std::min(sequences.size(), begin + atOnce);
            at::Tensor ids = at::empty({static_cast<std::int64_t>(end - begin), tokens},
                                       at::TensorOptions(at::kLong));
            auto* target = ids.data_ptr<std::int64_t>();
            for (std::size_t s = begin; s < end; ++s) {
                target = std::copy(sequences[s]->begin(), sequences[s]->end(), target);
            }
            result.push_back({ids.to(device), tokens});
        }
    }
    return result;
}

/// Two arrays that a thread works in, group after group: of large arrays that come and go between
/// small ones that stay, glibc before 2.38 uses few places again, and the heap grows.
class Scratch {
  public:
    /// Float64, of the patterns' shape; contents undefined.
    at::Tensor first(const at::Tensor& patterns) { return of(m_first, patterns); }
    at::Tensor second(const at::Tensor& patterns) { return of(m_second, patterns); }

  private:
    static at::Tensor of(at::Tensor& buffer, const at::Tensor& patterns) {
        if (!buffer.defined() || buffer.numel() < patterns.numel()) {
            buffer = at::empty({patterns.numel()}, patterns.options().dtype(at::kDouble));
        }
        return buffer.slice(0, 0, patterns.numel()).view(patterns.sizes());
    }
    at::Tensor m_first, m_second;
};

void addPatterns(HeadGroup& scores, const at::Tensor& patterns, const Batch& batch,
                 Scratch& scratch) {
    const at::Tensor w = scratch.first(patterns).copy_(patterns); // [B, H, T, T]
    at::Tensor other = scratch.second(patterns);
    const std::int64_t B = w.size(0), T = batch.tokens, m = T / 2;
    const auto b = static_cast<double>(B);
    const at::Tensor sum = w.sum(0); // over sequences: [H, T, T]
    const auto offset = [&](std::int64_t o) {
        return std::pair{at::diagonal(sum, -o, 1, 2), b * static_cast<double>(T - o)};
    };
    const auto [previous, n1] = offset(1);
    scores.previous.add(previous.sum(-1), n1);
    for (std::int64_t o = 2; o < T; ++o) {
        if (o != m - 1 && o != m) {
            const auto [diagonal, n] = offset(o);
            scores.offsets[o].add(diagonal.sum(-1), n);
        }
    }
    // Position i lies at place i − o of diagonal o.
    scores.induction.add(offset(m - 1).first.slice(-1, 1).sum(-1), b * static_cast<double>(m));
    scores.first.add(sum.slice(1, 1).select(2, 0).sum(-1), b * static_cast<double>(T - 1));
    const at::Tensor equal = batch.ids.unsqueeze(1) == batch.ids.unsqueeze(2); // [B, T, T]
    at::mul_out(other, w, equal.unsqueeze(1));
    scores.same.add(other.slice(2, 1).sum({0, 2, 3}), b * static_cast<double>(T - 1));
    for (std::int64_t k = 1; k <= std::min(neighbours, B - 1); ++k) {
        // Sequence i and sequence i − k, the last ones before the first.
        at::Tensor rest = other.slice(0, k), start = other.slice(0, 0, k);
        at::sub_out(rest, w.slice(0, k), w.slice(0, 0, B - k));
        at::sub_out(start, w.slice(0, 0, k), w.slice(0, B - k));
        other.abs_();
        const at::Tensor distance = other.slice(2, 1).sum({0, 2, 3}) / 2;
        scores.content.add(distance, b * static_cast<double>(T - 1));
    }
}

/// Patterns [B, H, T, T] of a layer; its heads are worked off in groups, side by side on a CPU.
void addLayer(std::vector<HeadGroup>& groups, const at::Tensor& patterns, const Batch& batch,
              std::vector<Scratch>& scratch) {
    const std::int64_t heads = patterns.size(1);
    if (groups.empty()) {
        const std::int64_t perHead = patterns.numel() / heads;
        const std::int64_t size =
            patterns.is_cuda() ? heads : std::max<std::int64_t>(1, patternNumbersAtOnce / perHead);
        for (std::int64_t h = 0; h < heads; h += size) {
            groups.emplace_back();
            groups.back().begin = h;
            groups.back().end = std::min(heads, h + size);
        }
    }
    const int threads = patterns.is_cuda() ? 1 : static_cast<int>(scratch.size());
    parallelFor(groups.size(), threads, [&](std::size_t g, int worker) {
        const c10::NoGradGuard noGrad;
        addPatterns(groups[g], patterns.slice(1, groups[g].begin, groups[g].end), batch,
                    scratch.at(static_cast<std::size_t>(worker)));
    });
}

at::Tensor columns(const HeadGroup& group) {
    at::Tensor positional = group.first.value();
    for (const auto& [o, mean] : group.offsets) {
        positional = at::maximum(positional, mean.value());
    }
    return at::stack({group.previous.value(), group.same.value(), group.induction.value(),
                      positional, group.content.value()},
                     1)
        .to(at::kCPU);
}

/// Some of a batch's sequences on their way through the layers.
struct Part {
    Decoder::Context context;
    at::Tensor hidden, patterns;
};

std::vector<Part> partsOf(const Decoder& decoder, const Batch& batch) {
    const std::int64_t B = batch.ids.size(0);
    const std::int64_t size =
        decoder.device().is_cuda() ? B : std::max<std::int64_t>(1, partTokens / batch.tokens);
    std::vector<Part> parts;
    for (std::int64_t begin = 0; begin < B; begin += size) {
        const at::Tensor ids = batch.ids.slice(0, begin, std::min(B, begin + size));
        const std::vector<std::int64_t> lengths(static_cast<std::size_t>(ids.size(0)),
                                                batch.tokens);
        parts.push_back({decoder.context(lengths, batch.tokens), decoder.embed(ids), {}});
    }
    return parts;
}

} // namespace

dump::HeadTypes computeHeadTypes(const Decoder& decoder, const Probe& probe, Job& job, int threads,
                                 const HeadTypeRules& rules) {
    const c10::NoGradGuard noGrad;
    const DecoderSpec& spec = decoder.spec();
    std::vector<std::vector<HeadGroup>> layers(static_cast<std::size_t>(spec.layers));
    const std::vector<Batch> all = batches(probe, decoder.device());
    std::vector<Scratch> scratch(static_cast<std::size_t>(std::max(1, threads)));
    double done = 0;
    for (const Batch& batch : all) {
        std::vector<Part> parts = partsOf(decoder, batch);
        for (std::int64_t l = 0; l < spec.layers; ++l) {
            parallelFor(parts.size(), threads, [&](std::size_t p, int) {
                const c10::NoGradGuard noGradHere;
                Part& part = parts[p];
                Observers observers;
                observers.poll = [&] { job.checkCancelled(); };
                observers.pattern = [&](std::int64_t, const at::Tensor& weights) {
                    part.patterns = weights;
                };
                part.hidden = decoder.layer(l, part.hidden, part.context, observers);
            });
            std::vector<at::Tensor> patterns;
            for (Part& part : parts) {
                patterns.push_back(std::move(part.patterns));
            }
            addLayer(layers[static_cast<std::size_t>(l)], at::cat(patterns), batch, scratch);
            job.advance(++done / static_cast<double>(spec.layers) /
                        static_cast<double>(all.size()));
        }
    }
    dump::HeadTypes result;
    result.names = headTypeNames();
    for (const std::vector<HeadGroup>& layer : layers) {
        std::vector<at::Tensor> parts;
        for (const HeadGroup& group : layer) {
            parts.push_back(columns(group));
        }
        const at::Tensor scoresOfHeads = at::cat(parts).contiguous();
        const auto* value = scoresOfHeads.data_ptr<double>();
        for (std::int64_t h = 0; h < spec.heads; ++h, value += 5) {
            std::array<double, 5> scores{};
            std::copy(value, value + 5, scores.begin());
            result.type.push_back(static_cast<std::uint8_t>(assignHeadType(scores, rules)));
            result.scores.insert(result.scores.end(), scores.begin(), scores.end());
            result.scores.push_back(0); // "mixed" is what is left, it has no score of its own
        }
    }
    return result;
}

} // namespace qkov::collect
