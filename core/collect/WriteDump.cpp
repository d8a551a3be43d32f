// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CollectRun.h"

#include "base/Error.h"
#include "base/Threads.h"
#include "collect/MemoryPlan.h"
#include "collect/TorchThreads.h"
#include "dump/DumpWriter.h"
#include "fisher/Accumulator.h"
#include "fisher/HeadReduction.h"

#include <algorithm>
#include <optional>

namespace qkov::collect {
namespace {

struct Stored {
    SpooledBatch batch;
    PayloadLayout layout;
};

// What one thread multiplies at a time.
constexpr std::int64_t gradientsAtOnce = std::int64_t(1) << 16;

/// One sample of one parameter, as float32.
struct SampleNumbers {
    std::size_t sample = 0;
    const std::byte* data = nullptr;
    std::int64_t tokens = 0;
    at::Tensor input, gradOutput; ///< [tokens, dIn], [tokens, dOut]; or
    at::Tensor gradient;          ///< [rows, columns]
};

/// Σ w g² of one parameter where its gradients are: in float64 on either side.
class FisherSum {
  public:
    FisherSum(const RecordedParameter& parameter, const std::vector<double>& weights,
              at::Device device, int threads)
        : m_parameter(parameter)
        , m_weights(weights)
        , m_device(device)
        , m_threads(threads)
        , m_host(device.is_cuda() ? 0 : static_cast<std::size_t>(rows() * columns())) {
        if (device.is_cuda()) {
            m_sum = at::zeros({rows() * columns()}, at::TensorOptions(at::kDouble).device(device));
        }
    }

    void add(const std::vector<SampleNumbers>& samples, const CancelToken& token) {
        if (m_device.is_cuda()) {
            for (const SampleNumbers& s : samples) {
                checkCancelled(token);
                const at::Tensor g = gradient(s, 0, rows()).flatten().to(at::kDouble);
                m_sum.addcmul_(g, g, m_weights[s.sample]);
            }
            return;
        }
        // Each thread takes some rows of all samples, so the sum's order never changes.
        const std::int64_t step = std::max<std::int64_t>(1, gradientsAtOnce / columns());
        const std::int64_t parts = (rows() + step - 1) / step;
        parallelFor(static_cast<std::size_t>(parts), m_threads, [&](std::size_t part, int) {
            const c10::NoGradGuard noGrad;
            const std::int64_t begin = static_cast<std::int64_t>(part) * step;
            const std::int64_t end = std::min(rows(), begin + step);
            for (const SampleNumbers& s : samples) {
                checkCancelled(token);
                const at::Tensor g = gradient(s, begin, end).contiguous();
                m_host.addPart(static_cast<std::size_t>(begin * columns()),
                               static_cast<std::size_t>(g.numel()), g.data_ptr<float>(),
                               m_weights[s.sample]);
            }
        });
    }
    std::vector<double> values() const {
        if (!m_device.is_cuda()) {
            return {m_host.fisher().begin(), m_host.fisher().end()};
        }
        const at::Tensor host = m_sum.to(at::kCPU);
        return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
    }

  private:
    static void checkCancelled(const CancelToken& token) {
        if (token.cancelled()) {
            throw Cancelled();
        }
    }
    std::int64_t rows() const { return m_parameter.shape()[0]; }
    std::int64_t columns() const { return m_parameter.shape()[1]; }
    at::Tensor gradient(const SampleNumbers& s, std::int64_t begin, std::int64_t end) const {
        if (s.gradient.defined()) {
            return s.gradient.slice(0, begin, end).to(m_device);
        }
        const at::Tensor x = s.input.to(m_device), g = s.gradOutput.to(m_device);
        return m_parameter.inOut ? at::mm(x.slice(1, begin, end).t(), g)
                                 : at::mm(g.slice(1, begin, end).t(), x);
    }

    const RecordedParameter& m_parameter;
    const std::vector<double>& m_weights;
    at::Device m_device;
    int m_threads;
    fisher::Accumulator m_host;
    at::Tensor m_sum;
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

    void writeParameter(std::size_t p, const CancelToken& token) {
        const RecordedParameter& parameter = m_plan.parameters[p];
        if (m_request.factored) {
            m_writer.declareFactors(parameter.name, m_task.longest, parameter.dIn, parameter.dOut,
                                    m_request.storage);
        } else {
            m_writer.declareGradients(parameter.name, parameter.shape(), m_request.storage);
        }
        const bool wantFisher = m_request.structuralFisher || m_request.behavioralFisher;
        std::optional<FisherSum> sum;
        if (wantFisher) {
            sum.emplace(parameter, m_weights, m_device, m_threads);
        }
        std::vector<SampleNumbers> some;
        std::int64_t numbers = 0;
        const auto flush = [&] {
            parallelFor(some.size(), m_threads,
                        [&](std::size_t i, int) { convert(parameter, some[i]); });
            for (const SampleNumbers& s : some) {
                if (token.cancelled()) {
                    throw Cancelled();
                }
                write(parameter, s);
            }
            if (sum) {
                sum->add(some, token);
            }
            some.clear();
            numbers = 0;
        };
        forEachSample([&](const Stored& stored, std::size_t inBatch, std::size_t sample) {
            SampleNumbers s;
            s.sample = sample;
            s.data = stored.batch.payload() + stored.layout.offset(p, inBatch);
            s.tokens = static_cast<std::int64_t>(m_task.samples[sample].ids.size());
            numbers += m_request.factored ? s.tokens * (parameter.dIn + parameter.dOut)
                                          : parameter.dIn * parameter.dOut;
            some.push_back(std::move(s));
            if (numbers >= numbersWrittenAtOnce) {
                flush();
            }
        });
        flush();
        if (sum) {
            writeFisher(parameter.name, parameter.shape(), sum->values());
        }
        if (!parameter.bias.empty()) {
            writeBias(p, wantFisher);
        }
        for (const Stored& stored : m_stored) {
            stored.batch.release();
        }
    }

  private:
    template <class Body>
    void forEachSample(Body body) {
        for (std::size_t k = 0; k < m_stored.size(); ++k) {
            for (std::size_t b = 0; b < m_task.batches[k].size(); ++b) {
                body(m_stored[k], b, m_task.batches[k][b]);
            }
        }
    }

    at::Tensor numbers(const std::byte* data, std::int64_t rows, std::int64_t columns) const {
        at::Tensor t = at::empty({rows, columns}, at::TensorOptions(at::kFloat));
        convertToFloat(data, m_request.storage, static_cast<std::size_t>(rows * columns),
                       t.data_ptr<float>());
        return t;
    }

    void convert(const RecordedParameter& p, SampleNumbers& s) const {
        if (!m_request.factored) {
            s.gradient = numbers(s.data, p.shape()[0], p.shape()[1]);
            return;
        }
        s.input = numbers(s.data, s.tokens, p.dIn);
        s.gradOutput = numbers(s.data + static_cast<std::size_t>(s.tokens * p.dIn) *
                                            dtypeSize(m_request.storage),
                               s.tokens, p.dOut);
    }

    void write(const RecordedParameter& p, const SampleNumbers& s) {
        const auto sample = static_cast<std::int64_t>(s.sample);
        if (!m_request.factored) {
            m_writer.writeGradients(p.name, sample, 1, s.gradient.data_ptr<float>());
            return;
        }
        const auto length = static_cast<std::int32_t>(s.tokens);
        m_writer.writeFactors(p.name, sample, 1, s.tokens, s.input.data_ptr<float>(),
                              s.gradOutput.data_ptr<float>(), &length);
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
        std::vector<Stored> stored;
        for (std::size_t b = 0; b < task.batches.size(); ++b) {
            PayloadLayout layout(plan, request, task, task.batches[b]);
            SpooledBatch batch = spool.open(t, b);
            if (batch.payloadBytes() != layout.bytes ||
                batch.losses().size() != task.batches[b].size()) {
                throw InputError("is of another run", spool.folder(), {}, "run without --resume");
            }
            stored.push_back({std::move(batch), std::move(layout)});
        }
        TaskWriter out(writer, plan, request, task, std::move(stored), types, device);
        summary.tasks[t].meanLoss = out.writeSamples();
        for (std::size_t p = 0; p < plan.parameters.size(); ++p) {
            out.writeParameter(p, job.token());
            job.advance(double(p + 1) / double(plan.parameters.size()));
        }
    }
    job.checkCancelled();
    writer.commit();
}

} // namespace qkov::collect
