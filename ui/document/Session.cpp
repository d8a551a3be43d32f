// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Session.h"

#include "base/AtomicFile.h"
#include "base/Error.h"
#include "base/RawFile.h"
#include "results/RequestJson.h"

#include <nlohmann/json.hpp>

#include <QDir>
#include <QFileInfo>
#include <QJsonDocument>

namespace qkov::ui {

namespace {

using nlohmann::json;

std::filesystem::path toPath(const QString& text) {
    return std::filesystem::path(text.toStdU16String());
}

json toJson(const Place& p) {
    json j{{"block", std::string(1, blockName(p.cell.block))},
           {"layer", p.cell.layer.value},
           {"head", p.cell.head.value}};
    if (p.isPair()) {
        j["sample_a"] = p.sampleA.toStdString();
        j["sample_b"] = p.sampleB.toStdString();
    }
    return j;
}

Place placeFrom(const json& j) {
    Place p;
    const auto blocks = engine::parseBlocks(j.at("block").get<std::string>());
    p.cell.block = blocks.empty() ? Block::Q : blocks.front();
    p.cell.layer = LayerIndex(j.at("layer").get<std::int64_t>());
    p.cell.head = HeadIndex(j.at("head").get<std::int64_t>());
    p.sampleA = QString::fromStdString(j.value("sample_a", std::string()));
    p.sampleB = QString::fromStdString(j.value("sample_b", std::string()));
    return p;
}

/// Paths inside the session's folder move with it.
std::string pathText(const QString& path, const QString& sessionFile) {
    const QString relative = QFileInfo(sessionFile).absoluteDir().relativeFilePath(path);
    return (relative.startsWith(QLatin1String("..")) ? path : relative).toStdString();
}

QString pathFrom(const std::string& text, const QString& sessionFile) {
    const QString path = QString::fromStdString(text);
    return QDir::isRelativePath(path) ? QFileInfo(sessionFile).absoluteDir().absoluteFilePath(path)
                                      : path;
}

json toJson(const QJsonObject& object) {
    return json::parse(QJsonDocument(object).toJson(QJsonDocument::Compact).toStdString());
}

QJsonObject objectFrom(const json& j) {
    return QJsonDocument::fromJson(QByteArray::fromStdString(j.dump())).object();
}

constexpr const char* knownKeys[] = {"format",    "format_version", "file",      "fingerprint",
                                     "computed",  "page",           "reduction", "request",
                                     "selection", "cells",          "notes",     "pins",
                                     "layout",    "compared",       "view"};

} // namespace

QString toJson(const Session& s, const QString& sessionFile) {
    json j = s.others.isEmpty() ? json::object() : toJson(s.others);
    j.update({{"format", "qkov-session"},
              {"format_version", 1},
              {"file", pathText(s.path, sessionFile)},
              {"fingerprint", s.fingerprint.toStdString()},
              {"computed", s.computed},
              {"page", s.page.toStdString()},
              {"reduction", s.reduction.toStdString()}});
    if (!s.layout.isEmpty()) {
        j["layout"] = s.layout.toStdString();
    }
    if (!s.compared.isEmpty()) {
        j["compared"] = pathText(s.compared, sessionFile);
    }
    if (!s.view.isEmpty()) {
        j["view"] = toJson(s.view);
    }
    if (s.request) {
        // Options of a newer version stay beside ours.
        json request = j.value("request", json::object());
        request.update(engine::toJson(*s.request));
        j["request"] = std::move(request);
    }
    if (s.place) {
        j["selection"] = toJson(*s.place);
    }
    for (const Cell& cell : s.cells) {
        j["cells"].push_back(toJson(Place{cell, {}, {}}));
    }
    j["notes"] = json::array();
    for (const Note& n : s.notes) {
        json note = toJson(n.place);
        note["text"] = n.text.toStdString();
        note["written"] = n.written.toString(Qt::ISODate).toStdString();
        j["notes"].push_back(note);
    }
    j["pins"] = json::array();
    for (const Place& p : s.pins) {
        j["pins"].push_back(toJson(p));
    }
    return QString::fromStdString(j.dump(2)) + QLatin1Char('\n');
}

Session sessionFromJson(const QByteArray& text, const QString& sessionFile) {
    const auto where = toPath(sessionFile);
    try {
        const json j = json::parse(text.begin(), text.end());
        if (j.at("format") != "qkov-session") {
            throw InputError("is not a session file", where);
        }
        if (j.at("format_version").get<int>() != 1) {
            throw InputError("is a session of a newer version", where, "format_version",
                             "open it with the version that wrote it");
        }
        Session s;
        s.path = pathFrom(j.at("file").get<std::string>(), sessionFile);
        s.fingerprint = QString::fromStdString(j.value("fingerprint", std::string()));
        s.computed = j.value("computed", false);
        s.page = QString::fromStdString(j.value("page", std::string()));
        s.reduction = QString::fromStdString(j.value("reduction", std::string()));
        s.layout = QString::fromStdString(j.value("layout", std::string()));
        if (j.contains("compared")) {
            s.compared = pathFrom(j.at("compared").get<std::string>(), sessionFile);
        }
        if (j.contains("view")) {
            if (!j.at("view").is_object()) {
                throw InputError("is not a readable session", where, "view is not an object");
            }
            s.view = objectFrom(j.at("view"));
        }
        json others = j;
        for (const char* key : knownKeys) {
            others.erase(key);
        }
        if (j.contains("request") && j.at("request").is_object()) {
            json unknown = j.at("request");
            const json known = engine::toJson(engine::ScoreRequest());
            for (const auto& item : known.items()) {
                unknown.erase(item.key());
            }
            if (!unknown.empty()) {
                others["request"] = std::move(unknown);
            }
        }
        s.others = objectFrom(others);
        if (j.contains("request")) {
            s.request = results::requestFromJson(j.at("request"));
        }
        if (j.contains("selection")) {
            s.place = placeFrom(j.at("selection"));
        }
        for (const json& cell : j.value("cells", json::array())) {
            s.cells.push_back(placeFrom(cell).cell);
        }
        for (const json& n : j.value("notes", json::array())) {
            s.notes.push_back(
                {placeFrom(n), QString::fromStdString(n.at("text").get<std::string>()),
                 QDateTime::fromString(QString::fromStdString(n.value("written", std::string())),
                                       Qt::ISODate)});
        }
        for (const json& p : j.value("pins", json::array())) {
            s.pins.push_back(placeFrom(p));
        }
        return s;
    } catch (const json::exception& e) {
        throw InputError("is not a readable session", where, e.what());
    } catch (const UsageError& e) {
        throw InputError("is not a readable session", where, e.what());
    }
}

void saveSession(const Session& session, const QString& file) {
    writeTextFile(toPath(file), toJson(session, file).toStdString());
}

Session loadSession(const QString& file) {
    return sessionFromJson(QByteArray::fromStdString(readText(toPath(file), largestText)), file);
}

} // namespace qkov::ui
