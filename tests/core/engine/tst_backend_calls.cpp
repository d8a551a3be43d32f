// SPDX-License-Identifier: GPL-3.0-or-later
// What the engine asks of a backend: outputs of one list never overlap, since a backend may run its
// calls at the same time.
#include "RandomCase.h"
#include "engine/Run.h"

#include <QtTest>

#include <algorithm>
#include <stdexcept>

using namespace qkov;
using namespace qkov::test;
using engine::Mode;

namespace {

/// The CPU behind checks of what it is given.
class CheckingBackend final : public engine::Backend {
  public:
    int fishers = 0, scores = 0;

    std::string description() const override { return m_cpu->description(); }
    std::int64_t tileBytes(std::int64_t budget) const override { return m_cpu->tileBytes(budget); }
    std::int64_t factorTileBytes(const engine::FactorData& data) const override {
        return m_cpu->factorTileBytes(data);
    }
    std::unique_ptr<engine::Tile> load(const engine::DenseData& data, const Job& job) override {
        return m_cpu->load(data, job);
    }
    std::unique_ptr<engine::Tile> load(const engine::FactorData& data, const Job& job) override {
        return m_cpu->load(data, job);
    }
    void statistics(std::span<const engine::StatisticsCall> calls, const Job& job) override {
        Ranges out;
        for (const auto& call : calls) {
            out.add(call.out, call.tile->samples);
        }
        out.check();
        m_cpu->statistics(calls, job);
    }
    void fisher(std::span<const engine::FisherCall> calls, const Job& job) override {
        Ranges out;
        for (const auto& call : calls) {
            out.add(call.fisher, call.part.count());
            ++fishers;
        }
        out.check();
        m_cpu->fisher(calls, job);
    }
    void prepare(std::span<const engine::PrepareCall> calls, const Job& job) override {
        Ranges out;
        for (const auto& call : calls) {
            out.add(call.statistics, call.tile->samples);
            if (call.fisher != nullptr) {
                out.add(call.fisher, call.part.count());
                ++fishers;
            }
        }
        out.check();
        m_cpu->prepare(calls, job);
    }
    void score(std::span<const engine::ScoreCall> calls, const Job& job) override {
        Ranges out;
        for (const auto& call : calls) {
            const auto nA = static_cast<std::int64_t>(call.samplesA.size());
            const auto nB = static_cast<std::int64_t>(call.samplesB.size());
            const auto sets = static_cast<std::int64_t>(call.weights.size());
            out.add(call.scores, sets * nA * nB);
            out.add(call.normsA, call.normsA != nullptr ? sets * nA : 0);
            out.add(call.normsB, call.normsB != nullptr ? sets * nB : 0);
            ++scores;
        }
        out.check();
        m_cpu->score(calls, job);
    }

  private:
    struct Ranges {
        std::vector<std::pair<const char*, const char*>> all;
        template <class T>
        void add(const T* first, std::int64_t count) {
            if (count > 0) {
                all.emplace_back(reinterpret_cast<const char*>(first),
                                 reinterpret_cast<const char*>(first + count));
            }
        }
        void check() {
            std::sort(all.begin(), all.end());
            for (std::size_t i = 1; i < all.size(); ++i) {
                if (all[i].first < all[i - 1].second) {
                    throw std::logic_error("two calls of one list write the same memory");
                }
            }
        }
    };
    std::unique_ptr<engine::Backend> m_cpu = engine::makeCpuBackend(2);
};

} // namespace

class TestBackendCalls : public QObject {
    Q_OBJECT

  private slots:
    void outputsDoNotOverlap();
};

void TestBackendCalls::outputsDoNotOverlap() {
    CheckingBackend backend;
    for (unsigned seed = 1; seed <= 80; ++seed) {
        const auto c = randomCase(seed);
        c->request.fisherTask = engine::FisherTask::pooled;
        Job job;
        std::vector<Mode> modes = engine::modesOf(c->source, c->request);
        if (c->request.variant == engine::Variant::profile) {
            modes = {Mode::structural};
        }
        const auto checked =
            engine::computeOn(backend, c->source, c->request, modes, false, job, {});
        QCOMPARE(checked.size(), modes.size());
        const bool pooled = c->request.variant == engine::Variant::profile;
        if (pooled) {
            engine::computeOn(backend, c->source, c->request, {}, true, job, {});
        }
    }
    QVERIFY(backend.fishers > 200);
    QVERIFY(backend.scores > 200);
}

QTEST_APPLESS_MAIN(TestBackendCalls)
#include "tst_backend_calls.moc"
