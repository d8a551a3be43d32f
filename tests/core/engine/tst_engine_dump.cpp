// SPDX-License-Identifier: GPL-3.0-or-later
// From a dump on disk: the same scores as from memory; the cache; cancellation; memory.
#include "RandomCase.h"
#include "base/Error.h"
#include "dump/DumpWriter.h"
#include "dump/MappedFile.h"
#include "engine/Compute.h"
#include "engine/ScoreCache.h"

#include <QTemporaryDir>
#include <QtTest>

#include <chrono>
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <thread>
#include <unistd.h>

using namespace qkov;
using namespace qkov::test;

namespace {

std::vector<float> floats(const std::vector<double>& v) {
    return {v.begin(), v.end()};
}

void writeParameter(dump::DumpWriter& writer, const std::string& name,
                    const dump::ParameterEntry& entry, const StoredParameter& p, std::int64_t n) {
    if (!p.input.values.empty()) {
        const std::int64_t dIn = entry.inOut ? p.rows : p.columns;
        const std::int64_t dOut = entry.inOut ? p.columns : p.rows;
        writer.declareFactors(name, entry.maxTokens, dIn, dOut, DType::f32);
        std::vector<float> input, output;
        std::size_t token = 0;
        for (const std::int32_t length : p.lengths) {
            for (std::int64_t t = 0; t < entry.maxTokens; ++t) {
                for (std::int64_t k = 0; k < dIn; ++k) {
                    input.push_back(
                        t < length
                            ? float(p.input.values[token * std::size_t(dIn) + std::size_t(k)])
                            : 0);
                }
                for (std::int64_t k = 0; k < dOut; ++k) {
                    output.push_back(
                        t < length
                            ? float(p.gradOutput.values[token * std::size_t(dOut) + std::size_t(k)])
                            : 0);
                }
                token += t < length ? 1 : 0;
            }
        }
        writer.writeFactors(name, 0, n, entry.maxTokens, input.data(), output.data(),
                            p.lengths.data());
        return;
    }
    if (!p.gradients.values.empty()) {
        writer.declareGradients(name, entry.shape, p.gradients.dtype);
        writer.writeGradients(name, 0, n, floats(p.gradients.values).data());
    }
    if (!p.contributions.values.empty()) {
        writer.declareContributions(name, entry.shape, p.contributions.dtype,
                                    entry.contributionsPerToken);
        writer.writeContributions(name, 0, n, floats(p.contributions.values).data());
    }
}

void write(const std::filesystem::path& file, const Case& c) {
    const dump::DumpInfo& info = c.source.dump;
    dump::DumpWriter writer(file, info.model, "test");
    for (std::size_t t = 0; t < info.tasks.size(); ++t) {
        const dump::TaskInfo& task = info.tasks[t];
        writer.beginTask(task.name, task.lossReduction, task.samples);
        for (const auto& [name, entry] : task.parameters) {
            writeParameter(writer, name, entry, c.source.parameters[t].at(name),
                           static_cast<std::int64_t>(task.samples.size()));
        }
        for (const auto& [setName, set] : task.fisher) {
            for (const auto& [name, entry] : set.parameters) {
                dump::FisherEntry own = entry;
                if (entry.resolution == dump::Resolution::element) {
                    own.shape = task.parameters.at(name).shape;
                }
                writer.writeFisher(set, own, c.source.fisher[t].at(setName + "/" + name).values);
            }
        }
    }
    if (!info.headTypes.names.empty()) {
        writer.writeHeadTypes(info.headTypes);
    }
    writer.commit();
}

} // namespace

class TestEngineDump : public QObject {
    Q_OBJECT

  private slots:
    void sameAsFromMemory();
    void cacheKeepsScores();
    void cacheSurvivesDamage();
    void cacheIsBounded();
    void progressAndCancellation();
    void budgetTooSmallForTheScores();
    void fileThatShrinksWhileMapped();

  private:
    QTemporaryDir m_folder;
    std::filesystem::path path(const char* name) const {
        return std::filesystem::path(m_folder.path().toStdString()) / name;
    }
};

void TestEngineDump::sameAsFromMemory() {
    int compared = 0;
    for (unsigned seed = 1; seed <= 40; ++seed) {
        CaseOptions options;
        options.writable = true;
        const auto c = randomCase(seed, options);
        const auto file = path("same.h5");
        write(file, *c);
        const dump::DumpReader reader(file);
        Job job;
        const auto disk = engine::compute(reader, c->request, job);
        const auto memory = engine::compute(c->source, c->request, job);
        QCOMPARE(disk->header().dumpName, std::string("same.h5"));
        QVERIFY(!disk->header().dumpFingerprint.empty());
        const auto& h = disk->header();
        for (std::size_t row = 0; row < h.layers.size(); ++row) {
            for (const Block b : allBlocks) {
                for (std::size_t column = 0; column < h.heads.size(); ++column) {
                    const auto x = disk->pairs(b, row, column);
                    const auto y = memory->pairs(b, row, column);
                    QVERIFY2(x.size() == y.size(), c->text.c_str());
                    double largest = 0;
                    for (const float v : y) {
                        largest = std::max(largest, std::isfinite(v) ? std::abs(double(v)) : 0);
                    }
                    for (std::size_t k = 0; k < x.size(); ++k) {
                        if (std::isfinite(y[k])) {
                            // Stored Fisher is float32 on disk.
                            QVERIFY2(std::abs(double(x[k]) - double(y[k])) <= 1e-5 * largest,
                                     c->text.c_str());
                            ++compared;
                        }
                    }
                }
            }
        }
    }
    QVERIFY(compared > 10000);
}

void TestEngineDump::cacheKeepsScores() {
    CaseOptions options;
    options.writable = true;
    options.scale = 1;
    const auto c = randomCase(7, options);
    write(path("cached.h5"), *c);
    const dump::DumpReader reader(path("cached.h5"));
    Job job;
    const engine::ScoreCache cache(path("cache"));
    const std::string& fingerprint = reader.info().fingerprint;
    QVERIFY(!cache.find(fingerprint, c->request));
    const auto scores = engine::compute(reader, c->request, job);
    cache.store(fingerprint, c->request, *scores);
    const auto found = cache.find(fingerprint, c->request);
    QVERIFY(found != nullptr);
    QCOMPARE(found->pairs(Block::O, 0, 0), scores->pairs(Block::O, 0, 0));
    // What can't change the numbers finds the same file, everything else does not.
    engine::ScoreRequest q = c->request;
    q.threads += 1;
    q.memoryBudget /= 2;
    QVERIFY(cache.find(fingerprint, q) != nullptr);
    q.regularization.ridge = 0.5;
    QVERIFY(!cache.find(fingerprint, q));
    QVERIFY(!cache.find("another", c->request));
    cache.clear();
    QVERIFY(!cache.find(fingerprint, c->request));
}

void TestEngineDump::cacheSurvivesDamage() {
    const auto c = randomCase(7);
    Job job;
    const auto scores = engine::compute(c->source, c->request, job);
    const engine::ScoreCache cache(path("damaged"));
    cache.store("f", c->request, *scores);
    for (const auto& entry : std::filesystem::directory_iterator(path("damaged"))) {
        std::ofstream(entry.path(), std::ios::trunc) << "nonsense";
    }
    QVERIFY(!cache.find("f", c->request));
    QVERIFY(std::filesystem::is_empty(path("damaged")));
    // A folder that can't be made: nothing is kept, nothing fails.
    std::ofstream(path("plain")) << "a file";
    const engine::ScoreCache nowhere(path("plain") / "cache");
    nowhere.store("f", c->request, *scores);
    QVERIFY(!nowhere.find("f", c->request));
}

void TestEngineDump::cacheIsBounded() {
    const auto c = randomCase(7);
    Job job;
    const auto scores = engine::compute(c->source, c->request, job);
    const engine::ScoreCache cache(path("bounded"), 400000);
    for (int k = 0; k < 12; ++k) {
        cache.store("f" + std::to_string(k), c->request, *scores);
    }
    std::uintmax_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path("bounded"))) {
        bytes += entry.file_size();
    }
    QVERIFY(bytes <= 400000);
    QVERIFY(bytes > 0);
}

void TestEngineDump::progressAndCancellation() {
    CaseOptions options;
    options.onlyDense = true;
    options.fixedSamples = 257;
    const auto c = randomCase(3, options);
    c->request.maxSamples = 257;
    c->request.memoryBudget = std::int64_t(1) << 30;
    c->request.variant = engine::Variant::magnitude;
    double last = -1;
    bool back = false;
    Job job(
        {},
        [&](const Progress& p) {
            back = back || p.fraction < last;
            last = p.fraction;
        },
        std::chrono::milliseconds(0));
    engine::compute(c->source, c->request, job);
    QVERIFY(!back);
    QVERIFY(last > 0.95);

    CancelToken token;
    std::chrono::steady_clock::time_point asked;
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        asked = std::chrono::steady_clock::now();
        token.cancel();
    });
    Job cancelled(token);
    bool stopped = false;
    try {
        for (int k = 0; k < 1000; ++k) {
            engine::compute(c->source, c->request, cancelled);
        }
    } catch (const Cancelled&) {
        stopped = true;
    }
    other.join();
    const auto late = std::chrono::steady_clock::now() - asked;
    QVERIFY(stopped);
    // 200 ms is the promise on a free machine; tests may share theirs.
    QVERIFY(late < std::chrono::milliseconds(1000));
}

void TestEngineDump::budgetTooSmallForTheScores() {
    const auto c = randomCase(3);
    c->request.memoryBudget = 10;
    Job job;
    QVERIFY_EXCEPTION_THROWN(engine::compute(c->source, c->request, job), UsageError);
}

void TestEngineDump::fileThatShrinksWhileMapped() {
    // Touching memory behind a file's end would end the program.
    const std::filesystem::path file = path("shrinks");
    {
        std::ofstream out(file, std::ios::binary);
        out << std::string(std::size_t(1) << 20, 'x');
    }
    const int descriptor = ::open(file.c_str(), O_RDONLY);
    QVERIFY(descriptor >= 0);
    {
        const auto mapped = dump::MappedFile::open(descriptor, std::uint64_t(1) << 20);
        QVERIFY(mapped != nullptr);
        QVERIFY(dump::shareInMemory(descriptor, 0, 1 << 20) > 0.99);
        QCOMPARE(char(mapped->data()[1 << 19]), 'x');
        QVERIFY(!mapped->broken());
        std::filesystem::resize_file(file, 4096);
        mapped->release(mapped->data(), mapped->size());
        volatile const std::byte* data = mapped->data();
        QCOMPARE(char(data[100]), 'x');
        QCOMPARE(char(data[1 << 19]), '\0');
        QVERIFY(mapped->broken());
    }
    ::close(descriptor);
}

QTEST_APPLESS_MAIN(TestEngineDump)
#include "tst_engine_dump.moc"
