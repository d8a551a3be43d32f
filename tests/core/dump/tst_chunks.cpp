// SPDX-License-Identifier: GPL-3.0-or-later
// Compressed chunks, undone by several threads, against a plain read through HDF5; and damaged
// ones.
#include "Hdf5Fixture.h"
#include "ReadPieces.h"
#include "engine/GradientSource.h"

#include <QtTest>
#include <algorithm>
#include <cstring>
#include <fstream>
#include <zlib.h>

using namespace qkov;
using namespace qkov::dump;
using fixture::query;
using fixture::queryPath;

namespace {

constexpr std::int64_t rows = 24, columns = 40, samples = 17;

/// A dump whose queries are [17, 24, 40], to be replaced by each test.
void writeBase(const std::filesystem::path& file) {
    DumpWriter w(file, fixture::llamaShape(1, 4, 4, 6, columns), "base");
    w.beginTask("t", "mean", fixture::samples(samples));
    w.declareGradients(query, {rows, columns}, DType::f32);
    w.writeGradients(
        query, 0, samples,
        fixture::randoms(static_cast<std::size_t>(samples * rows * columns), 1).data());
    w.commit();
}

struct Make {
    hid_t type;
    std::vector<hsize_t> chunk;
    std::vector<int> filters;
    bool bfloat = false;
};

hid_t createSet(hid_t file, const Make& make) {
    H5Ldelete(file, queryPath.c_str(), H5P_DEFAULT);
    const hsize_t extent[] = {samples, rows, columns};
    const h5::Handle space(H5Screate_simple(3, extent, nullptr), H5Sclose);
    const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (!make.chunk.empty()) {
        H5Pset_chunk(creation.get(), 3, make.chunk.data());
    }
    for (const int filter : make.filters) {
        if (filter == H5Z_FILTER_DEFLATE) {
            H5Pset_deflate(creation.get(), 4);
        } else if (filter == H5Z_FILTER_SHUFFLE) {
            H5Pset_shuffle(creation.get());
        } else {
            H5Pset_fletcher32(creation.get());
        }
    }
    const hid_t set = H5Dcreate2(file, queryPath.c_str(), make.type, space.get(), H5P_DEFAULT,
                                 creation.get(), H5P_DEFAULT);
    if (make.bfloat) {
        const h5::Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
        H5Tset_size(text.get(), 8);
        const h5::Handle scalar(H5Screate(H5S_SCALAR), H5Sclose);
        const h5::Handle attribute(
            H5Acreate2(set, "dtype", text.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
        H5Awrite(attribute.get(), text.get(), "bfloat16");
    }
    return set;
}

/// Random bits that are finite numbers in every type: the read must not change any.
std::vector<std::byte> randomBytes(std::size_t n, std::size_t size, std::mt19937& engine) {
    std::vector<std::byte> bytes(n * size);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>(i % size == size - 1 ? 0x3c + engine() % 3
                                          : engine() % 4 == 0  ? engine() % 256
                                                               : 7);
    }
    return bytes;
}

std::vector<char> deflated(const std::vector<char>& data) {
    uLongf size = compressBound(static_cast<uLong>(data.size()));
    std::vector<char> out(size);
    compress(reinterpret_cast<Bytef*>(out.data()), &size,
             reinterpret_cast<const Bytef*>(data.data()), static_cast<uLong>(data.size()));
    out.resize(size);
    return out;
}

} // namespace

class TestChunks : public QObject {
    Q_OBJECT

  private slots:
    void random();
    void damaged_data();
    void damaged();

  private:
    fixture::Folder m_folder;
};

void TestChunks::random() {
    const std::filesystem::path file = m_folder / "random.h5";
    writeBase(file);
    std::mt19937 engine(11);
    const auto below = [&](std::int64_t n) {
        return std::uniform_int_distribution<std::int64_t>(0, n - 1)(engine);
    };
    const std::vector<hid_t> types{H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE,
                                   H5T_IEEE_F64BE, H5T_STD_U16LE,  H5T_STD_U16BE};
    for (int round = 0; round < 60; ++round) {
        Make make{};
        make.type = types[static_cast<std::size_t>(round) % types.size()];
        make.bfloat = make.type == types[4] || make.type == types[5];
        make.chunk = {hsize_t(1 + below(samples)), hsize_t(1 + below(rows)),
                      hsize_t(1 + below(columns))};
        const std::vector<int> all{H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE, H5Z_FILTER_FLETCHER32};
        for (const int filter : all) {
            if (below(3) > 0) {
                make.filters.push_back(filter);
            }
        }
        std::shuffle(make.filters.begin(), make.filters.end(), engine);
        if (round % 10 >= 7) { // contiguous, in both byte orders
            make.chunk.clear();
            make.filters.clear();
        }
        const std::size_t size = H5Tget_size(make.type);
        const auto values =
            randomBytes(static_cast<std::size_t>(samples * rows * columns), size, engine);
        std::vector<std::byte> expected(values.size()); // as HDF5 reads it, little-endian
        fixture::change(file, [&](hid_t id) {
            const h5::Handle set(createSet(id, make), H5Dclose);
            QVERIFY(H5Dwrite(set.get(), make.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >=
                    0);
            if (round % 5 == 4 && !make.filters.empty()) {
                // One chunk as it is: HDF5 remembers that its filters were left out.
                const hsize_t at[] = {0, 0, 0};
                std::size_t bytes = size;
                for (const hsize_t c : make.chunk) {
                    bytes *= c;
                }
                const auto plain = randomBytes(bytes / size, size, engine);
                QVERIFY(H5Dwrite_chunk(set.get(), H5P_DEFAULT, (1U << make.filters.size()) - 1, at,
                                       bytes, plain.data()) >= 0);
            }
        });
        fixture::change(file, [&](hid_t id) {
            const h5::Handle set(H5Dopen2(id, queryPath.c_str(), H5P_DEFAULT), H5Dclose);
            const h5::Handle native(H5Tcopy(make.type), H5Tclose);
            H5Tset_order(native.get(), H5T_ORDER_LE);
            const bool read = H5Dread(set.get(), native.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                                      expected.data()) >= 0;
            QVERIFY2(read, h5::because().c_str());
        });
        const DumpReader reader(file);
        const TaskInfo& task = reader.info().tasks[0];
        for (int part = 0; part < 6; ++part) {
            Region region{0, rows, 0, columns};
            std::vector<std::int64_t> list;
            for (std::int64_t s = 0; s < samples; ++s) {
                if (part < 2 || below(2) == 0) {
                    list.push_back(s);
                }
            }
            if (part > 0) {
                region.row = below(rows);
                region.rows = 1 + below(rows - region.row);
            }
            if (part > 2) {
                region.column = below(columns);
                region.columns = 1 + below(columns - region.column);
                std::shuffle(list.begin(), list.end(), engine);
            }
            if (list.empty()) {
                continue;
            }
            const auto bytes = static_cast<std::size_t>(region.count()) * size;
            std::vector<std::byte> wanted;
            for (const std::int64_t s : list) {
                for (std::int64_t r = region.row; r < region.row + region.rows; ++r) {
                    const auto at = expected.begin() + ((s * rows + r) * columns + region.column) *
                                                           static_cast<std::int64_t>(size);
                    wanted.insert(wanted.end(), at,
                                  at + region.columns * static_cast<std::int64_t>(size));
                }
            }
            const auto pieces = reader.pieces(task, query, Part::gradients, list, region, false);
            QVERIFY(pieces);
            std::vector<std::byte> buffer(static_cast<std::size_t>(pieces->bytes()));
            test::readAll(*pieces, buffer.data());
            std::vector<std::byte> got;
            for (std::size_t i = 0; i < list.size(); ++i) {
                const auto at = buffer.begin() + pieces->first() +
                                static_cast<std::int64_t>(i) * pieces->sampleBytes();
                got.insert(got.end(), at, at + static_cast<std::int64_t>(bytes));
            }
            QVERIFY(got == wanted);
            std::vector<std::byte> raw(wanted.size());
            reader.readRaw(task, query, Part::gradients, list, region, raw.data());
            QVERIFY(raw == wanted);
        }
    }
}

void TestChunks::damaged_data() {
    QTest::addColumn<int>("change");
    QTest::addColumn<QString>("says");
    QTest::newRow("inflates to more") << 0 << "not of the size";
    QTest::newRow("inflates to less") << 1 << "not of the size";
    QTest::newRow("no deflate stream") << 2 << "damaged";
    QTest::newRow("cut off") << 3 << "damaged";
    QTest::newRow("far too long") << 4 << "not of the size";
    QTest::newRow("a bomb") << 5 << "not of the size";
}

void TestChunks::damaged() {
    QFETCH(int, change);
    QFETCH(QString, says);
    const std::filesystem::path file = m_folder / "damaged.h5";
    writeBase(file);
    const std::size_t bytes = 4 * rows * columns * 4;
    const std::vector<char> sound(bytes, 1);
    std::vector<char> stored = deflated(sound);
    switch (change) {
    case 0:
        stored = deflated(std::vector<char>(bytes + 4, 1));
        break;
    case 1:
        stored = deflated(std::vector<char>(bytes - 4, 1));
        break;
    case 2:
        stored.assign(200, 'x');
        break;
    case 3:
        stored.resize(stored.size() / 2);
        break;
    case 4:
        stored.assign(bytes * 3, 'x');
        break;
    default:
        stored = deflated(std::vector<char>(std::size_t(12) << 20, 1));
    }
    fixture::change(file, [&](hid_t id) {
        const h5::Handle set(
            createSet(id, {H5T_IEEE_F32LE, {4, rows, columns}, {H5Z_FILTER_DEFLATE}, false}),
            H5Dclose);
        for (hsize_t s = 0; s < samples; s += 4) {
            const hsize_t at[] = {s, 0, 0};
            const auto good = deflated(sound);
            const auto& data = s == 8 ? stored : good;
            QVERIFY(H5Dwrite_chunk(set.get(), H5P_DEFAULT, 0, at, data.size(), data.data()) >= 0);
        }
    });
    const DumpReader reader(file);
    const TaskInfo& task = reader.info().tasks[0];
    const std::vector<std::int64_t> list{1, 9};
    const Region region{0, rows, 0, columns};
    std::vector<float> values(static_cast<std::size_t>(2 * rows * columns));
    const auto complains = [&](const std::function<void()>& read) {
        try {
            read();
        } catch (const InputError& e) {
            const std::string text = e.what();
            return text.find(queryPath.substr(1)) != std::string::npos &&
                   text.find("chunk at [8, 0, 0]") != std::string::npos &&
                   text.find(says.toStdString()) != std::string::npos &&
                   text.find('\n') == std::string::npos;
        }
        return false;
    };
    QVERIFY(complains([&] {
        const auto pieces = reader.pieces(task, query, Part::gradients, list, region, false);
        for (std::size_t i = 0; i < pieces->size(); ++i) {
            pieces->read(i, reinterpret_cast<std::byte*>(values.data()));
        }
    }));
    QVERIFY(complains([&] { reader.readGradients(task, query, list, region, values.data()); }));
}

QTEST_APPLESS_MAIN(TestChunks)
#include "tst_chunks.moc"
