// SPDX-License-Identifier: GPL-3.0-or-later
// The plan says what memory a computation takes: measured in a process of its own each time.
#include "core/dump/Hdf5Fixture.h"
#include "dump/DumpReader.h"
#include "dump/DumpWriter.h"
#include "engine/Compute.h"

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>

#include <fstream>
#include <iostream>
#include <random>
#include <unistd.h>

using namespace qkov;
using engine::Mode;

namespace {

/// What the first use of code, of threads and their stacks and of the allocator takes, whatever is
/// computed.
constexpr double anyway = 6e6;

double residentNow() {
    std::ifstream in("/proc/self/statm");
    double pages = 0;
    in >> pages >> pages;
    return pages * double(sysconf(_SC_PAGESIZE));
}

double peakResident() {
    std::ifstream in("/proc/self/status");
    std::string word;
    while (in >> word) {
        if (word == "VmHWM:") {
            double kilobytes = 0;
            in >> kilobytes;
            return kilobytes * 1024;
        }
    }
    return 0;
}

/// In the child: budget in MB, number of modes; prints planned and measured bytes.
int measure(char** argv) {
    const dump::DumpReader reader(argv[2]);
    const auto source = engine::makeDumpSource(reader);
    engine::ScoreRequest q;
    q.taskA = "a";
    q.taskB = "b";
    q.device = "cpu";
    q.threads = 2;
    q.memoryBudget = std::atoll(argv[3]) << 20;
    std::vector<Mode> modes{Mode::structural};
    if (std::atoi(argv[4]) == 3) {
        modes = {Mode::behavioral, Mode::structural, Mode::hybrid};
    }
    const bool cached = std::string(argv[5]) == "cached";
    if (!cached) { // nothing can be used in place then
        q.samplesA = {"a0"};
        for (int s = 2; s < 24; ++s) {
            q.samplesA.push_back("a" + std::to_string(s));
        }
    }
    const double planned = double(engine::explain(*source, q, modes).peakBytes);
    std::ofstream("/proc/self/clear_refs") << 5;
    const double before = residentNow();
    Job job;
    const auto scores = engine::computeModes(*source, q, modes, job);
    const double after = peakResident();
    std::cout << planned << " " << after - before << " " << scores.size() << std::endl;
    return 0;
}

constexpr std::int64_t samples = 24, width = 512, tokens = 64;

std::vector<std::string> parameters() {
    std::vector<std::string> names;
    for (const char* layer : {"0", "1"}) {
        for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
            names.push_back(std::string("model.layers.") + layer + ".self_attn." + name +
                            ".weight");
        }
    }
    return names;
}

/// Of all samples: sample s begins at sampleStart(s).
std::vector<float> numbers() {
    std::mt19937 engine(7);
    std::normal_distribution<float> normal(0, 1e-2f);
    std::vector<float> values(width * width + 4096);
    for (float& v : values) {
        v = normal(engine);
    }
    return values;
}

std::int64_t sampleStart(std::int64_t sample) {
    return (sample * 37) % 4096;
}

void writeDump(const std::filesystem::path& file, bool factored) {
    model::ModelShape shape;
    shape.name = "memory";
    shape.architecture = "llama";
    shape.numLayers = 2;
    shape.numHeads = shape.numKvHeads = 8;
    shape.headDim = shape.vHeadDim = 64;
    shape.hiddenDim = 512;
    shape.configJson = "{}";
    dump::DumpWriter writer(file, shape, "test");
    const std::vector<float> values = numbers();
    const std::int32_t length = tokens;
    for (const std::string task : {"a", "b"}) {
        std::vector<dump::SampleInfo> infos(samples);
        for (std::size_t i = 0; i < infos.size(); ++i) {
            infos[i].id = task + std::to_string(i);
            infos[i].tokens = 10;
        }
        writer.beginTask(task, "mean", infos);
        for (const std::string& parameter : parameters()) {
            if (factored) {
                writer.declareFactors(parameter, tokens, width, width, DType::f16);
            } else {
                writer.declareGradients(parameter, {width, width}, DType::f16);
            }
            for (std::int64_t s = 0; s < samples; ++s) {
                const float* from = values.data() + sampleStart(s);
                if (factored) {
                    writer.writeFactors(parameter, s, 1, tokens, from, from + 64, &length);
                } else {
                    writer.writeGradients(parameter, s, 1, from);
                }
            }
        }
    }
    dump::HeadTypes types;
    types.names = {"induction", "content", "mixed"};
    for (int k = 0; k < 16; ++k) {
        types.type.push_back(static_cast<std::uint8_t>(k % 3));
    }
    writer.writeHeadTypes(types);
    writer.commit();
}

/// The same numbers as in writeDump(), those of the first layer compressed.
void compress(const std::filesystem::path& file, const std::vector<hsize_t>& chunk) {
    const std::vector<float> values = numbers();
    std::vector<float> all;
    for (std::int64_t s = 0; s < samples; ++s) {
        const float* from = values.data() + sampleStart(s);
        all.insert(all.end(), from, from + width * width);
    }
    fixture::change(file, [&](hid_t id) {
        for (const char* task : {"a", "b"}) {
            for (const std::string& parameter : parameters()) {
                if (parameter.find("layers.0") == std::string::npos) {
                    continue; // for the time it takes
                }
                const std::string path = std::string("/tasks/") + task + "/gradients/" + parameter;
                const h5::Handle set(H5Dopen2(id, path.c_str(), H5P_DEFAULT), H5Dclose);
                const h5::Handle type(H5Dget_type(set.get()), H5Tclose);
                fixture::Recipe recipe;
                recipe.type = type.get();
                recipe.chunk = chunk;
                recipe.gzip = true;
                recipe.dims = {samples, width, width};
                fixture::replace(id, path, recipe, all);
            }
        }
    });
}

} // namespace

class TestMemory : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase();
    void planned_data();
    void planned();

  private:
    QTemporaryDir m_folder;
};

void TestMemory::initTestCase() {
    const auto path = [this](const char* name) {
        return std::filesystem::path(m_folder.filePath(name).toStdString());
    };
    writeDump(path("dense"), false);
    writeDump(path("factored"), true);
    for (const char* name : {"rows", "columns"}) {
        std::filesystem::copy_file(path("dense"), path(name));
    }
    compress(path("rows"), {1, 200, width});
    compress(path("columns"), {2, width, 96});
}

void TestMemory::planned_data() {
    QTest::addColumn<QString>("dump");
    QTest::addColumn<int>("megabytes");
    QTest::addColumn<int>("modes");
    QTest::addColumn<QString>("how");
    const auto row = [](const char* dump, int megabytes, int modes, const char* how) {
        QTest::addRow("%s, %d MB, %d modes, %s", dump, megabytes, modes, how)
            << QString(dump) << megabytes << modes << QString(how);
    };
    for (const int megabytes : {32, 128, 2048}) {
        for (const int modes : {1, 3}) {
            row("dense", megabytes, modes, "cached");
            row("dense", megabytes, modes, "read");
            row("factored", megabytes, modes, "cached"); // always read
        }
        row("rows", megabytes, 1, "cached"); // compressed
        row("columns", megabytes, 1, "cached");
    }
}

void TestMemory::planned() {
    QFETCH(QString, dump);
    QFETCH(int, megabytes);
    QFETCH(int, modes);
    QFETCH(QString, how);
    QProcess child;
    child.start(QCoreApplication::applicationFilePath(),
                {"--measure", m_folder.filePath(dump), QString::number(megabytes),
                 QString::number(modes), how});
    QVERIFY(child.waitForFinished());
    QCOMPARE(child.exitCode(), 0);
    const QList<QByteArray> words = child.readAllStandardOutput().trimmed().split(' ');
    QCOMPARE(words.size(), 3);
    const double planned = words[0].toDouble();
    const double measured = words[1].toDouble();
    const std::string text = "planned " + std::to_string(planned / 1e6) + " MB, measured " +
                             std::to_string(measured / 1e6) + " MB";
    if (qEnvironmentVariableIsSet("QKOV_SHOW")) {
        qInfo("%s", text.c_str());
    }
    QVERIFY2(std::abs(measured - planned) <= 0.2 * planned + anyway, text.c_str());
    QVERIFY2(measured <= (megabytes + 300) * 1048576.0, text.c_str());
}

int main(int argc, char** argv) {
    if (argc == 6 && std::string(argv[1]) == "--measure") {
        return measure(argv);
    }
    QCoreApplication app(argc, argv);
    TestMemory test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_memory.moc"
