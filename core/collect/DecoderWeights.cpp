// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "collect/Decoder.h"

#include <algorithm>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

namespace qkov::collect {
namespace {

at::ScalarType scalarType(DType type) {
    switch (type) {
    case DType::f16:
        return at::kHalf;
    case DType::bf16:
        return at::kBFloat16;
    case DType::f64:
        return at::kDouble;
    case DType::f32:
        break;
    }
    return at::kFloat;
}

std::string text(const std::vector<std::int64_t>& shape) {
    std::string s = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        s += (i ? ", " : "") + std::to_string(shape[i]);
    }
    return s + "]";
}

std::string forLayer(const std::string& pattern, std::int64_t layer) {
    const auto at = pattern.find("{l}");
    return at == std::string::npos
               ? pattern
               : pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 3);
}

/// Gives mapped pages back that have been read: the checkpoint need not stay in memory beside its
/// copy. They are read again from the file if anyone asks.
void releasePages(const std::byte* data, std::size_t bytes) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
    const auto end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / page * page;
    if (end > begin) {
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
}

} // namespace

class WeightLoader {
  public:
    WeightLoader(Decoder& decoder, const model::Checkpoint& checkpoint,
                 const DecoderLoading& loading)
        : m_decoder(decoder)
        , m_checkpoint(checkpoint)
        , m_loading(loading)
        , m_halves(!loading.plainWeights && decoder.m_compute == at::kFloat &&
                   hasHalfProducts(decoder.m_device)) {}

    /// The tensor on the device, as stored; `found` gets its name in the file.
    at::Tensor stored(const std::string& name, const std::vector<std::int64_t>& shape,
                      std::string* found = nullptr) {
        const model::TensorEntry& entry = m_checkpoint.require(name);
        if (m_loading.poll) {
            m_loading.poll(static_cast<double>(m_loaded) /
                           static_cast<double>(std::max<std::uint64_t>(1, m_checkpoint.bytes())));
        }
        m_loaded += entry.bytes;
        if (entry.shape != shape) {
            throw InputError("has shape " + text(entry.shape) + ", config.json says " + text(shape),
                             entry.file, entry.name);
        }
        if (found) {
            *found = entry.name;
        }
        // Copied, not mapped: a file that shrinks while we run must not take the process with it.
        const at::Tensor view = at::from_blob(const_cast<std::byte*>(entry.data), entry.shape,
                                              at::TensorOptions(scalarType(entry.dtype)));
        // Converted where it is used: a GPU does it at once, and half the bytes travel.
        at::Tensor copy = m_decoder.m_device.is_cpu() ? view.to(m_decoder.m_compute, false, true)
                                                      : view.to(m_decoder.m_device, false, true);
        releasePages(entry.data, entry.bytes);
        return copy;
    }

    /// In the compute type.
    at::Tensor tensor(const std::string& name, const std::vector<std::int64_t>& shape,
                      std::string* found = nullptr) {
        return counted(stored(name, shape, found).to(m_decoder.m_compute));
    }
    at::Tensor counted(at::Tensor t) {
        if (t.defined()) {
            m_decoder.m_bytes += static_cast<std::uint64_t>(t.numel() * t.element_size());
        }
        return t;
    }
    /// As `result`'s weight [out, in], in whichever form its products take.
    void setWeight(Linear& result, const at::Tensor& weight) {
        if (m_halves && halvesPay(weight)) {
            result.half = halfWeight(weight);
            counted(result.half.high);
            counted(result.half.low);
        } else {
            result.weight = counted(weight.to(m_decoder.m_compute));
        }
    }

    Linear linear(const LinearSpec& spec, std::int64_t layer, std::int64_t out, std::int64_t in) {
        Linear result;
        if (!spec) {
            return result;
        }
        const std::string base = forLayer(spec.name, layer);
        result.inOut = spec.inOut;
        const std::vector<std::int64_t> shape =
            spec.inOut ? std::vector{in, out} : std::vector{out, in};
        const at::Tensor weight = stored(base + ".weight", shape, &result.parameter);
        setWeight(result, spec.inOut ? weight.t() : weight);
        if (spec.bias) {
            result.bias = tensor(base + ".bias", {out}, &result.biasParameter);
        }
        return result;
    }

    Decoder::Norm norm(const NormSpec& spec, std::int64_t layer, std::int64_t size) {
        Decoder::Norm result;
        if (spec) {
            const std::string base = forLayer(spec.name, layer);
            result.weight = spec.weight
                                ? tensor(base + ".weight", {size})
                                : at::ones({size}, at::TensorOptions(m_decoder.m_compute))
                                      .to(m_decoder.m_device); // a product with 1 changes nothing
            if (spec.bias) {
                result.bias = tensor(base + ".bias", {size});
            }
        }
        return result;
    }

    void load() {
        const DecoderSpec& s = m_decoder.m_spec;
        const std::int64_t D = s.hidden;
        const at::Tensor embedding = stored(s.embedding, {s.vocabulary, s.embeddingDim});
        // Rows are looked up and then converted where nobody asks for gradients of them.
        m_decoder.m_embedding = counted(m_halves ? embedding : embedding.to(m_decoder.m_compute));
        if (s.positions == PositionKind::learned) {
            m_decoder.m_positions =
                tensor(s.positionEmbedding, {s.maxPositions + s.positionOffset, D});
        }
        m_decoder.m_embeddingNorm = norm(s.embeddingNorm, 0, D);
        m_decoder.m_projectIn = linear(s.projectIn, 0, D, s.embeddingDim);
        m_decoder.m_projectOut = linear(s.projectOut, 0, s.embeddingDim, D);
        m_decoder.m_finalNorm = norm(s.finalNorm, 0, D);
        if (s.head != s.embedding) {
            setWeight(m_decoder.m_head, stored(s.head, {s.vocabulary, s.embeddingDim}));
        } else if (m_halves) {
            setWeight(m_decoder.m_head, embedding);
        } else {
            m_decoder.m_head.weight = m_decoder.m_embedding;
        }
        if (!s.headBias.empty()) {
            m_decoder.m_head.bias = tensor(s.headBias, {s.vocabulary});
        }
        for (std::int64_t l = 0; l < s.layers; ++l) {
            m_decoder.m_layers.push_back(layer(l));
            if (l == 0 && m_loading.firstLayer) {
                Decoder first = m_decoder;
                first.m_spec.layers = 1;
                m_loading.firstLayer(first);
            }
        }
    }

  private:
    Decoder::Layer layer(std::int64_t l) {
        const DecoderSpec& s = m_decoder.m_spec;
        const std::int64_t D = s.hidden, F = s.mlpDim;
        const std::int64_t q = s.heads * s.headDim, kv = s.kvHeads * s.headDim;
        Decoder::Layer layer;
        layer.norm1 = norm(s.norm1, l, D);
        layer.norm2 = norm(s.norm2, l, D);
        layer.postAttentionNorm = norm(s.postAttentionNorm, l, D);
        layer.postMlpNorm = norm(s.postMlpNorm, l, D);
        layer.queryNorm = norm(s.queryNorm, l, s.headDim);
        layer.keyNorm = norm(s.keyNorm, l, s.headDim);
        layer.qkv = linear(s.qkv, l, q + 2 * kv, D);
        layer.q = linear(s.q, l, q, D);
        layer.k = linear(s.k, l, kv, D);
        layer.v = linear(s.v, l, kv, D);
        layer.o = linear(s.o, l, D, q);
        layer.gate = linear(s.gate, l, F, D);
        layer.up = linear(s.up, l, s.mlp == MlpKind::fusedGated ? 2 * F : F, D);
        layer.down = linear(s.down, l, D, F);
        return layer;
    }

    Decoder& m_decoder;
    const model::Checkpoint& m_checkpoint;
    const DecoderLoading& m_loading;
    bool m_halves;
    std::uint64_t m_loaded = 0;
};

Decoder::Decoder(const DecoderSpec& spec, const model::Checkpoint& checkpoint,
                 at::ScalarType compute, at::Device device, const DecoderLoading& loading)
    : m_spec(spec)
    , m_compute(compute)
    , m_device(device) {
    const c10::NoGradGuard noGrad;
    WeightLoader(*this, checkpoint, loading).load();
}

} // namespace qkov::collect
