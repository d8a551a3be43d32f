// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Import.h"

#include "base/Error.h"
#include "dump/DumpWriter.h"
#include "dump/ImportStore.h"
#include "model/ModelConfig.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace qkov::dump {
namespace {

/// One attention matrix of a store.
struct Matrix {
    std::size_t module = 0; ///< of the store
    const model::ParameterInfo* parameter = nullptr;
    std::int64_t out = 0, in = 0;
    bool biasColumn = false; ///< stored [out, in + 1]
};

Matrix fit(const StoreModule& module, std::size_t index, const model::ParameterInfo& p,
           const std::filesystem::path& store) {
    const bool headsOut = (p.headAxis == model::Axis::columns) == p.inOut;
    Matrix m{index, &p, headsOut ? p.headAxisLength : p.otherAxisLength,
             headsOut ? p.otherAxisLength : p.headAxisLength, false};
    // One axis may be free; the other tells it.
    std::int64_t plain = 0, wide = 0;
    if (__builtin_mul_overflow(m.out, m.in, &plain) ||
        __builtin_add_overflow(plain, m.out, &wide) || m.in > INT64_MAX / 2) {
        throw InputError("is too large: [" + std::to_string(m.out) + ", " + std::to_string(m.in) +
                             "] by the model's config",
                         store, module.name);
    }
    if (m.out == 0 && m.in > 0) {
        m.out = module.count % m.in == 0 ? module.count / m.in : module.count / (m.in + 1);
    } else if (m.in == 0 && m.out > 0) {
        m.in = module.count / m.out;
    }
    m.biasColumn = module.count == m.out * (m.in + 1);
    const bool shapeFits =
        module.out == 0 || (module.out == m.out && (module.in == m.in || module.in == m.in + 1));
    if ((module.count != m.out * m.in && !m.biasColumn) || !shapeFits) {
        const std::string given =
            module.out ? "[" + std::to_string(module.out) + ", " + std::to_string(module.in) + "]"
                       : std::to_string(module.count) + " numbers";
        throw InputError("has " + given + ", but the model's matrix is [" + std::to_string(m.out) +
                             ", " + std::to_string(m.in) +
                             "]; projected gradients have no head axis",
                         store, module.name, "build the store without projection");
    }
    return m;
}

struct SampleLine {
    std::string id, text, group;
    std::int32_t tokens = 0;
};

std::vector<SampleLine> readSampleLines(const std::filesystem::path& file) {
    std::ifstream in(file);
    if (!in) {
        throw InputError("can't be opened", file);
    }
    if (std::error_code ignored; std::filesystem::is_directory(file, ignored)) {
        throw InputError("is a folder, expected JSON Lines", file);
    }
    std::vector<SampleLine> lines;
    std::string text;
    for (std::size_t number = 1; std::getline(in, text); ++number) {
        if (text.find_first_not_of(" \t\r") == std::string::npos) {
            continue;
        }
        const auto json = nlohmann::json::parse(text, nullptr, false);
        if (!json.is_object()) {
            throw InputError("is not a JSON object", file, "line " + std::to_string(number));
        }
        try {
            SampleLine line;
            if (const auto id = json.find("id"); id != json.end()) {
                line.id = id->is_number_integer() ? id->dump() : id->get<std::string>();
            }
            line.text = json.value("text", "");
            line.group = json.value("group", "");
            if (const auto n = json.find("n_tokens"); n != json.end()) {
                const auto tokens = wholeNumber(*n, INT32_MAX);
                if (!tokens) {
                    throw InputError("has an n_tokens that is no number of tokens", file,
                                     "line " + std::to_string(number));
                }
                line.tokens = static_cast<std::int32_t>(*tokens);
            }
            lines.push_back(std::move(line));
        } catch (const nlohmann::json::exception&) {
            throw InputError(
                "has a key of the wrong type; id, text and group are texts, n_tokens a number",
                file, "line " + std::to_string(number));
        }
    }
    return lines;
}

std::vector<SampleInfo> sampleInfos(const GradientStore& store, const ImportTask& task) {
    std::vector<SampleInfo> samples;
    for (const std::string& id : store.ids()) {
        samples.push_back({id, {}, {}, 0, std::numeric_limits<float>::quiet_NaN()});
    }
    if (task.samples.empty()) {
        return samples;
    }
    const auto lines = readSampleLines(task.samples);
    const auto take = [](SampleInfo& s, const SampleLine& line) {
        s.text = line.text;
        s.group = line.group;
        s.tokens = line.tokens;
    };
    if (store.ordered()) {
        if (lines.size() != samples.size()) {
            throw InputError("has " + std::to_string(lines.size()) + " samples, the store " +
                                 std::to_string(samples.size()),
                             task.samples);
        }
        for (std::size_t i = 0; i < lines.size(); ++i) {
            take(samples[i], lines[i]);
            if (!lines[i].id.empty()) {
                samples[i].id = lines[i].id;
            }
        }
    } else {
        std::map<std::string, const SampleLine*> byId;
        for (const SampleLine& line : lines) {
            if (!byId.emplace(line.id, &line).second) {
                throw InputError("has the id '" + line.id + "' twice", task.samples);
            }
        }
        for (SampleInfo& s : samples) {
            const auto it = byId.find(s.id);
            if (it == byId.end()) {
                throw InputError("has no line for the sample '" + s.id + "'", task.samples);
            }
            take(s, *it->second);
        }
    }
    std::map<std::string, std::size_t> seen;
    for (const SampleInfo& s : samples) {
        if (++seen[s.id] > 1) {
            throw InputError("has the id '" + s.id + "' twice", task.samples);
        }
    }
    return samples;
}

std::unique_ptr<GradientStore> openStore(const std::filesystem::path& folder) {
    if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
        throw InputError("is not a folder", folder);
    }
    if (auto store = openBergsonStore(folder)) {
        return store;
    }
    if (auto store = openLogixLog(folder)) {
        return store;
    }
    throw InputError("is not a gradient store that can be read", folder, {},
                     "expected bergson's info.json and gradients.bin, or LogIX's *_metadata.json "
                     "and *.mmap");
}

/// The attention matrices of a store, and the layout they point into.
struct Found {
    model::HeadLayout layout;
    std::vector<Matrix> matrices;
};

Found findMatrices(const GradientStore& store, const ImportTask& task,
                   const model::ModelShape& shape) {
    std::vector<std::string> names;
    std::map<std::string, std::size_t> moduleOf;
    for (std::size_t m = 0; m < store.modules().size(); ++m) {
        for (const char* ending : {".weight", ".bias"}) {
            names.push_back(store.modules()[m].name + ending);
        }
        moduleOf[store.modules()[m].name + ".weight"] = m;
    }
    Found found{model::HeadLayout(shape, names), {}};
    for (const model::ParameterInfo& p : found.layout.parameters()) {
        const auto it = moduleOf.find(p.name);
        if (it != moduleOf.end()) {
            const std::string& name = store.modules()[it->second].name;
            if (std::any_of(name.begin(), name.end(), [](char c) {
                    return c == '/' || (static_cast<unsigned char>(c) < 0x20) || c == 0x7f;
                })) {
                throw InputError("'" + name + "' can't be the name of a parameter", task.store);
            }
            found.matrices.push_back(fit(store.modules()[it->second], it->second, p, task.store));
        }
    }
    if (found.matrices.empty()) {
        throw InputError("holds no attention matrices of a " + shape.architecture +
                             " model; its first module is '" + store.modules().front().name + "'",
                         task.store, {}, "give the config of the model the store was built from");
    }
    return found;
}

DType dumpDType(const GradientStore& store) {
    return store.dtype() == DType::f64 ? DType::f32 : store.dtype();
}

model::ModelShape shapeOf(const ImportRequest& request) {
    std::error_code ignored;
    const std::filesystem::path config = std::filesystem::is_directory(request.config, ignored)
                                             ? request.config / "config.json"
                                             : request.config;
    return model::shapeFromConfig(readText(config, 64U << 20), config);
}

void importTask(const GradientStore& store, const ImportTask& task, const model::ModelShape& shape,
                DumpWriter& writer, const ImportRequest& request, ImportSummary& summary,
                Job& job) {
    const Found found = findMatrices(store, task, shape);
    const std::vector<Matrix>& matrices = found.matrices;
    const std::vector<SampleInfo> samples = sampleInfos(store, task);
    writer.beginTask(task.name, request.lossReduction, samples);
    const DType dtype = dumpDType(store);
    for (const Matrix& m : matrices) {
        const bool inOut = m.parameter->inOut;
        writer.declareGradients(m.parameter->name,
                                inOut ? std::vector{m.in, m.out} : std::vector{m.out, m.in}, dtype);
        const bool bias = m.biasColumn && !m.parameter->bias.empty();
        if (bias) {
            writer.declareGradients(m.parameter->bias, {m.out}, dtype);
        }
        const std::int64_t columns = m.in + (m.biasColumn ? 1 : 0);
        std::vector<float> block(static_cast<std::size_t>(m.out * columns));
        std::vector<float> own(static_cast<std::size_t>(m.out * m.in));
        std::vector<float> biasValues(static_cast<std::size_t>(m.out));
        for (std::size_t s = 0; s < samples.size(); ++s) {
            job.checkCancelled();
            store.read(s, m.module, block.data());
            for (std::int64_t o = 0; o < m.out; ++o) {
                for (std::int64_t i = 0; i < m.in; ++i) {
                    own[static_cast<std::size_t>(inOut ? i * m.out + o : o * m.in + i)] =
                        block[static_cast<std::size_t>(o * columns + i)];
                }
                if (m.biasColumn) {
                    biasValues[static_cast<std::size_t>(o)] =
                        block[static_cast<std::size_t>(o * columns + m.in)];
                }
            }
            const auto first = static_cast<std::int64_t>(s);
            writer.writeGradients(m.parameter->name, first, 1, own.data());
            if (bias) {
                writer.writeGradients(m.parameter->bias, first, 1, biasValues.data());
            }
        }
        job.advance(static_cast<double>(&m - matrices.data() + 1) /
                    static_cast<double>(matrices.size()));
    }
    summary.tasks.push_back({task.name, store.kind(), static_cast<std::int64_t>(samples.size()),
                             static_cast<std::int64_t>(matrices.size())});
    summary.warnings.insert(summary.warnings.end(), store.warnings().begin(),
                            store.warnings().end());
}

} // namespace

namespace {

/// One line; it stands beside the field that names the file's folder.
template <class Work>
std::string problemOf(Work&& work) {
    try {
        work();
    } catch (const InputError& e) {
        std::string text = e.file().filename().string();
        text += (text.empty() ? "" : " ") + e.problem();
        if (!e.innerPath().empty()) {
            text += " (" + e.innerPath() + ")";
        }
        return text + (e.advice().empty() ? "" : "; " + e.advice());
    } catch (const std::exception& e) {
        return e.what();
    }
    return {};
}

} // namespace

ImportPreview previewImport(const ImportRequest& request) {
    ImportPreview preview;
    if (!request.config.empty()) {
        preview.configProblem = problemOf([&] { preview.model = shapeOf(request); });
    }
    model::ModelShape& shape = preview.model;
    if (!request.layout.empty()) {
        preview.layoutProblem =
            problemOf([&] { shape.layoutJson = model::readLayoutFile(request.layout); });
    }
    const auto known = model::knownArchitectures();
    const bool unknown = shape.numLayers > 0 && shape.layoutJson.empty() &&
                         std::find(known.begin(), known.end(), shape.architecture) == known.end();
    if (unknown && preview.layoutProblem.empty()) {
        preview.layoutProblem =
            "the architecture \"" + shape.architecture + "\" is unknown; give its layout file";
    }
    for (const ImportTask& task : request.tasks) {
        ImportPreview::Task& t = preview.tasks.emplace_back();
        if (task.store.empty()) {
            continue;
        }
        std::unique_ptr<GradientStore> store;
        t.storeProblem = problemOf([&] {
            store = openStore(task.store);
            t.kind = store->kind();
            t.samples = static_cast<std::int64_t>(store->ids().size());
            t.modules = static_cast<std::int64_t>(store->modules().size());
            t.dtype = dtypeName(dumpDType(*store));
            for (const StoreModule& m : store->modules()) {
                t.names.push_back(m.name);
            }
            if (shape.numLayers > 0 && preview.layoutProblem.empty()) {
                const Found found = findMatrices(*store, task, shape);
                t.parameters = static_cast<std::int64_t>(found.matrices.size());
                for (const Matrix& m : found.matrices) {
                    const bool bias = m.biasColumn && !m.parameter->bias.empty();
                    t.diskBytes += static_cast<double>(m.out * (m.in + (bias ? 1 : 0))) *
                                   static_cast<double>(t.samples) *
                                   static_cast<double>(dtypeSize(dumpDType(*store)));
                }
            }
        });
        if (store) {
            preview.warnings.insert(preview.warnings.end(), store->warnings().begin(),
                                    store->warnings().end());
            t.samplesProblem = problemOf([&] { sampleInfos(*store, task); });
        }
        preview.diskBytes += t.diskBytes;
    }
    return preview;
}

std::vector<std::filesystem::path> importedFiles(const ImportRequest& request) {
    std::vector<std::filesystem::path> files{request.config, request.config / "config.json",
                                             request.layout};
    for (const ImportTask& task : request.tasks) {
        files.push_back(task.samples);
        for (auto& file : filesOf(task.store)) {
            files.push_back(std::move(file));
        }
    }
    std::erase_if(files, [](const auto& file) { return file.empty() || !isThere(file); });
    return files;
}

ImportSummary importStores(const ImportRequest& request, Job& job) {
    if (request.tasks.empty()) {
        throw UsageError("nothing to import; give NAME=STORE");
    }
    for (const auto& file : importedFiles(request)) {
        std::error_code ignored;
        if (std::filesystem::equivalent(file, request.out, ignored)) {
            throw UsageError(request.out.string() + " is an input; write to another file");
        }
    }
    model::ModelShape shape = shapeOf(request);
    if (!request.layout.empty()) {
        shape.layoutJson = model::readLayoutFile(request.layout);
    }
    std::vector<std::unique_ptr<GradientStore>> stores;
    for (const ImportTask& task : request.tasks) {
        stores.push_back(openStore(task.store));
    }
    // All that can be refused is, before the file is there.
    for (std::size_t t = 0; t < stores.size(); ++t) {
        findMatrices(*stores[t], request.tasks[t], shape);
        sampleInfos(*stores[t], request.tasks[t]);
    }
    ImportSummary summary;
    DumpWriter writer(request.out, shape, std::string("qkov import ") + QKOV_VERSION);
    for (std::size_t t = 0; t < stores.size(); ++t) {
        const double n = static_cast<double>(stores.size());
        job.stage("Importing " + request.tasks[t].name, static_cast<double>(t) / n,
                  static_cast<double>(t + 1) / n);
        importTask(*stores[t], request.tasks[t], shape, writer, request, summary, job);
    }
    writer.commit();
    job.finish();
    return summary;
}

} // namespace qkov::dump
