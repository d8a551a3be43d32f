// SPDX-License-Identifier: GPL-3.0-or-later
// Pieces read by several threads give what a plain read gives, wherever the file's pages are.
#include "DumpFixture.h"
#include "ReadPieces.h"
#include "dump/MappedFile.h"
#include "engine/Compute.h"

#include <QtTest>

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>
#include <unistd.h>

using namespace qkov;
using namespace qkov::dump;

namespace {

enum class Pages { away, partly, here };

/// Where the system can't drop pages, the same numbers are read from memory.
void setPages(const std::filesystem::path& file, Pages pages) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(file));
    char some[4096];
    // Every third stretch of half a MB: pieces begin and end in and out of memory.
    for (std::int64_t at = 0; pages != Pages::away && at < size; at += sizeof some) {
        if (pages == Pages::here || (at >> 19) % 3 == 1) {
            (void)!::pread(fd, some, sizeof some, at);
        }
    }
    ::close(fd);
}

/// Of this process, in bytes.
double fileMemory() {
    std::ifstream in("/proc/self/status");
    std::string word;
    double kilobytes = 0;
    while (in >> word) {
        if (word == "RssFile:") {
            in >> kilobytes;
        }
    }
    return kilobytes * 1024;
}

double shareOf(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    const double share = shareInMemory(fd, 0, std::filesystem::file_size(file));
    ::close(fd);
    return share;
}

void writeDump(const std::filesystem::path& file, DType type, std::int64_t width, unsigned seed) {
    const model::ModelShape shape = fixture::llamaShape(1, 5, 5, 50, width);
    constexpr std::int64_t samples = 13, rows = 250;
    DumpWriter writer(file, shape, "test");
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, 1e-2f);
    for (const std::string task : {"a", "b"}) {
        writer.beginTask(task, "mean", fixture::samples(samples, task));
        for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
            const std::string parameter =
                std::string("model.layers.0.self_attn.") + name + ".weight";
            const bool out = name[0] == 'o';
            writer.declareGradients(parameter, {out ? width : rows, out ? rows : width}, type);
            std::vector<float> values(static_cast<std::size_t>(rows * width));
            for (std::int64_t s = 0; s < samples; ++s) {
                for (float& v : values) {
                    v = normal(engine);
                }
                writer.writeGradients(parameter, s, 1, values.data());
            }
        }
    }
    writer.commit();
}

struct Aligned {
    std::unique_ptr<std::byte, void (*)(void*)> data{nullptr, std::free};
    explicit Aligned(std::int64_t bytes)
        : data(static_cast<std::byte*>(std::aligned_alloc(
                   PieceReader::bufferAlignment,
                   (static_cast<std::size_t>(bytes) / PieceReader::bufferAlignment + 1) *
                       PieceReader::bufferAlignment)),
               std::free) {}
};

} // namespace

class TestPieces : public QObject {
    Q_OBJECT

  private slots:
    void sameNumbers_data();
    void sameNumbers();
    void sameScores();
    void shrunk();
    void inPlace();

  private:
    std::filesystem::path path(const char* name) const {
        return m_folder.filePath(name).toStdString();
    }
    QTemporaryDir m_folder;
};

void TestPieces::sameNumbers_data() {
    QTest::addColumn<int>("type");
    QTest::addColumn<int>("width");
    QTest::newRow("float16, samples at odd offsets") << int(DType::f16) << 511;
    QTest::newRow("float32, samples at even offsets") << int(DType::f32) << 512;
    QTest::newRow("float16, small samples") << int(DType::f16) << 7;
}

void TestPieces::sameNumbers() {
    QFETCH(int, type);
    QFETCH(int, width);
    const std::filesystem::path file = path("numbers.h5");
    writeDump(file, static_cast<DType>(type), width, 3);
    const DumpReader reader(file);
    const TaskInfo& task = reader.info().tasks[1];
    const std::size_t size = dtypeSize(static_cast<DType>(type));
    std::mt19937 engine(static_cast<unsigned>(width));
    const auto below = [&](std::int64_t n) {
        return std::uniform_int_distribution<std::int64_t>(0, n - 1)(engine);
    };
    for (int round = 0; round < 40; ++round) {
        const std::string parameter = std::string("model.layers.0.self_attn.") +
                                      (round % 4 == 3 ? "o_proj" : "k_proj") + ".weight";
        const auto& shape = task.parameters.at(parameter).shape;
        std::vector<std::int64_t> samples;
        for (std::int64_t s = round % 3 == 0 ? 0 : below(6); s < 13; ++s) {
            if (round % 5 != 4 || below(2) == 0) {
                samples.push_back(s);
            }
        }
        if (round % 7 == 6) {
            std::reverse(samples.begin(), samples.end());
        }
        Region region{0, shape[0], 0, shape[1]};
        if (round % 2 == 1) {
            region.row = below(shape[0]);
            region.rows = 1 + below(shape[0] - region.row);
        }
        if (round % 8 == 7) {
            region.column = below(shape[1]);
            region.columns = 1 + below(shape[1] - region.column);
        }
        if (samples.empty()) {
            QVERIFY(!reader.pieces(task, parameter, Part::gradients, samples, region, false));
            continue;
        }
        const auto bytes = static_cast<std::size_t>(region.count()) * size;
        std::vector<std::byte> expected(bytes * samples.size());
        reader.readRaw(task, parameter, Part::gradients, samples, region, expected.data());
        for (const Pages pages : {Pages::away, Pages::partly, Pages::here}) {
            setPages(file, pages);
            const auto pieces =
                reader.pieces(task, parameter, Part::gradients, samples, region, round % 6 == 5);
            QVERIFY(pieces);
            const Aligned buffer(pieces->bytes());
            test::readAll(*pieces, buffer.data.get());
            QVERIFY(pieces->first() + pieces->sampleBytes() * std::int64_t(samples.size() - 1) +
                        std::int64_t(bytes) <=
                    pieces->bytes());
            for (std::size_t s = 0; s < samples.size(); ++s) {
                const std::byte* got = buffer.data.get() + pieces->first() +
                                       static_cast<std::int64_t>(s) * pieces->sampleBytes();
                QVERIFY(std::memcmp(got, expected.data() + s * bytes, bytes) == 0);
            }
        }
    }
}

/// The engine's threads, with budgets that cut the tiles into rows and read them several times.
void TestPieces::sameScores() {
    const std::filesystem::path file = path("scores.h5");
    writeDump(file, DType::f16, 511, 5);
    const DumpReader reader(file);
    const auto source = engine::makeDumpSource(reader);
    engine::ScoreRequest q;
    q.taskA = "a";
    q.taskB = "b";
    q.device = "cpu";
    q.threads = 2;
    q.mode = engine::Mode::structural;
    for (const std::int64_t budget : {std::int64_t(1) << 30, std::int64_t(6) << 20}) {
        q.memoryBudget = budget;
        std::vector<std::shared_ptr<const engine::Scores>> all;
        for (const Pages pages : {Pages::here, Pages::away, Pages::partly}) {
            setPages(file, pages);
            Job job;
            all.push_back(engine::compute(*source, q, job));
        }
        for (std::size_t i = 1; i < all.size(); ++i) {
            for (std::size_t head = 0; head < 5; ++head) {
                for (const Block block : allBlocks) {
                    const auto one = all[0]->pairs(block, 0, head);
                    const auto other = all[i]->pairs(block, 0, head);
                    QCOMPARE(one.size(), other.size());
                    QVERIFY(!one.empty());
                    QVERIFY(std::equal(one.begin(), one.end(), other.begin()));
                }
            }
        }
    }
}

void TestPieces::shrunk() {
    const std::filesystem::path file = path("shrunk.h5");
    writeDump(file, DType::f32, 512, 7);
    const DumpReader reader(file);
    const auto source = engine::makeDumpSource(reader);
    std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
    setPages(file, Pages::away);
    engine::ScoreRequest q;
    q.taskA = "a";
    q.taskB = "b";
    q.device = "cpu";
    q.mode = engine::Mode::structural;
    Job job;
    QVERIFY_EXCEPTION_THROWN(engine::compute(*source, q, job), InputError);
}

/// Numbers are used where the page cache holds them, also where it has lost a few; large ones begin
/// where reads past it may.
void TestPieces::inPlace() {
    const std::filesystem::path file = path("inplace.h5");
    writeDump(file, DType::f32, 512, 9);
    const DumpReader reader(file);
    const TaskInfo& task = reader.info().tasks[0];
    const std::string parameter = "model.layers.0.self_attn.k_proj.weight";
    const std::int64_t first = 2, count = 9;
    const Region region{10, 200, 0, 512};
    const std::int64_t bytes = region.count() * 4;
    const auto direct = reader.direct(task, parameter, Part::gradients);
    QVERIFY(direct.has_value());
    QCOMPARE(direct->offset % 4096, 0U);
    std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
    std::iota(samples.begin(), samples.end(), first);
    std::vector<std::byte> expected(static_cast<std::size_t>(count * bytes));
    reader.readRaw(task, parameter, Part::gradients, samples, region, expected.data());

    const auto find = [&] {
        return reader.inPlace(task, parameter, Part::gradients, first, count, region);
    };
    const auto same = [&](const InPlace& found) {
        for (std::int64_t s = 0; s < count; ++s) {
            if (std::memcmp(found.values + s * found.sampleBytes, expected.data() + s * bytes,
                            static_cast<std::size_t>(bytes)) != 0) {
                return false;
            }
        }
        return true;
    };
    setPages(file, Pages::here);
    const InPlace here = find();
    QVERIFY(here.values != nullptr);
    QVERIFY(same(here));
    const double mapped = fileMemory();
    reader.releaseInPlace(here, count, bytes);
    QVERIFY(mapped - fileMemory() > 0.9 * double(count * bytes));
    QVERIFY(same(here));
    reader.releaseInPlace(here, count, bytes);

    const auto drop = [&](std::int64_t sample, std::int64_t samplesToDrop) {
        const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        ::posix_fadvise(fd, static_cast<off_t>(direct->offset + std::uint64_t(sample) * 250 * 2048),
                        static_cast<off_t>(samplesToDrop * 250 * 2048), POSIX_FADV_DONTNEED);
        ::close(fd);
    };
    drop(5, 1);
    const InPlace most = find();
    QVERIFY(most.values != nullptr);
    QVERIFY(same(most));
    reader.releaseInPlace(most, count, bytes);
    setPages(file, Pages::away);
    if (shareOf(file) > 0.5) {
        QSKIP("this file system keeps its pages");
    }
    QVERIFY(find().values == nullptr);
}

QTEST_APPLESS_MAIN(TestPieces)
#include "tst_pieces.moc"
