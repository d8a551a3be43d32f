// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectRun.h"

#include "base/Error.h"
#include "base/Threads.h"
#include "collect/FisherSum.h"
#include "collect/MemoryPlan.h"
#include "collect/SharedInputs.h"
#include "collect/TorchThreads.h"
#include "dump/DumpWriter.h"
#include "fisher/HeadReduction.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <future>
#include <optional>

namespace qkov::collect {
namespace {

struct Stored {
    SpooledBatch batch;
    PayloadLayout layout;
};

/// One factor of a sample as the dump will hold it: where it lies in the spool, or scaled.
struct StoredFactor {
    const std::byte* values = nullptr;
    std::vector<std::byte> scaled;
    const std::byte* data() const { return scaled.empty() ? values : scaled.data(); }
};

/// One sample of the parameters that are written together.
struct SampleNumbers {
    std::size_t sample = 0;
    std::vector<const std::byte*> data; ///< of each parameter
    std::int64_t tokens = 0;
    StoredFactor input;                    ///< [tokens, dIn], and of each parameter
    std::vector<StoredFactor> gradOutputs; ///< [tokens, dOut]; or of the only one
    at::Tensor gradient;                   ///< [rows, columns], float32
    /// The factors for the Fisher: float32 on the CPU, as stored on a GPU.
    at::Tensor inputNumbers;
    std::vector<at::Tensor> gradOutputNumbers;
};

class TaskWriter {
  public:
    TaskWriter(dump::DumpWriter& writer, const CollectPlan& plan, const CollectRequest& request,
               const PlannedTask& task, std::vector<Stored> stored, const dump::HeadTypes& types,
               at::Device device)
        : m_writer(writer)
        , m_plan(plan)
        , m_request(request)
        , m_task(task)
        , m_stored(std::move(stored))
        , m_types(types)
        , m_device(device)
        , m_threads(request.threads > 0 ? request.threads : defaultThreadCount()) {
        m_set.name = "structural";
        m_set.estimator = fisher::estimatorName(request.estimator);
        m_set.decay = request.emaDecay;
        m_set.samples = static_cast<std::int64_t>(task.samples.size());
        m_set.biasCorrected = true;
        m_weights = fisher::sampleWeights(request.estimator, request.emaDecay, m_set.samples);
    }

    double writeSamples() {
        std::vector<dump::SampleInfo> infos;
        std::vector<std::vector<std::int32_t>> tokens;
        for (const Sample& s : m_task.samples) {
            dump::SampleInfo info;
            info.id = s.id;
            info.text = s.text;
            info.group = s.group;
            info.tokens = s.predicted;
            infos.push_back(std::move(info));
            tokens.push_back(s.ids);
        }
        double total = 0;
        for (std::size_t k = 0; k < m_stored.size(); ++k) {
            const auto& batch = m_task.batches[k];
            for (std::size_t b = 0; b < batch.size(); ++b) {
                const double loss = m_stored[k].batch.losses()[b];
                infos[batch[b]].loss = static_cast<float>(loss);
                total += loss;
            }
        }
        m_writer.beginTask(m_task.name, m_request.loss == LossReduction::mean ? "mean" : "sum",
                           infos, tokens);
        return total / static_cast<double>(infos.size());
    }

    /// Parameters first … first + count − 1: one, or several that have the same input.
    void writeParameters(std::size_t first, std::size_t count, const CancelToken& token) {
        const Group group{first, count};
        if (count == 1) {
            write(group, {}, token);
        } else if (const auto scales = sharedScales(group, token)) {
            write(group, *scales, token);
        } else {
            for (std::size_t p = first; p < first + count; ++p) {
                write({p, 1}, {}, token);
            }
        }
        for (std::size_t p = first; p < first + count; ++p) {
            if (!m_plan.parameters[p].bias.empty()) {
                writeBias(p, wantsFisher());
            }
        }
        release();
        m_writer.startWriting();
    }

  private:
    struct Group {
        std::size_t first = 0, count = 1;
    };
    /// For each sample of the task; empty: as they lie.
    using Scales = std::vector<SharedScale>;

    bool wantsFisher() const { return m_request.structuralFisher || m_request.behavioralFisher; }

    void release() const {
        for (const Stored& stored : m_stored) {
            stored.batch.release();
        }
    }

    /// How each sample's input is stored once; nothing where that costs digits.
    std::optional<Scales> sharedScales(const Group& group, const CancelToken& token) {
        Scales scales(m_task.samples.size());
        if (m_request.storage == DType::f32) {
            for (SharedScale& scale : scales) {
                scale.gradOutput.assign(group.count, 0);
            }
            return scales;
        }
        std::vector<SampleNumbers> samples;
        forEachSample([&](const Stored& stored, std::size_t inBatch, std::size_t sample) {
            samples.push_back(placed(group, stored, inBatch, sample));
        });
        std::atomic<bool> possible = true;
        parallelFor(samples.size(), m_threads, [&](std::size_t i, int) {
            if (token.cancelled()) {
                throw Cancelled();
            }
            const SampleNumbers& s = samples[i];
            std::vector<FactorSizes> sizes;
            for (std::size_t m = 0; possible && m < group.count; ++m) {
                const RecordedParameter& p = m_plan.parameters[group.first + m];
                const auto inputs = static_cast<std::size_t>(s.tokens * p.dIn);
                const auto outputs = static_cast<std::size_t>(s.tokens * p.dOut);
                const std::byte* output = s.data[m] + inputs * dtypeSize(m_request.storage);
                sizes.push_back({largestStored(s.data[m], m_request.storage, inputs),
                                 largestStored(output, m_request.storage, outputs)});
            }
            auto scale = possible ? sharedScale(sizes, m_request.computeDouble) : std::nullopt;
            if (scale) {
                scales[s.sample] = std::move(*scale);
            } else {
                possible = false;
            }
        });
        release();
        return possible ? std::optional(std::move(scales)) : std::nullopt;
    }

    SampleNumbers placed(const Group& group, const Stored& stored, std::size_t inBatch,
                         std::size_t sample) const {
        SampleNumbers s;
        s.sample = sample;
        s.tokens = static_cast<std::int64_t>(m_task.samples[sample].ids.size());
        for (std::size_t m = 0; m < group.count; ++m) {
            s.data.push_back(stored.batch.payload() +
                             stored.layout.offset(group.first + m, inBatch));
        }
        return s;
    }

    void declare(const Group& group) {
        const RecordedParameter& owner = m_plan.parameters[group.first];
        if (!m_request.factored) {
            m_writer.declareGradients(owner.name, owner.shape(), m_request.storage);
            return;
        }
        m_writer.declareFactors(owner.name, m_task.longest, owner.dIn, owner.dOut,
                                m_request.storage);
        for (std::size_t m = 1; m < group.count; ++m) {
            const RecordedParameter& p = m_plan.parameters[group.first + m];
            m_writer.declareFactorsSharing(p.name, owner.name, p.dOut, m_request.storage);
        }
    }

    void write(const Group& group, const Scales& scales, const CancelToken& token) {
        declare(group);
        std::deque<FisherSum> sums;
        std::int64_t numbersPerToken = m_plan.parameters[group.first].dIn;
        for (std::size_t m = 0; m < group.count; ++m) {
            const RecordedParameter& p = m_plan.parameters[group.first + m];
            numbersPerToken += p.dOut;
            if (wantsFisher()) {
                sums.emplace_back(p, m_weights, m_device, m_threads);
            }
        }
        std::vector<SampleNumbers> some;
        std::int64_t numbers = 0;
        const auto flush = [&] {
            parallelFor(some.size(), m_threads, [&](std::size_t i, int) {
                convert(group, some[i], scales.empty() ? nullptr : &scales[some[i].sample]);
            });
            // On their way to the file while they are summed.
            std::future<void> written = std::async(std::launch::async, [&] {
                for (const SampleNumbers& s : some) {
                    if (token.cancelled()) {
                        throw Cancelled();
                    }
                    write(group, s);
                }
            });
            if (!sums.empty()) {
                addToFisher(sums, some, token);
            }
            written.get();
            some.clear();
            numbers = 0;
        };
        forEachSample([&](const Stored& stored, std::size_t inBatch, std::size_t sample) {
            const RecordedParameter& p = m_plan.parameters[group.first];
            some.push_back(placed(group, stored, inBatch, sample));
            numbers += m_request.factored ? some.back().tokens * numbersPerToken : p.dIn * p.dOut;
            if (numbers >= numbersWrittenAtOnce) {
                flush();
            }
        });
        flush();
        for (std::size_t m = 0; m < sums.size(); ++m) {
            const RecordedParameter& p = m_plan.parameters[group.first + m];
            writeFisher(p.name, p.shape(), sums[m].values());
        }
    }

    template <class Body>
    void forEachSample(Body body) {
        for (std::size_t k = 0; k < m_stored.size(); ++k) {
            for (std::size_t b = 0; b < m_task.batches[k].size(); ++b) {
                body(m_stored[k], b, m_task.batches[k][b]);
            }
        }
    }

    void addToFisher(std::deque<FisherSum>& sums, std::vector<SampleNumbers>& samples,
                     const CancelToken& token) const {
        for (SampleNumbers& s : samples) {
            if (m_device.is_cuda() && s.inputNumbers.defined()) {
                s.inputNumbers = s.inputNumbers.to(m_device); // once for all of them
            }
        }
        for (std::size_t m = 0; m < sums.size(); ++m) {
            std::vector<SampleGradient> gradients;
            for (const SampleNumbers& s : samples) {
                gradients.push_back({s.sample, s.inputNumbers,
                                     m_request.factored ? s.gradOutputNumbers[m] : at::Tensor(),
                                     s.gradient});
            }
            sums[m].add(gradients, token);
        }
    }

    at::Tensor floats(const std::byte* data, std::int64_t rows, std::int64_t columns) const {
        at::Tensor t = at::empty({rows, columns}, at::TensorOptions(at::kFloat));
        convertToFloat(data, m_request.storage, static_cast<std::size_t>(rows * columns),
                       t.data_ptr<float>());
        return t;
    }

    /// Times a power of two, rounded once more to float16: other types are stored as they are.
    StoredFactor scaled(const std::byte* data, std::int64_t count, int power) const {
        StoredFactor factor{data, {}};
        if (power != 0) {
            const auto n = static_cast<std::size_t>(count);
            std::vector<float> values(n);
            convertToFloat(data, m_request.storage, n, values.data());
            const float scale = std::ldexp(1.0f, power);
            for (float& v : values) {
                v *= scale;
            }
            factor.scaled.resize(n * dtypeSize(m_request.storage));
            convertFromFloat(values.data(), n, m_request.storage, factor.scaled.data());
        }
        return factor;
    }

    /// For the Fisher.
    at::Tensor asNumbers(const StoredFactor& factor, std::int64_t rows,
                         std::int64_t columns) const {
        if (!m_device.is_cuda()) {
            return floats(factor.data(), rows, columns);
        }
        const auto type = m_request.storage == DType::f16 ? at::kHalf : at::kFloat;
        return at::from_blob(const_cast<std::byte*>(factor.data()), {rows, columns},
                             at::TensorOptions(type));
    }

    void convert(const Group& group, SampleNumbers& s, const SharedScale* shared) const {
        const RecordedParameter& owner = m_plan.parameters[group.first];
        if (!m_request.factored) {
            s.gradient = floats(s.data[0], owner.shape()[0], owner.shape()[1]);
            return;
        }
        const c10::NoGradGuard noGrad;
        s.input = scaled(s.data[shared ? shared->source : 0], s.tokens * owner.dIn,
                         shared ? shared->input : 0);
        if (wantsFisher()) {
            s.inputNumbers = asNumbers(s.input, s.tokens, owner.dIn);
        }
        const auto inputBytes =
            static_cast<std::size_t>(s.tokens * owner.dIn) * dtypeSize(m_request.storage);
        for (std::size_t m = 0; m < group.count; ++m) {
            const RecordedParameter& p = m_plan.parameters[group.first + m];
            s.gradOutputs.push_back(scaled(s.data[m] + inputBytes, s.tokens * p.dOut,
                                           shared ? shared->gradOutput[m] : 0));
            if (wantsFisher()) {
                s.gradOutputNumbers.push_back(asNumbers(s.gradOutputs.back(), s.tokens, p.dOut));
            }
        }
    }

    void write(const Group& group, const SampleNumbers& s) {
        const auto sample = static_cast<std::int64_t>(s.sample);
        if (!m_request.factored) {
            m_writer.writeGradients(m_plan.parameters[group.first].name, sample, 1,
                                    s.gradient.data_ptr<float>());
            return;
        }
        const auto length = static_cast<std::int32_t>(s.tokens);
        for (std::size_t m = 0; m < group.count; ++m) {
            m_writer.writeStoredFactors(m_plan.parameters[group.first + m].name, sample, length,
                                        m == 0 ? s.input.data() : nullptr, s.gradOutputs[m].data());
        }
    }

    void writeBias(std::size_t p, bool wantFisher) {
        const RecordedParameter& parameter = m_plan.parameters[p];
        m_writer.declareGradients(parameter.bias, {parameter.dOut}, DType::f32);
        fisher::Accumulator sum(static_cast<std::size_t>(parameter.dOut));
        forEachSample([&](const Stored& stored, std::size_t inBatch, std::size_t sample) {
            std::vector<float> values(static_cast<std::size_t>(parameter.dOut));
            convertToFloat(stored.batch.payload() + stored.layout.biasOffset(p, inBatch),
                           DType::f32, values.size(), values.data());
            m_writer.writeGradients(parameter.bias, static_cast<std::int64_t>(sample), 1,
                                    values.data());
            sum.add(values.data(), m_weights[sample]);
        });
        if (wantFisher) {
            writeFisher(parameter.bias, {parameter.dOut},
                        {sum.fisher().begin(), sum.fisher().end()});
        }
    }

    void writeFisher(const std::string& name, const std::vector<std::int64_t>& shape,
                     const std::vector<double>& values) {
        dump::FisherEntry entry;
        entry.parameter = name;
        entry.shape = shape;
        if (m_request.structuralFisher && !m_request.fisherPerHead) {
            m_writer.writeFisher(m_set, entry, values);
        }
        if (m_request.structuralFisher && m_request.fisherPerHead) {
            const fisher::Reduced reduced =
                fisher::reducePerHead(*m_plan.layout, name, shape, values);
            entry.shape = reduced.shape;
            entry.resolution = dump::Resolution::head;
            m_writer.writeFisher(m_set, entry, reduced.values);
        }
        if (m_request.behavioralFisher) {
            const fisher::Reduced reduced =
                fisher::reducePerType(*m_plan.layout, name, shape, values, m_types);
            dump::FisherSet behavioral = m_set;
            behavioral.name = "behavioral";
            entry.shape = reduced.shape;
            entry.resolution = dump::Resolution::type;
            m_writer.writeFisher(behavioral, entry, reduced.values);
        }
    }

    dump::DumpWriter& m_writer;
    const CollectPlan& m_plan;
    const CollectRequest& m_request;
    const PlannedTask& m_task;
    std::vector<Stored> m_stored;
    const dump::HeadTypes& m_types;
    at::Device m_device;
    int m_threads;
    dump::FisherSet m_set;
    std::vector<double> m_weights;
};

} // namespace

void writeDump(const CollectPlan& plan, const CollectRequest& request, const Spool& spool,
               const dump::HeadTypes& types, at::Device device, Job& job, CollectSummary& summary) {
    const c10::NoGradGuard noGrad;
    setOperationThreads(1);
    dump::DumpWriter writer(request.out, plan.shape, "qkov " QKOV_VERSION);
    if (!types.names.empty()) {
        writer.writeHeadTypes(types);
    }
    for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
        const PlannedTask& task = plan.tasks[t];
        const double share = 0.15 / double(plan.tasks.size());
        job.stage("Writing " + task.name, 0.85 + share * double(t), 0.85 + share * double(t + 1));
        // Each is read once for its checksum.
        std::vector<std::optional<SpooledBatch>> batches(task.batches.size());
        parallelFor(batches.size(), request.threads > 0 ? request.threads : defaultThreadCount(),
                    [&](std::size_t b, int) {
                        job.checkCancelled();
                        batches[b] = spool.open(t, b);
                    });
        std::vector<Stored> stored;
        for (std::size_t b = 0; b < task.batches.size(); ++b) {
            PayloadLayout layout(plan, request, task, task.batches[b]);
            SpooledBatch& batch = *batches[b];
            if (batch.payloadBytes() != layout.bytes ||
                batch.losses().size() != task.batches[b].size()) {
                throw InputError("is of another run", spool.folder(), {}, "run without --resume");
            }
            stored.push_back({std::move(batch), std::move(layout)});
        }
        TaskWriter out(writer, plan, request, task, std::move(stored), types, device);
        summary.tasks[t].meanLoss = out.writeSamples();
        for (std::size_t p = 0; p < plan.parameters.size();) {
            const std::size_t together = request.factored ? plan.sameInput(p) : 1;
            out.writeParameters(p, together, job.token());
            p += together;
            job.advance(double(p) / double(plan.parameters.size()));
        }
    }
    job.rename("Bringing the dump to the disk");
    writer.commit([&job] { job.checkCancelled(); });
}

} // namespace qkov::collect
