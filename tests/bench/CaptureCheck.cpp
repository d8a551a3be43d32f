// SPDX-License-Identifier: GPL-3.0-or-later
#include "CaptureBench.h"
#include "base/Threads.h"
#include "collect/BatchCapture.h"
#include "collect/CollectRun.h"
#include "collect/HeadScores.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace qkov::bench {

using namespace collect;

void checkCapture(const std::vector<std::string>& folders, const std::string& deviceName) {
    const at::Device device = resolveDevice(deviceName);
    for (const std::filesystem::path folder : folders) {
        const auto checkpoint = model::Checkpoint::open(folder);
        const Decoder reference = openDecoder(folder, checkpoint, at::kDouble, at::kCPU);
        SampleRules rules;
        rules.vocabulary = reference.spec().vocabulary;
        rules.maxTokens = reference.spec().maxPositions;
        const auto samples = readSamples(folder / "samples.jsonl", rules);
        std::vector<const Sample*> all;
        for (const Sample& s : samples) {
            all.push_back(&s);
        }
        const auto expected = captureBatch(reference, all, LossReduction::mean, {});
        const Probe probe =
            randomProbe(reference.spec().vocabulary, {}, reference.spec().maxPositions, {});
        Job referenceJob;
        const int threads = defaultThreadCount();
        const dump::HeadTypes exact = computeHeadTypes(reference, probe, referenceJob, threads, {});
        struct Way {
            const char* name;
            at::ScalarType type;
            bool plain;
        };
        for (const Way way : {Way{"float64", at::kDouble, false}, Way{"float32", at::kFloat, false},
                              Way{"float32 without halves", at::kFloat, true}}) {
            const Decoder decoder = openDecoder(folder, checkpoint, way.type, device, way.plain);
            const auto got = captureBatch(decoder, all, LossReduction::mean, {});
            double worst = 0;
            for (std::size_t p = 0; p < got.projections.size(); ++p) {
                const at::Tensor e = denseGradients(expected.projections[p]);
                const at::Tensor g =
                    denseGradients(got.projections[p]).to(at::kCPU).to(at::kDouble);
                const at::Tensor ratio =
                    (g - e).flatten(1).abs().amax(1) / e.flatten(1).abs().amax(1);
                worst = std::max(worst, ratio.max().item<double>());
            }
            double loss = 0;
            for (std::size_t i = 0; i < all.size(); ++i) {
                loss = std::max(loss, std::abs(got.losses[i] / expected.losses[i] - 1));
            }
            Job job;
            const dump::HeadTypes types = computeHeadTypes(decoder, probe, job, threads, {});
            double heads = 0;
            int renamed = 0;
            for (std::size_t i = 0; i < types.scores.size(); ++i) {
                heads = std::max(heads, double(std::abs(types.scores[i] - exact.scores[i])));
            }
            for (std::size_t i = 0; i < types.type.size(); ++i) {
                renamed += types.type[i] != exact.type[i];
            }
            std::printf("%s %s on %s: gradients %.2g, losses %.2g, head scores %.2g, other types "
                        "%d\n",
                        folder.filename().c_str(), way.name, deviceName.c_str(), worst, loss, heads,
                        renamed);
        }
    }
}

} // namespace qkov::bench
