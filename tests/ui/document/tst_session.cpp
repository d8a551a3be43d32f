// SPDX-License-Identifier: GPL-3.0-or-later
// Session files: everything comes back, paths move with the file, keys of a newer version stay,
// broken files say what is wrong.
#include "base/Error.h"
#include "document/Session.h"
#include "pages/LookJson.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

using namespace qkov;
using namespace qkov::ui;

namespace {

Session full(const QString& folder) {
    Session s;
    s.path = folder + "/data/dump.h5";
    s.fingerprint = "f00d";
    engine::ScoreRequest r;
    r.taskA = "math";
    r.taskB = "code";
    r.mode = engine::Mode::hybrid;
    r.variant = engine::Variant::cosine;
    r.layers = {0, 2};
    s.request = r;
    s.computed = true;
    s.place = Place{{Block::V, LayerIndex(2), HeadIndex(1)}, "a1", "b2"};
    s.cells = {{Block::V, LayerIndex(2), HeadIndex(1)}, {Block::V, LayerIndex(2), HeadIndex(3)}};
    s.page = "pairsPage";
    s.reduction = "max";
    s.layout = "{\"Q\": {}}";
    s.compared = "/elsewhere/other.h5";
    s.view = QJsonObject{{"maps", QJsonObject{{"scale", "log"}}},
                         {"sizes", QJsonObject{{"pairsUpper", QJsonArray{1, 2}}}}};
    s.notes = {{*s.place, "a note", QDateTime(QDate(2026, 1, 2), QTime(3, 4), Qt::UTC)}};
    s.pins = {*s.place};
    return s;
}

QString messageOf(const QByteArray& json) {
    try {
        sessionFromJson(json, "/x/s.qkovsession");
    } catch (const InputError& e) {
        return QString::fromUtf8(e.what());
    }
    return "no error";
}

} // namespace

class TestSession : public QObject {
    Q_OBJECT

  private slots:
    void everythingComesBack() {
        QTemporaryDir dir;
        const Session s = full(dir.path());
        const QString file = dir.filePath("s.qkovsession");
        saveSession(s, file);
        const Session t = loadSession(file);
        QCOMPARE(t.path, s.path);
        QCOMPARE(t.fingerprint, s.fingerprint);
        QVERIFY(engine::toJson(*t.request) == engine::toJson(*s.request));
        QCOMPARE(t.computed, s.computed);
        QVERIFY(t.place == s.place);
        QVERIFY(t.cells == s.cells);
        QCOMPARE(t.page, s.page);
        QCOMPARE(t.reduction, s.reduction);
        QCOMPARE(t.layout, s.layout);
        QCOMPARE(t.compared, s.compared);
        QCOMPARE(t.view, s.view);
        QCOMPARE(t.notes.size(), std::size_t(1));
        QCOMPARE(t.notes[0].text, s.notes[0].text);
        QCOMPARE(t.notes[0].written, s.notes[0].written);
        QVERIFY(t.pins == s.pins);
        QVERIFY(t.others.isEmpty());
    }

    void pathsInsideMoveWithTheFile() {
        const Session s = full("/home/a");
        const QString json = toJson(s, "/home/a/s.qkovsession");
        const Session t = sessionFromJson(json.toUtf8(), "/media/b/s.qkovsession");
        QCOMPARE(t.path, QString("/media/b/data/dump.h5"));
        QCOMPARE(t.compared, QString("/elsewhere/other.h5"));
    }

    void keysOfANewerVersionStay() {
        QByteArray json = toJson(full("/a"), "/a/s.qkovsession").toUtf8();
        json.replace("\"computed\"", "\"bookmarks\": [1, {\"x\": null}], \"computed\"");
        json.replace("\"scale\"", "\"glow\": 3, \"scale\"");
        json.replace("\"task_a\"", "\"tenderness\": 7, \"task_a\"");
        const Session s = sessionFromJson(json, "/a/s.qkovsession");
        QCOMPARE(s.others.keys(), QStringList({"bookmarks", "request"}));
        const auto again = QJsonDocument::fromJson(toJson(s, "/a/s.qkovsession").toUtf8()).object();
        QCOMPARE(again.value("bookmarks").toArray().size(), 2);
        QCOMPARE(again.value("view").toObject().value("maps").toObject().value("glow").toInt(), 3);
        const auto request = again.value("request").toObject();
        QCOMPARE(request.value("tenderness").toInt(), 7);
        QCOMPARE(request.value("task_a").toString(), QString("math"));
        QCOMPARE(again.value("format").toString(), QString("qkov-session"));
    }

    void olderFilesAreRead() {
        const Session s =
            sessionFromJson(R"({"format": "qkov-session", "format_version": 1, "file": "d.h5"})",
                            "/a/s.qkovsession");
        QCOMPARE(s.path, QString("/a/d.h5"));
        QVERIFY(s.view.isEmpty() && !s.request && s.layout.isEmpty());
    }

    void brokenFilesSayWhatIsWrong() {
        QVERIFY(messageOf("{\"format\": ").contains("not a readable session"));
        QVERIFY(messageOf("[]").contains("not a readable session"));
        QVERIFY(messageOf("{}").contains("format"));
        QVERIFY(messageOf(R"({"format": "x"})").contains("not a session file"));
        QVERIFY(messageOf(R"({"format": "qkov-session", "format_version": 2})").contains("newer"));
        QVERIFY(messageOf(R"({"format": "qkov-session", "format_version": 1})").contains("file"));
        QVERIFY(
            messageOf(R"({"format": "qkov-session", "format_version": 1, "file": "x", "view": 3})")
                .contains("view"));
        QVERIFY(messageOf(R"({"format": "qkov-session", "format_version": 1, "file": "x",
                              "request": {"mode": "sideways"}})")
                    .contains("sideways"));
        QVERIFY(messageOf(R"({"format": "qkov-session", "format_version": 1, "file": "x",
                              "notes": [{"text": "no place"}]})")
                    .contains("block"));
        QVERIFY_EXCEPTION_THROWN(loadSession("/nowhere/s.qkovsession"), InputError);
    }

    void looksComeBack_data() {
        QTest::addColumn<int>("which");
        for (int i = 0; i < 9; ++i) {
            QTest::newRow(qPrintable(QString::number(i))) << i;
        }
    }
    void looksComeBack() {
        QFETCH(int, which);
        FourMaps::Look look;
        switch (which) {
        case 0:
            break;
        case 1:
            look.sharedRange = look.marks = false;
            break;
        case 2:
            look.layerZeroAtTop = false;
            look.margins = true;
            break;
        case 3:
            look.sort = HeadSort::value;
            look.range.log = true;
            break;
        case 4:
            look.sort = HeadSort::type;
            look.range.symlog = true;
            break;
        case 5:
            look.range.kind = RangeOptions::Kind::robust;
            break;
        case 6:
            look.range.kind = RangeOptions::Kind::given;
            look.range.low = -0.125;
            look.range.high = 7.5;
            break;
        case 7:
            look.map = ColorMap(ColorMap::Id::RdBu);
            break;
        case 8:
            look.map = ColorMap(ColorMap::Id::cividis);
            look.range.log = true;
            break;
        }
        QVERIFY(lookFromJson(toJson(look)) == look);
        // Through text, as in the file.
        const auto text = QJsonDocument(toJson(look)).toJson();
        QVERIFY(lookFromJson(QJsonDocument::fromJson(text).object()) == look);
    }

    void senselessLooksAreLeftOut() {
        const FourMaps::Look look = lookFromJson({{"scale", "cubic"},
                                                  {"sort", 3},
                                                  {"colour_map", "rainbow"},
                                                  {"range", "given"},
                                                  {"low", 5},
                                                  {"high", 1},
                                                  {"marks", "yes"}});
        QVERIFY(look == FourMaps::Look());
    }
};

QTEST_GUILESS_MAIN(TestSession)
#include "tst_session.moc"
