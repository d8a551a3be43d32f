// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/ScriptModel.h"

#include "base/Error.h"

#include <torch/script.h>

#include <map>

namespace qkov::collect {
namespace {

/// Torch's messages go on for pages; the line that says what is wrong comes first or last.
std::string shortened(const std::string& message) {
    std::string line = message.substr(0, message.find('\n'));
    if (const auto at = message.find("RuntimeError: "); at != std::string::npos) {
        line = message.substr(at + 14, message.find('\n', at) - at - 14);
    }
    return line.substr(0, 300);
}

} // namespace

struct ScriptModel::Impl {
    std::filesystem::path file;
    at::Device device = at::kCPU;
    torch::jit::Module module;
    std::map<std::string, at::Tensor> parameters;
};

ScriptModel::ScriptModel(const std::filesystem::path& file, at::ScalarType compute,
                         at::Device device)
    : m_impl(std::make_unique<Impl>()) {
    m_impl->file = file;
    m_impl->device = device;
    try {
        m_impl->module = torch::jit::load(file.string(), device);
        m_impl->module.to(device, compute);
        m_impl->module.eval();
    } catch (const std::exception& e) {
        throw InputError("is not a TorchScript module (" + shortened(e.what()) + ")", file, {},
                         "save one with torch.jit.script(model).save(file), or convert pickled "
                         "weights with the Python exporter");
    }
    for (const auto& p : m_impl->module.named_parameters()) {
        m_impl->parameters[p.name] = p.value;
        p.value.requires_grad_(false);
    }
}

ScriptModel::~ScriptModel() = default;

std::vector<ScriptParameter> ScriptModel::parameters() const {
    std::vector<ScriptParameter> result;
    for (const auto& [name, value] : m_impl->parameters) {
        result.push_back({name, value.sizes().vec()});
    }
    return result;
}

BatchCapture ScriptModel::capture(const CollectPlan& plan, std::span<const Sample* const> samples,
                                  LossReduction reduction, const CancelToken& token) {
    const c10::AutoGradMode gradients(true);
    std::vector<at::Tensor> recorded;
    for (const RecordedParameter& p : plan.parameters) {
        recorded.push_back(m_impl->parameters.at(p.name));
        recorded.push_back(p.bias.empty() ? at::Tensor() : m_impl->parameters.at(p.bias));
    }
    for (at::Tensor& t : recorded) {
        if (t.defined()) {
            t.requires_grad_(true);
        }
    }
    BatchCapture result;
    std::vector<std::vector<at::Tensor>> all(recorded.size());
    for (const Sample* s : samples) {
        if (token.cancelled()) {
            throw Cancelled();
        }
        const at::TensorOptions whole(at::kInt);
        const auto row = [&](const std::vector<std::int32_t>& v) {
            return at::tensor(v, whole).to(at::kLong).unsqueeze(0).to(m_impl->device);
        };
        at::Tensor loss;
        try {
            torch::jit::IValue out = m_impl->module.forward({row(s->ids), row(s->labels)});
            if (out.isTuple() && !out.toTupleRef().elements().empty()) {
                out = out.toTupleRef().elements()[0];
            }
            if (!out.isTensor() || out.toTensor().numel() != 1 || !out.toTensor().requires_grad()) {
                throw InputError("forward doesn't return a loss that depends on the parameters of "
                                 "the layout file",
                                 m_impl->file);
            }
            loss = out.toTensor().reshape({});
            if (reduction == LossReduction::sum) {
                loss = loss * s->predicted;
            }
            loss.backward();
        } catch (const InputError&) {
            throw;
        } catch (const std::exception& e) {
            throw InputError("failed on sample \"" + s->id + "\": " + shortened(e.what()),
                             m_impl->file);
        }
        result.losses.push_back(loss.item<double>());
        for (std::size_t i = 0; i < recorded.size(); ++i) {
            if (!recorded[i].defined()) {
                continue;
            }
            at::Tensor& gradient = recorded[i].mutable_grad();
            // Not used for this sample's loss: its gradient is zero.
            all[i].push_back(gradient.defined() ? gradient : at::zeros_like(recorded[i]));
            gradient = at::Tensor();
        }
    }
    for (std::size_t i = 0; i < recorded.size(); i += 2) {
        result.whole.push_back(
            {at::stack(all[i]), all[i + 1].empty() ? at::Tensor() : at::stack(all[i + 1])});
    }
    return result;
}

} // namespace qkov::collect
