// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/Error.h"
#include "base/RawFile.h"

#include <QTemporaryDir>
#include <QtTest>

#include <fstream>
#include <sys/stat.h>

using namespace qkov;

class TestRawFile : public QObject {
    Q_OBJECT

  private slots:
    void wholeText();
    void ranges();
    void refused_data();
    void refused();

  private:
    std::filesystem::path place(const char* name) const {
        return std::filesystem::path(m_folder.path().toStdString()) / name;
    }
    std::filesystem::path write(const char* name, const std::string& text) const {
        std::ofstream(place(name), std::ios::binary) << text;
        return place(name);
    }
    QTemporaryDir m_folder;
};

void TestRawFile::wholeText() {
    const std::string text("a\0b\r\n\xff", 6);
    QCOMPARE(readText(write("text", text), 6), text);
    QCOMPARE(readText(write("empty", ""), 0), std::string());
    std::filesystem::create_symlink(place("text"), place("link"));
    QCOMPARE(readText(place("link"), 6), text);
}

void TestRawFile::ranges() {
    const RawFile file(write("bytes", "0123456789"));
    QCOMPARE(file.bytes(), std::uint64_t(10));
    std::string got(4, ' ');
    file.read(6, 4, got.data());
    QCOMPARE(got, std::string("6789"));
    file.read(10, 0, got.data());
    QVERIFY_THROWS_EXCEPTION(InputError, file.read(7, 4, got.data()));
}

void TestRawFile::refused_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("problem");
    write("long", "12345");
    QCOMPARE(::mkfifo(place("pipe").c_str(), 0600), 0);
    std::filesystem::create_symlink(place("nowhere"), place("dangling"));
    QTest::newRow("missing") << "none"
                             << "none: is missing";
    QTest::newRow("a link to nothing") << "dangling"
                                       << "dangling: is missing";
    QTest::newRow("a folder") << "."
                              << "is not a regular file";
    QTest::newRow("a pipe that nobody writes to") << "pipe"
                                                  << "pipe: is not a regular file";
    QTest::newRow("a file for a folder") << "long/config.json"
                                         << "can't be read";
    QTest::newRow("too large") << "long"
                               << "long: is too large: 5 bytes, at most 4 are read";
}

void TestRawFile::refused() {
    QFETCH(QString, name);
    QFETCH(QString, problem);
    QString said;
    try {
        readText(place(name.toUtf8().constData()), 4);
    } catch (const InputError& e) {
        said = QString::fromUtf8(e.what());
    }
    QVERIFY2(said.contains(problem), qPrintable(said));
}

QTEST_APPLESS_MAIN(TestRawFile)
#include "tst_rawfile.moc"
