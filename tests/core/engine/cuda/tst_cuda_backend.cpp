// SPDX-License-Identifier: GPL-3.0-or-later
// The CUDA backend, and the CPU backend by the same checks.
#include "BackendCheck.h"

#include "base/Error.h"
#include "engine/cuda/CudaLoader.h"

#include <QtTest>

using namespace qkov;

class TestCudaBackend : public QObject {
    Q_OBJECT

  private:
    static void verify(const test::BackendReport& report) {
        for (const std::string& line : report.failures) {
            qWarning("%s", line.c_str());
        }
        qInfo("%d cases; worst errors: score %.1e, norm %.1e, Fisher %.1e, statistics %.1e",
              report.cases, report.worstScore, report.worstNorm, report.worstFisher,
              report.worstStatistics);
        QVERIFY(report.failures.empty());
    }

  private slots:
    void cpuPassesTheSameChecks() {
        const auto backend = engine::makeCpuBackend(2);
        verify(test::checkBackend(*backend, engine::Precision::fp32, 60, 1));
    }
    void cudaEqualsFloat64() {
        if (!engine::cudaUsable()) {
            QSKIP("no CUDA device here");
        }
        const auto backend = engine::makeCudaBackend(0, engine::Precision::fp32);
        verify(test::checkBackend(*backend, engine::Precision::fp32, 300, 2));
    }
    void cudaFastIsCloseToFloat64() {
        if (!engine::cudaUsable()) {
            QSKIP("no CUDA device here");
        }
        const auto backend = engine::makeCudaBackend(0, engine::Precision::fast);
        verify(test::checkBackend(*backend, engine::Precision::fast, 100, 3));
    }
    void cancelledBeforeWork() {
        if (!engine::cudaUsable()) {
            QSKIP("no CUDA device here");
        }
        const auto backend = engine::makeCudaBackend(0, engine::Precision::fp32);
        const CancelToken token;
        token.cancel();
        const Job job(token);
        const std::vector<float> values(1000, 1.0f);
        QVERIFY_EXCEPTION_THROWN(
            backend->load(engine::DenseData{DType::f32, values.data(), 10, 10, 10}, job),
            Cancelled);
    }
    void unknownDevicesAreUsageErrors() {
        for (const char* name : {"cuda:999", "cuda:", "cuda:x", "cuda:-1", "gpu", "", "cuda:1x"}) {
            QVERIFY_EXCEPTION_THROWN(engine::makeBackend(name, 1, engine::Precision::fp32),
                                     UsageError);
        }
        QVERIFY(engine::makeBackend("auto", 1, engine::Precision::fp32) != nullptr);
    }
};

QTEST_GUILESS_MAIN(TestCudaBackend)
#include "tst_cuda_backend.moc"
