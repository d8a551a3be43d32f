// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/DType.h"
#include "base/Error.h"
#include "base/Memory.h"
#include "base/Numbers.h"

#include <QtTest>

#include <cmath>
#include <limits>

using namespace qkov;

class TestNumbers : public QObject {
    Q_OBJECT

  private slots:
    void shown_data();
    void shown();
    void bytes();
    void memoryOfTheMachine();
    void halvesSurviveARoundTrip();
    void halvesRoundToNearestEven();
};

void TestNumbers::shown_data() {
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::newRow("three digits") << 0.41234 << QStringLiteral("0.412");
    QTest::newRow("rounds up a decade") << 0.9996 << QStringLiteral("1.00");
    QTest::newRow("thousands") << 1234.4 << QStringLiteral("1\u2009230");
    QTest::newRow("tiny") << 1.234e-7 << QStringLiteral("1.23e-07");
    QTest::newRow("negative") << -2.0 << QStringLiteral("−2.00");
    QTest::newRow("missing") << std::nan("") << QStringLiteral("–");
    QTest::newRow("zero") << 0.0 << QStringLiteral("0");
}

void TestNumbers::shown() {
    QFETCH(double, value);
    QFETCH(QString, text);
    QCOMPARE(QString::fromStdString(formatNumber(value)), text);
}

void TestNumbers::bytes() {
    QCOMPARE(parseBytes("2G"), std::int64_t(2) << 30);
    QCOMPARE(parseBytes("512MiB"), std::int64_t(512) << 20);
    QCOMPARE(parseBytes("123"), std::int64_t(123));
    for (const char* bad : {"", "G", "-1G", "2X", "1e40", "12 apples"}) {
        QVERIFY_EXCEPTION_THROWN(parseBytes(bad), UsageError);
    }
}

void TestNumbers::memoryOfTheMachine() {
    const MachineMemory memory = machineMemory();
    QVERIFY(memory.available > 0);
    QVERIFY(memory.available <= memory.total);
}

void TestNumbers::halvesSurviveARoundTrip() {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        const float value = halfToFloat(static_cast<std::uint16_t>(bits));
        if (std::isnan(value)) {
            continue;
        }
        QCOMPARE(std::uint32_t(floatToHalf(value)), bits);
        float fast = 0;
        const auto half = static_cast<std::uint16_t>(bits);
        convertToFloat(&half, DType::f16, 1, &fast);
        QCOMPARE(fast, value);
    }
}

void TestNumbers::halvesRoundToNearestEven() {
    QCOMPARE(floatToHalf(1.0f + 1.0f / 2048), floatToHalf(1.0f));
    QCOMPARE(floatToHalf(1.0f + 3.0f / 2048), floatToHalf(1.0f + 2.0f / 1024));
    QCOMPARE(floatToHalf(65519.0f), std::uint16_t(0x7bff));
    QCOMPARE(floatToHalf(65520.0f), std::uint16_t(0x7c00));
    QCOMPARE(floatToBfloat(1.0f + 1.0f / 256), floatToBfloat(1.0f));
}

QTEST_APPLESS_MAIN(TestNumbers)
#include "tst_numbers.moc"
