// SPDX-License-Identifier: GPL-3.0-or-later
#include "MakeScores.h"
#include "base/Error.h"
#include "results/Summary.h"

#include <QtTest>

#include <QTemporaryDir>
#include <cstring>
#include <map>

using namespace qkov;
using namespace qkov::results;
using qkov::test::makeScores;
using qkov::test::same;
using qkov::test::Shape;

namespace {

QByteArray contents(const std::filesystem::path& file) {
    QFile f(QString::fromStdString(file.string()));
    return f.open(QIODevice::ReadOnly) ? f.readAll() : QByteArray();
}

/// A reader of RFC 4180, character by character.
std::vector<std::vector<std::string>> readCsv(const QByteArray& bytes) {
    std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
    bool quoted = false;
    for (qsizetype i = 0; i < bytes.size(); ++i) {
        const char c = bytes[i];
        if (quoted && c == '"' && i + 1 < bytes.size() && bytes[i + 1] == '"') {
            rows.back().back() += c;
            ++i;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && c == ',') {
            rows.back().emplace_back();
        } else if (!quoted && c == '\r' && bytes[i + 1] == '\n') {
            rows.emplace_back(1);
            ++i;
        } else {
            rows.back().back() += c;
        }
    }
    rows.pop_back();
    return rows;
}

/// The members of a stored ZIP archive, found from its central directory as readers do.
std::map<std::string, QByteArray> readZip(const QByteArray& zip) {
    const auto number = [&](qsizetype at, int bytes) {
        std::uint64_t v = 0;
        std::memcpy(&v, zip.constData() + at, std::size_t(bytes));
        return v;
    };
    std::map<std::string, QByteArray> members;
    const qsizetype end = zip.size() - 22;
    if (end < 0 || number(end, 4) != 0x06054b50 || number(end - 20, 4) != 0x07064b50) {
        return members;
    }
    const auto end64 = qsizetype(number(end - 12, 8));
    auto at = qsizetype(number(end64 + 48, 8));
    for (std::uint64_t n = number(end64 + 32, 8); n > 0; --n) {
        const auto name = qsizetype(number(at + 28, 2));
        const qsizetype extra = at + 46 + name;
        const auto size = qsizetype(number(extra + 4, 8));
        const auto local = qsizetype(number(extra + 20, 8));
        const qsizetype data =
            local + 30 + qsizetype(number(local + 26, 2)) + qsizetype(number(local + 28, 2));
        members[zip.mid(at + 46, name).toStdString()] = zip.mid(data, size);
        at = extra + qsizetype(number(at + 30, 2));
    }
    return members;
}

/// A .npy member's numbers, after checking its header.
template <class T>
std::vector<T> readNpy(const QByteArray& npy, const char* expected) {
    const auto length = qsizetype(std::uint8_t(npy[8])) + 256 * qsizetype(std::uint8_t(npy[9]));
    if (!npy.startsWith("\x93NUMPY\x01") || (10 + length) % 64 != 0 ||
        npy.mid(10, length).trimmed() != expected) {
        qWarning() << npy.mid(10, length);
        return {};
    }
    std::vector<T> values(std::size_t(npy.size() - 10 - length) / sizeof(T));
    std::memcpy(values.data(), npy.constData() + 10 + length, values.size() * sizeof(T));
    return values;
}

} // namespace

class TestExports : public QObject {
    Q_OBJECT

  private slots:
    void cells();
    void pairs();
    void npz();
    void cancelledLeavesNothing();

  private:
    std::filesystem::path path(const char* name) const {
        return std::filesystem::path(m_dir.path().toStdString()) / name;
    }
    QTemporaryDir m_dir;
};

void TestExports::cells() {
    Shape shape;
    shape.lastLayerComputed = false;
    const auto s = makeScores(shape, 11);
    const auto& h = s->header();
    exportCellsCsv(*s, path("cells.csv"));
    const auto rows = readCsv(contents(path("cells.csv")));
    QCOMPARE(rows.size(), 1 + 3 * h.layers.size() * h.heads.size());
    QCOMPARE(rows[0].size(), std::size_t(14));
    std::size_t r = 1;
    for (const Block b : {Block::Q, Block::K, Block::O}) {
        const auto p95 = reduce(*s, b, Reduction::percentile95);
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size(); ++c, ++r) {
                QCOMPARE(rows[r].size(), rows[0].size());
                QCOMPARE(rows[r][0], std::string(1, blockName(b)));
                QCOMPARE(std::stoi(rows[r][1]), h.layers[l]);
                QCOMPARE(std::stoi(rows[r][2]), h.heads[c]);
                QCOMPARE(std::stoi(rows[r][3]), h.heads[c] / 3);
                QCOMPARE(rows[r][4], h.heads[c] % 2 ? std::string("induction") : "mixed");
                QVERIFY(same(std::stod(rows[r][5]), s->mean(b, l, c)));
                QVERIFY(same(std::stod(rows[r][8]), p95[l * h.heads.size() + c]));
                QVERIFY(same(std::stod(rows[r][13]), s->health(b, l, c).lambda));
            }
        }
    }
}

void TestExports::pairs() {
    const auto s = makeScores(Shape{}, 12);
    const auto& h = s->header();
    exportPairsCsv(*s, path("pairs.csv"));
    const auto rows = readCsv(contents(path("pairs.csv")));
    std::size_t r = 1;
    for (const Block b : {Block::Q, Block::K, Block::O}) {
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                const auto expected = h.distinct(b, c) ? s->pairs(b, l, c) : std::vector<float>();
                for (std::size_t k = 0; k < expected.size(); ++k, ++r) {
                    QVERIFY(r < rows.size());
                    QCOMPARE(rows[r].size(), std::size_t(6));
                    QCOMPARE(std::stoi(rows[r][2]), h.heads[c]);
                    QCOMPARE(rows[r][3], h.samplesA[k / h.nB()].id);
                    QCOMPARE(rows[r][4], h.samplesB[k % h.nB()].id);
                    QVERIFY(same(std::stof(rows[r][5]), expected[k]));
                }
            }
        }
    }
    QCOMPARE(rows.size(), r);
}

void TestExports::npz() {
    const auto s = makeScores(Shape{}, 13);
    exportNpz(*s, path("all.npz"));
    auto members = readZip(contents(path("all.npz")));
    QCOMPARE(members.size(), std::size_t(5 + 3 * 3));
    const auto heads = readNpy<std::int32_t>(
        members["heads.npy"], "{'descr': '<i4', 'fortran_order': False, 'shape': (5,), }");
    QVERIFY(heads == s->header().heads);
    const auto ids = readNpy<char32_t>(members["samples_a.npy"],
                                       "{'descr': '<U4', 'fortran_order': False, 'shape': (4,), }");
    QVERIFY(std::u32string(ids.begin() + 4, ids.begin() + 8) == U"a,\"1");
    const auto scores = readNpy<float>(
        members["scores_K.npy"], "{'descr': '<f4', 'fortran_order': False, 'shape': (3,5,4,3,), }");
    QCOMPARE(scores.size(), std::size_t(180));
    const auto means =
        readNpy<double>(members["layer_head_mean_K.npy"],
                        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,5,), }");
    for (std::size_t l = 0; l < 3; ++l) {
        for (std::size_t c = 0; c < 5; ++c) {
            const auto expected = s->pairs(Block::K, l, c);
            for (std::size_t k = 0; k < 12; ++k) {
                QVERIFY(same(scores[(l * 5 + c) * 12 + k],
                             expected.empty() ? qkov::test::missing : expected[k]));
            }
            QVERIFY(same(means[l * 5 + c], s->mean(Block::K, l, c)));
        }
    }
}

void TestExports::cancelledLeavesNothing() {
    const auto s = makeScores(Shape{}, 13);
    CancelToken token;
    token.cancel();
    Job job(token);
    QVERIFY_EXCEPTION_THROWN(exportCellsCsv(*s, path("none.csv"), &job), Cancelled);
    QVERIFY_EXCEPTION_THROWN(exportPairsCsv(*s, path("none.csv"), &job), Cancelled);
    QVERIFY_EXCEPTION_THROWN(exportNpz(*s, path("none.npz"), &job), Cancelled);
    for (const auto& entry : std::filesystem::directory_iterator(m_dir.path().toStdString())) {
        QVERIFY2(!entry.path().filename().string().starts_with("none"), entry.path().c_str());
    }
}

QTEST_APPLESS_MAIN(TestExports)
#include "tst_exports.moc"
