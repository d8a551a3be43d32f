// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/CapturedGradients.h"

#include "base/Error.h"

#include <algorithm>
#include <cstring>
#include <exception>

namespace qkov::collect {

CapturedGradients::CapturedGradients(CollectPlan plan, CollectRequest request,
                                     std::unique_ptr<Spool> spool)
    : m_plan(std::move(plan))
    , m_request(std::move(request))
    , m_spool(std::move(spool)) {
    for (std::size_t p = 0; p < m_plan.parameters.size(); ++p) {
        m_recorded[m_plan.parameters[p].name] = {p, false};
        if (!m_plan.parameters[p].bias.empty()) {
            m_recorded[m_plan.parameters[p].bias] = {p, true};
        }
    }
    for (const PlannedTask& planned : m_plan.tasks) {
        Task& task = m_tasks.emplace_back();
        task.batches.resize(planned.batches.size());
        task.place.resize(planned.samples.size());
        task.starts.resize(planned.samples.size());
        std::int64_t row = 0;
        for (std::size_t k = 0; k < planned.batches.size(); ++k) {
            task.batches[k].layout =
                std::make_unique<PayloadLayout>(m_plan, m_request, planned, planned.batches[k]);
            for (std::size_t b = 0; b < planned.batches[k].size(); ++b) {
                const std::size_t sample = planned.batches[k][b];
                task.place[sample] = {static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(b)};
                task.starts[sample] = row;
                row += static_cast<std::int64_t>(planned.samples[sample].ids.size());
            }
        }
        for (const Sample& s : planned.samples) {
            task.lengths.push_back(static_cast<std::int32_t>(s.ids.size()));
        }
    }
}

CapturedGradients::~CapturedGradients() {
    m_tasks.clear();
    const bool interrupted = std::uncaught_exceptions() > m_exceptionsBefore;
    if (m_spool && !(m_request.resume && interrupted)) {
        m_spool->remove();
    }
}

void CapturedGradients::setStore(std::unique_ptr<FactorStore> store) {
    m_store = std::move(store);
    for (std::size_t t = 0; t < m_tasks.size(); ++t) {
        const PlannedTask& planned = m_plan.tasks[t];
        for (std::size_t k = 0; k < planned.batches.size(); ++k) {
            m_tasks[t].batches[k].layout = std::make_unique<PayloadLayout>(
                m_plan, m_request, planned, planned.batches[k], false);
        }
    }
}

void CapturedGradients::add(std::size_t task, std::size_t batch, const std::vector<double>& losses,
                            Payload payload) {
    Batch& b = m_tasks[task].batches[batch];
    b.losses = losses;
    b.memory = std::move(payload);
}

void CapturedGradients::describe(std::size_t t) {
    const PlannedTask& planned = m_plan.tasks[t];
    dump::TaskInfo info;
    info.name = planned.name;
    info.lossReduction = m_request.loss == LossReduction::mean ? "mean" : "sum";
    for (std::size_t i = 0; i < planned.samples.size(); ++i) {
        const Sample& s = planned.samples[i];
        const auto [batch, inBatch] = m_tasks[t].place[i];
        dump::SampleInfo sample;
        sample.id = s.id;
        sample.text = s.text;
        sample.group = s.group;
        sample.tokens = s.predicted;
        sample.loss = static_cast<float>(m_tasks[t].batches[batch].losses[inBatch]);
        info.samples.push_back(std::move(sample));
    }
    for (const RecordedParameter& p : m_plan.parameters) {
        dump::ParameterEntry entry;
        entry.name = p.name;
        entry.shape = p.shape();
        entry.storage = m_request.factored ? dump::Storage::factored : dump::Storage::dense;
        entry.dtype = entry.gradOutputDtype = m_request.storage;
        entry.maxTokens = m_request.factored ? planned.longest : 0;
        entry.inOut = p.inOut;
        info.parameters[p.name] = entry;
        if (!p.bias.empty()) {
            dump::ParameterEntry bias;
            bias.name = p.bias;
            bias.shape = {p.dOut};
            info.parameters[p.bias] = bias;
        }
    }
    m_info.tasks.push_back(std::move(info));
}

void CapturedGradients::complete(const dump::HeadTypes& types) {
    for (std::size_t t = 0; t < m_tasks.size(); ++t) {
        for (std::size_t k = 0; k < m_tasks[t].batches.size(); ++k) {
            Batch& batch = m_tasks[t].batches[k];
            if (batch.memory.empty() && m_spool) {
                batch.mapped = std::make_unique<SpooledBatch>(m_spool->open(t, k));
                batch.losses = batch.mapped->losses();
            }
        }
        describe(t);
    }
    std::sort(m_info.tasks.begin(), m_info.tasks.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    m_info.createdBy = "qkov " QKOV_VERSION;
    m_info.model = m_plan.shape;
    m_info.headTypes = types;
    m_info.fingerprint = planFingerprint(m_request, m_plan);
}

void CapturedGradients::setFisher(const std::string& task, dump::FisherSet set,
                                  std::map<std::string, std::vector<double>> values) {
    for (dump::TaskInfo& info : m_info.tasks) {
        if (info.name == task) {
            m_fisher[task][set.name] = std::move(values);
            info.fisher[set.name] = std::move(set);
        }
    }
}

std::size_t CapturedGradients::taskOf(const dump::TaskInfo& task) const {
    for (std::size_t t = 0; t < m_tasks.size(); ++t) {
        if (m_plan.tasks[t].name == task.name) {
            return t;
        }
    }
    throw InputError("there is no task " + task.name);
}

const CapturedGradients::Recorded& CapturedGradients::recorded(const std::string& parameter) const {
    const auto it = m_recorded.find(parameter);
    if (it == m_recorded.end()) {
        throw InputError("there are no gradients of " + parameter);
    }
    return it->second;
}

const std::byte* CapturedGradients::data(std::size_t t, std::int64_t sample, const Recorded& r,
                                         std::vector<std::byte>& buffer) const {
    const Task& task = m_tasks[t];
    const auto [batch, inBatch] = task.place.at(static_cast<std::size_t>(sample));
    if (m_store && !r.bias) {
        const RecordedParameter& p = m_plan.parameters[r.parameter];
        const std::int64_t rows = task.lengths[static_cast<std::size_t>(sample)];
        const auto number = static_cast<std::int64_t>(dtypeSize(m_request.storage));
        buffer.resize(static_cast<std::size_t>(rows * (p.dIn + p.dOut) * number));
        m_store->read(t, r.parameter, task.starts[static_cast<std::size_t>(sample)], rows,
                      buffer.data(), buffer.data() + rows * p.dIn * number);
        return buffer.data();
    }
    const Batch& b = task.batches[batch];
    return b.payload() + (r.bias ? b.layout->biasOffset(r.parameter, inBatch)
                                 : b.layout->offset(r.parameter, inBatch));
}

DType CapturedGradients::nativeType(const dump::TaskInfo&, const dump::ParameterEntry& parameter,
                                    engine::Quantity) const {
    return parameter.storage == dump::Storage::dense ? parameter.dtype : DType::f32;
}

void CapturedGradients::read(const dump::TaskInfo& info, const dump::ParameterEntry& parameter,
                             engine::Quantity quantity, std::span<const std::int64_t> samples,
                             const dump::Region& region, DType type, void* target) const {
    if (quantity == engine::Quantity::contributions) {
        throw InputError("captured gradients hold no contributions of " + parameter.name);
    }
    const std::size_t t = taskOf(info);
    const Task& task = m_tasks[t];
    const Recorded& r = recorded(parameter.name);
    const RecordedParameter& p = m_plan.parameters[r.parameter];
    std::vector<std::byte> fetched;
    const bool dense = parameter.storage == dump::Storage::dense;
    const std::int64_t width = parameter.shape.size() > 1 ? parameter.shape[1] : 1;
    const std::size_t size = dtypeSize(parameter.dtype);
    auto* out = static_cast<std::byte*>(target);
    std::vector<double> sums, row;
    std::vector<float> x, g;
    for (const std::int64_t sample : samples) {
        const std::byte* from = data(t, sample, r, fetched);
        if (dense) {
            for (std::int64_t i = 0; i < region.rows; ++i) {
                const std::byte* at =
                    from +
                    static_cast<std::size_t>((region.row + i) * width + region.column) * size;
                const auto n = static_cast<std::size_t>(region.columns);
                if (type == DType::f64) {
                    convertToDouble(at, parameter.dtype, n, reinterpret_cast<double*>(out));
                } else {
                    std::memcpy(out, at, n * size);
                }
                out += n * dtypeSize(type);
            }
            continue;
        }
        // Σ_t, in float64: the reference path, for pairs.
        const auto length =
            static_cast<std::size_t>(task.lengths[static_cast<std::size_t>(sample)]);
        const auto dIn = static_cast<std::size_t>(p.dIn), dOut = static_cast<std::size_t>(p.dOut);
        x.resize(length * dIn);
        g.resize(length * dOut);
        convertToFloat(from, m_request.storage, x.size(), x.data());
        convertToFloat(from + x.size() * size, m_request.storage, g.size(), g.data());
        const float* rows = p.inOut ? x.data() : g.data();
        const float* columns = p.inOut ? g.data() : x.data();
        const std::size_t rowWidth = p.inOut ? dIn : dOut, columnWidth = p.inOut ? dOut : dIn;
        for (std::int64_t i = 0; i < region.rows; ++i) {
            sums.assign(static_cast<std::size_t>(region.columns), 0.0);
            for (std::size_t token = 0; token < length; ++token) {
                const double a = rows[token * rowWidth + static_cast<std::size_t>(region.row + i)];
                const float* b = columns + token * columnWidth + region.column;
                for (std::size_t c = 0; c < sums.size(); ++c) {
                    sums[c] += a * double(b[c]);
                }
            }
            if (type == DType::f64) {
                std::memcpy(out, sums.data(), sums.size() * sizeof(double));
            } else {
                std::copy(sums.begin(), sums.end(), reinterpret_cast<float*>(out));
            }
            out += sums.size() * dtypeSize(type);
        }
    }
}

bool CapturedGradients::hasFactors(const dump::TaskInfo&,
                                   const dump::ParameterEntry& parameter) const {
    return parameter.storage == dump::Storage::factored;
}

std::span<const std::int32_t> CapturedGradients::factorLengths(const dump::TaskInfo& task,
                                                               const dump::ParameterEntry&) const {
    return m_tasks[taskOf(task)].lengths;
}

std::array<DType, 2> CapturedGradients::factorTypes(const dump::TaskInfo&,
                                                    const dump::ParameterEntry&) const {
    return {m_request.storage, m_request.storage};
}

void CapturedGradients::readFactors(const dump::TaskInfo& info,
                                    const dump::ParameterEntry& parameter,
                                    std::span<const std::int64_t> samples,
                                    const dump::Region& region, void* input,
                                    void* gradOutput) const {
    const std::size_t t = taskOf(info);
    const Task& task = m_tasks[t];
    const Recorded& r = recorded(parameter.name);
    const RecordedParameter& p = m_plan.parameters[r.parameter];
    std::vector<std::byte> fetched;
    const std::size_t size = dtypeSize(m_request.storage);
    auto* x = static_cast<std::byte*>(input);
    auto* g = static_cast<std::byte*>(gradOutput);
    const auto copy = [&](std::byte*& to, const std::byte* from, std::size_t rows,
                          std::size_t width, std::int64_t first, std::int64_t count) {
        const auto n = static_cast<std::size_t>(count);
        if (n == width) {
            std::memcpy(to, from, rows * width * size);
        } else {
            for (std::size_t token = 0; token < rows; ++token) {
                std::memcpy(to + token * n * size,
                            from + (token * width + static_cast<std::size_t>(first)) * size,
                            n * size);
            }
        }
        to += rows * n * size;
    };
    for (const std::int64_t sample : samples) {
        const std::byte* from = data(t, sample, r, fetched);
        const auto length =
            static_cast<std::size_t>(task.lengths[static_cast<std::size_t>(sample)]);
        const auto dIn = static_cast<std::size_t>(p.dIn), dOut = static_cast<std::size_t>(p.dOut);
        if (x) {
            copy(x, from, length, dIn, p.inOut ? region.row : region.column,
                 p.inOut ? region.rows : region.columns);
        }
        if (g) {
            copy(g, from + length * dIn * size, length, dOut, p.inOut ? region.column : region.row,
                 p.inOut ? region.columns : region.rows);
        }
    }
}

engine::DeviceFactors
CapturedGradients::deviceFactors(const dump::TaskInfo& info,
                                 const dump::ParameterEntry& parameter) const {
    if (!m_store || parameter.storage != dump::Storage::factored) {
        return {};
    }
    const std::size_t t = taskOf(info);
    const FactorStore::Place place = m_store->place(t, recorded(parameter.name).parameter);
    return {m_store->device(), place.input, place.gradOutput, m_tasks[t].starts};
}

void CapturedGradients::readFisherElements(const dump::TaskInfo& task, const dump::FisherSet&,
                                           const std::string& parameter, const dump::Region&,
                                           double*) const {
    throw InputError("captured gradients of task " + task.name + " hold no Fisher of " + parameter);
}

std::vector<double> CapturedGradients::readFisherReduced(const dump::TaskInfo& task,
                                                         const dump::FisherSet& set,
                                                         const std::string& parameter) const {
    if (const auto ofTask = m_fisher.find(task.name); ofTask != m_fisher.end()) {
        if (const auto ofSet = ofTask->second.find(set.name); ofSet != ofTask->second.end()) {
            if (const auto it = ofSet->second.find(parameter); it != ofSet->second.end()) {
                return it->second;
            }
        }
    }
    throw InputError("captured gradients of task " + task.name + " hold no Fisher of " + parameter);
}

} // namespace qkov::collect
