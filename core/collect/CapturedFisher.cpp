// SPDX-License-Identifier: GPL-3.0-or-later
// The behavioral sets that a dump of the same request would hold, for gradients that are scored
// without one: so both ways give the same numbers. (The engine's own grouping takes weights and
// biases of a type together, stored sets are per matrix.)
#include "base/Threads.h"
#include "collect/CollectRun.h"
#include "collect/FisherSum.h"
#include "collect/MemoryPlan.h"
#include "collect/TorchThreads.h"
#include "fisher/HeadReduction.h"

#include <algorithm>

namespace qkov::collect {
namespace {

class TaskFisher {
  public:
    TaskFisher(const CapturedGradients& source, const PlannedTask& task, at::Device device)
        : m_source(source)
        , m_task(task)
        , m_info(*source.info().task(task.name))
        , m_device(device)
        , m_threads(source.request().threads > 0 ? source.request().threads
                                                 : defaultThreadCount()) {
        const CollectRequest& request = source.request();
        m_set.name = "behavioral";
        m_set.estimator = fisher::estimatorName(request.estimator);
        m_set.decay = request.emaDecay;
        m_set.samples = static_cast<std::int64_t>(task.samples.size());
        m_weights = fisher::sampleWeights(request.estimator, request.emaDecay, m_set.samples);
    }

    void addParameter(const RecordedParameter& p, const CancelToken& token) {
        FisherSum sum(p, m_weights, m_device, m_threads);
        const std::int64_t numbers =
            m_source.request().factored ? m_task.longest * (p.dIn + p.dOut) : p.dIn * p.dOut;
        const std::int64_t step = std::max<std::int64_t>(1, numbersWrittenAtOnce / numbers);
        for (std::int64_t first = 0; first < m_set.samples; first += step) {
            std::vector<SampleGradient> some;
            for (std::int64_t i = first; i < std::min(m_set.samples, first + step); ++i) {
                if (token.cancelled()) {
                    throw Cancelled();
                }
                some.push_back(gradient(p, i));
            }
            sum.add(some, token);
        }
        add(p.name, p.shape(), sum.values());
        if (!p.bias.empty()) {
            addBias(p);
        }
    }

    void giveTo(CapturedGradients& source) {
        source.setFisher(m_task.name, std::move(m_set), std::move(m_values));
    }

  private:
    SampleGradient gradient(const RecordedParameter& p, std::int64_t sample) const {
        const dump::ParameterEntry& entry = m_info.parameters.at(p.name);
        const DType type = m_source.request().storage;
        const dump::Region whole{0, entry.shape[0], 0, entry.shape[1]};
        const auto rounded = [&](std::int64_t rows, std::int64_t columns, const std::byte* from) {
            at::Tensor t = at::empty({rows, columns}, at::TensorOptions(at::kFloat));
            convertToFloat(from, type, static_cast<std::size_t>(rows * columns),
                           t.data_ptr<float>());
            return t;
        };
        SampleGradient result;
        result.sample = static_cast<std::size_t>(sample);
        const std::int64_t tokens =
            static_cast<std::int64_t>(m_task.samples[result.sample].ids.size());
        if (!m_source.request().factored) {
            std::vector<std::byte> bytes(static_cast<std::size_t>(p.dIn * p.dOut) *
                                         dtypeSize(type));
            m_source.read(m_info, entry, engine::Quantity::gradients, std::span(&sample, 1), whole,
                          type, bytes.data());
            result.gradient = rounded(p.shape()[0], p.shape()[1], bytes.data());
            return result;
        }
        std::vector<std::byte> x(static_cast<std::size_t>(tokens * p.dIn) * dtypeSize(type));
        std::vector<std::byte> g(static_cast<std::size_t>(tokens * p.dOut) * dtypeSize(type));
        m_source.readFactors(m_info, entry, std::span(&sample, 1), whole, x.data(), g.data());
        result.input = rounded(tokens, p.dIn, x.data());
        result.gradOutput = rounded(tokens, p.dOut, g.data());
        return result;
    }

    void addBias(const RecordedParameter& p) {
        const dump::ParameterEntry& entry = m_info.parameters.at(p.bias);
        fisher::Accumulator sum(static_cast<std::size_t>(p.dOut));
        std::vector<float> values(static_cast<std::size_t>(p.dOut));
        for (std::int64_t i = 0; i < m_set.samples; ++i) {
            m_source.read(m_info, entry, engine::Quantity::gradients, std::span(&i, 1),
                          {0, p.dOut, 0, 1}, DType::f32, values.data());
            sum.add(values.data(), m_weights[static_cast<std::size_t>(i)]);
        }
        add(p.bias, {p.dOut}, {sum.fisher().begin(), sum.fisher().end()});
    }

    void add(const std::string& name, const std::vector<std::int64_t>& shape,
             const std::vector<double>& values) {
        fisher::Reduced reduced = fisher::reducePerType(m_source.layout(), name, shape, values,
                                                        m_source.info().headTypes);
        dump::FisherEntry entry;
        entry.parameter = name;
        entry.shape = std::move(reduced.shape);
        entry.resolution = dump::Resolution::type;
        m_set.parameters[name] = std::move(entry);
        m_values[name] = std::move(reduced.values);
    }

    const CapturedGradients& m_source;
    const PlannedTask& m_task;
    const dump::TaskInfo& m_info;
    at::Device m_device;
    int m_threads;
    std::vector<double> m_weights;
    dump::FisherSet m_set;
    std::map<std::string, std::vector<double>> m_values;
};

} // namespace

void addBehavioralFisher(CapturedGradients& source, at::Device device, Job& job) {
    const c10::NoGradGuard noGrad;
    setOperationThreads(1);
    job.stage("Pooling the Fisher by head type", 0.85, 1);
    const CollectPlan& plan = source.plan();
    double done = 0;
    for (const PlannedTask& task : plan.tasks) {
        TaskFisher fisher(source, task, device);
        for (const RecordedParameter& p : plan.parameters) {
            job.checkCancelled();
            fisher.addParameter(p, job.token());
            job.advance(++done / double(plan.tasks.size() * plan.parameters.size()));
        }
        fisher.giveTo(source);
    }
}

} // namespace qkov::collect
