// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpReader.h"

#include "dump/DumpImpl.h"
#include "dump/OuterSum.h"

#include <algorithm>
#include <cmath>

namespace qkov::dump {
namespace {

/// The same numbers in another order: where a matrix's rows and columns come from.
FeatureRange inputsOf(const ParameterEntry& entry, const Region& region) {
    return entry.inOut ? FeatureRange{region.row, region.rows}
                       : FeatureRange{region.column, region.columns};
}
FeatureRange outputsOf(const ParameterEntry& entry, const Region& region) {
    return entry.inOut ? FeatureRange{region.column, region.columns}
                       : FeatureRange{region.row, region.rows};
}

Region tokensBy(std::int64_t tokens, const FeatureRange& features) {
    return {0, tokens, features.first, features.count};
}

std::string elementText(const Region& region, std::size_t index, bool vector) {
    const auto i = static_cast<std::int64_t>(index);
    const std::int64_t r = region.row + i / region.columns;
    const std::int64_t c = region.column + i % region.columns;
    return vector ? "[" + std::to_string(r) + "]"
                  : "[" + std::to_string(r) + ", " + std::to_string(c) + "]";
}

/// Contributions are squares: a negative one means the file is wrong. NaN is the caller's affair.
template <class T>
void refuseNegative(const NumberSource& source, const TaskInfo& task,
                    std::span<const std::int64_t> samples, const Region& region, const T* values) {
    const auto count = static_cast<std::size_t>(region.count());
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const T* v = values + i * count;
        bool negative = false;
        for (std::size_t k = 0; k < count; ++k) {
            negative |= v[k] < 0;
        }
        if (!negative) {
            continue;
        }
        const auto k =
            static_cast<std::size_t>(std::find_if(v, v + count, [](T x) { return x < 0; }) - v);
        const auto s = static_cast<std::size_t>(samples[i]);
        source.fail("sample " + std::to_string(s) + " (id \"" + task.samples[s].id +
                    "\") has the negative contribution " + std::to_string(v[k]) + " at " +
                    elementText(region, k, source.shape().size() == 1));
    }
}

template <class T>
void rebuild(const ParameterSources& sources, const ParameterEntry& entry,
             std::span<const std::int64_t> samples, const Region& region, T* target) {
    const FeatureRange in = inputsOf(entry, region);
    const FeatureRange out = outputsOf(entry, region);
    const auto count = static_cast<std::size_t>(region.count());
    thread_local std::vector<T> x, g;
    std::size_t askedIn = 0, askedOut = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        sources.input->announce(samples, i, tokensBy(entry.maxTokens, in), askedIn);
        sources.gradOutput->announce(samples, i, tokensBy(entry.maxTokens, out), askedOut);
        const std::int64_t sample = samples[i];
        const std::int64_t tokens = sources.lengths[static_cast<std::size_t>(sample)];
        x.resize(static_cast<std::size_t>(tokens * in.count));
        g.resize(static_cast<std::size_t>(tokens * out.count));
        sources.input->read({&sample, 1}, tokensBy(tokens, in), x.data());
        sources.gradOutput->read({&sample, 1}, tokensBy(tokens, out), g.data());
        T* to = target + i * count;
        if (entry.inOut) {
            outerSum(x.data(), g.data(), tokens, region.rows, region.columns, to);
        } else {
            outerSum(g.data(), x.data(), tokens, region.rows, region.columns, to);
        }
    }
}

void checkRegion(const ParameterEntry& entry, const std::filesystem::path& file,
                 std::span<const std::int64_t> samples, std::size_t taskSamples,
                 const Region& region) {
    const std::int64_t rows = entry.shape.front();
    const std::int64_t columns = entry.shape.size() > 1 ? entry.shape[1] : 1;
    const bool inside = region.row >= 0 && region.rows >= 0 && region.row <= rows &&
                        region.rows <= rows - region.row && region.column >= 0 &&
                        region.columns >= 0 && region.column <= columns &&
                        region.columns <= columns - region.column;
    const bool known = std::all_of(samples.begin(), samples.end(), [&](std::int64_t s) {
        return s >= 0 && static_cast<std::size_t>(s) < taskSamples;
    });
    if (!inside || !known) {
        throw InputError("a part outside the parameter or its samples was asked for", file,
                         entry.name);
    }
}

template <class T>
void gradients(const DumpReader::Impl& dump, const TaskInfo& task, const std::string& parameter,
               std::span<const std::int64_t> samples, const Region& region, T* target) {
    const ParameterEntry& entry = dump.entry(task, parameter);
    const ParameterSources& sources = dump.sources(task, parameter);
    checkRegion(entry, dump.file, samples, task.samples.size(), region);
    switch (entry.storage) {
    case Storage::dense:
        sources.gradients->read(samples, region, target);
        return;
    case Storage::factored:
        rebuild(sources, entry, samples, region, target);
        return;
    case Storage::contributions:
        break;
    }
    sources.contributions->read(samples, region, target);
    refuseNegative(*sources.contributions, task, samples, region, target);
    const auto count = static_cast<std::size_t>(region.count());
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const T scale =
            entry.contributionsPerToken
                ? static_cast<T>(task.samples[static_cast<std::size_t>(samples[i])].tokens)
                : T(1);
        for (std::size_t k = 0; k < count; ++k) {
            T& v = target[i * count + k];
            v = std::sqrt(v * scale);
        }
    }
}

template <class T>
void contributions(const DumpReader::Impl& dump, const TaskInfo& task, const std::string& parameter,
                   std::span<const std::int64_t> samples, const Region& region, T* target) {
    const ParameterEntry& entry = dump.entry(task, parameter);
    if (entry.storedContributions) {
        const ParameterSources& sources = dump.sources(task, parameter);
        sources.contributions->read(samples, region, target);
        refuseNegative(*sources.contributions, task, samples, region, target);
        return;
    }
    gradients(dump, task, parameter, samples, region, target);
    const std::size_t n = static_cast<std::size_t>(region.count()) * samples.size();
    for (std::size_t k = 0; k < n; ++k) {
        target[k] *= target[k];
    }
}

} // namespace

const ParameterEntry& DumpReader::Impl::entry(const TaskInfo& task,
                                              const std::string& parameter) const {
    const auto it = task.parameters.find(parameter);
    if (it == task.parameters.end()) {
        throw InputError("task \"" + task.name + "\" has no gradients of it", file, parameter);
    }
    return it->second;
}

const ParameterSources& DumpReader::Impl::sources(const TaskInfo& task,
                                                  const std::string& parameter) const {
    const auto t = tasks.find(task.name);
    if (t != tasks.end()) {
        const auto it = t->second.parameters.find(parameter);
        if (it != t->second.parameters.end()) {
            return it->second;
        }
    }
    throw InputError("task \"" + task.name + "\" has no gradients of it", file, parameter);
}

const FisherSource& DumpReader::Impl::fisher(const TaskInfo& task, const FisherSet& set,
                                             const std::string& parameter) const {
    const auto t = tasks.find(task.name);
    if (t != tasks.end()) {
        const auto s = t->second.fisher.find(set.name);
        if (s != t->second.fisher.end()) {
            const auto it = s->second.find(parameter);
            if (it != s->second.end()) {
                return it->second;
            }
        }
    }
    throw InputError("task \"" + task.name + "\" has no " + set.name + " Fisher of it", file,
                     parameter);
}

DumpReader::DumpReader(const std::filesystem::path& file, const std::string& layoutJson,
                       const Job* job)
    : m_impl(std::make_unique<Impl>()) {
    m_impl->file = file;
    m_impl->job = job;
    m_impl->open(layoutJson);
    m_impl->job = nullptr;
}

DumpReader::~DumpReader() = default;
DumpReader::DumpReader(DumpReader&&) noexcept = default;
DumpReader& DumpReader::operator=(DumpReader&&) noexcept = default;

const std::filesystem::path& DumpReader::file() const {
    return m_impl->file;
}
const DumpInfo& DumpReader::info() const {
    return m_impl->info;
}
const model::HeadLayout& DumpReader::layout() const {
    return *m_impl->layout;
}

void DumpReader::readGradients(const TaskInfo& task, const std::string& parameter,
                               std::span<const std::int64_t> samples, const Region& region,
                               float* target) const {
    gradients(*m_impl, task, parameter, samples, region, target);
}

void DumpReader::readGradients(const TaskInfo& task, const std::string& parameter,
                               std::span<const std::int64_t> samples, const Region& region,
                               double* target) const {
    gradients(*m_impl, task, parameter, samples, region, target);
}

void DumpReader::readContributions(const TaskInfo& task, const std::string& parameter,
                                   std::span<const std::int64_t> samples, const Region& region,
                                   double* target) const {
    contributions(*m_impl, task, parameter, samples, region, target);
}

void DumpReader::readContributions(const TaskInfo& task, const std::string& parameter,
                                   std::span<const std::int64_t> samples, const Region& region,
                                   float* target) const {
    contributions(*m_impl, task, parameter, samples, region, target);
}

const NumberSource& DumpReader::Impl::dense(const TaskInfo& task, const std::string& parameter,
                                            Part part) const {
    const ParameterSources& all = sources(task, parameter);
    const auto& source = part == Part::contributions ? all.contributions : all.gradients;
    if ((part != Part::gradients && part != Part::contributions) || !source) {
        throw InputError("is not stored in this form", file, parameter);
    }
    return *source;
}

void DumpReader::readRaw(const TaskInfo& task, const std::string& parameter, Part part,
                         std::span<const std::int64_t> samples, const Region& region,
                         void* target) const {
    m_impl->dense(task, parameter, part).readRaw(samples, region, static_cast<std::byte*>(target));
}

std::unique_ptr<PieceReader> DumpReader::pieces(const TaskInfo& task, const std::string& parameter,
                                                Part part, std::span<const std::int64_t> samples,
                                                const Region& region, bool again) const {
    return m_impl->dense(task, parameter, part).pieces(samples, region, again);
}

std::span<const std::int32_t> DumpReader::factorLengths(const TaskInfo& task,
                                                        const std::string& parameter) const {
    return m_impl->sources(task, parameter).lengths;
}

namespace {

/// One factor of several samples, without padding; read(sample, region, target) per sample.
template <class T, class Read>
void readFactor(const ParameterSources& sources, const NumberSource& source,
                const FeatureRange& features, std::span<const std::int64_t> samples,
                std::size_t size, T* target, Read&& read) {
    if (!target) {
        return;
    }
    auto* to = reinterpret_cast<std::byte*>(target);
    std::size_t asked = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::int64_t sample = samples[i];
        source.announce(samples, i, tokensBy(source.rows(), features), asked);
        const std::int64_t tokens = sources.lengths[static_cast<std::size_t>(sample)];
        read(std::span(&sample, 1), tokensBy(tokens, features), reinterpret_cast<T*>(to));
        to += static_cast<std::size_t>(tokens * features.count) * size;
    }
}

const ParameterSources& factorsOf(const DumpReader::Impl& dump, const TaskInfo& task,
                                  const std::string& parameter,
                                  std::span<const std::int64_t> samples) {
    const ParameterSources& sources = dump.sources(task, parameter);
    if (!sources.input) {
        throw InputError("is not stored as factors", dump.file, parameter);
    }
    sources.input->check(samples, {0, 0, 0, 0});
    return sources;
}

} // namespace

void DumpReader::readFactors(const TaskInfo& task, const std::string& parameter,
                             std::span<const std::int64_t> samples, const FeatureRange& input,
                             const FeatureRange& gradOutput, float* inputTarget,
                             float* gradOutputTarget) const {
    const ParameterSources& sources = factorsOf(*m_impl, task, parameter, samples);
    const auto with = [](const NumberSource& source) {
        return [&source](std::span<const std::int64_t> s, const Region& region, float* to) {
            source.read(s, region, to);
        };
    };
    readFactor(sources, *sources.input, input, samples, sizeof(float), inputTarget,
               with(*sources.input));
    readFactor(sources, *sources.gradOutput, gradOutput, samples, sizeof(float), gradOutputTarget,
               with(*sources.gradOutput));
}

void DumpReader::readFactorsRaw(const TaskInfo& task, const std::string& parameter,
                                std::span<const std::int64_t> samples, const FeatureRange& input,
                                const FeatureRange& gradOutput, void* inputTarget,
                                void* gradOutputTarget) const {
    const ParameterSources& sources = factorsOf(*m_impl, task, parameter, samples);
    const auto with = [](const NumberSource& source) {
        return [&source](std::span<const std::int64_t> s, const Region& region, std::byte* to) {
            source.readRaw(s, region, to);
        };
    };
    readFactor(sources, *sources.input, input, samples, dtypeSize(sources.input->dtype()),
               static_cast<std::byte*>(inputTarget), with(*sources.input));
    readFactor(sources, *sources.gradOutput, gradOutput, samples,
               dtypeSize(sources.gradOutput->dtype()), static_cast<std::byte*>(gradOutputTarget),
               with(*sources.gradOutput));
}

InPlace DumpReader::inPlace(const TaskInfo& task, const std::string& parameter, Part part,
                            std::int64_t first, std::int64_t count, const Region& region) const {
    const ParameterSources& s = m_impl->sources(task, parameter);
    const auto& source = part == Part::contributions ? s.contributions : s.gradients;
    if ((part != Part::gradients && part != Part::contributions) || !source) {
        return {};
    }
    return source->inPlace(first, count, region);
}

void DumpReader::releaseInPlace(const InPlace& numbers, std::int64_t samples,
                                std::int64_t bytes) const {
    const MappedFile* file = m_impl->files.mappedAt(numbers.values);
    if (file == nullptr || samples < 1) {
        return;
    }
    if (numbers.sampleBytes <= bytes + static_cast<std::int64_t>(MappedFile::mostAround)) {
        file->release(numbers.values,
                      static_cast<std::uint64_t>((samples - 1) * numbers.sampleBytes + bytes));
        return;
    }
    for (std::int64_t s = 0; s < samples; ++s) {
        file->release(numbers.values + s * numbers.sampleBytes, static_cast<std::uint64_t>(bytes));
    }
}

std::int64_t DumpReader::inPlaceBytes(const InPlace& numbers, std::int64_t samples,
                                      std::int64_t bytes) {
    return samples *
           std::min(numbers.sampleBytes, bytes + static_cast<std::int64_t>(MappedFile::around));
}

void DumpReader::checkInPlace() const {
    if (m_impl->files.anyBroken()) {
        throw InputError("can't be read any more: it was changed or its disk failed", m_impl->file,
                         "");
    }
}

std::optional<DirectData> DumpReader::direct(const TaskInfo& task, const std::string& parameter,
                                             Part part) const {
    const ParameterSources& s = m_impl->sources(task, parameter);
    const auto& source = part == Part::gradients       ? s.gradients
                         : part == Part::contributions ? s.contributions
                         : part == Part::input         ? s.input
                                                       : s.gradOutput;
    return source ? source->direct() : std::nullopt;
}

void DumpReader::readFisherElements(const TaskInfo& task, const FisherSet& set,
                                    const std::string& parameter, const Region& region,
                                    double* target) const {
    const FisherSource& source = m_impl->fisher(task, set, parameter);
    const auto entry = set.parameters.find(parameter);
    if (entry == set.parameters.end() || entry->second.resolution != Resolution::element) {
        source.values.fail("is not stored element by element");
    }
    const std::int64_t only = 0;
    source.values.read({&only, 1}, region, target);
    for (std::int64_t i = 0; i < region.count(); ++i) {
        if (target[i] < 0) {
            source.values.fail("has the negative value " + std::to_string(target[i]) + " at " +
                               elementText(region, static_cast<std::size_t>(i),
                                           source.values.shape().size() == 1));
        }
        target[i] *= source.scale;
    }
}

std::vector<double> DumpReader::readFisherReduced(const TaskInfo& task, const FisherSet& set,
                                                  const std::string& parameter) const {
    const FisherSource& source = m_impl->fisher(task, set, parameter);
    const Region whole{0, source.values.rows(), 0, source.values.columns()};
    std::vector<double> values(static_cast<std::size_t>(whole.count()));
    const std::int64_t only = 0;
    source.values.read({&only, 1}, whole, values.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] < 0) {
            source.values.fail("has the negative value " + std::to_string(values[i]) + " at " +
                               elementText(whole, i, source.values.shape().size() == 1));
        }
        values[i] *= source.scale;
    }
    return values;
}

std::uint64_t DumpReader::bytesPerSample(const TaskInfo& task, const std::string& parameter) const {
    const ParameterSources& s = m_impl->sources(task, parameter);
    std::uint64_t bytes = 0;
    for (const auto* part : {&s.gradients, &s.contributions, &s.input, &s.gradOutput}) {
        bytes += *part ? (*part)->bytesPerSample() : 0;
    }
    return bytes;
}

} // namespace qkov::dump
