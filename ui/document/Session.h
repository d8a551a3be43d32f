// SPDX-License-Identifier: GPL-3.0-or-later
// A .qkovsession file: which file, which options, what was looked at, what was written about it.
#pragma once

#include "document/Notes.h"
#include "engine/ScoreRequest.h"

#include <QJsonObject>
#include <QString>

#include <filesystem>
#include <optional>

namespace qkov::ui {

struct Session {
    QString path;        ///< of what was open
    QString fingerprint; ///< of the dump, or of the dump behind the results; may be empty
    std::optional<engine::ScoreRequest> request;
    bool computed = false; ///< scores of `request` were shown
    std::optional<Place> place;
    std::vector<Cell> cells; ///< marked together; empty: only the selected one
    QString page;            ///< object name of the page
    QString reduction;       ///< "mean", "max", "median", "p95"
    QString layout;          ///< text of the user's layout; empty: none
    QString compared;        ///< results beside these on the Compare page; empty: none
    QJsonObject view; ///< how it is shown: colours, ranges, orders, sizes; the pages know the keys
    std::vector<Note> notes;
    std::vector<Place> pins;
    /// Keys of a newer version: not understood, but written again.
    QJsonObject others;
};

/// JSON text. File paths inside the session's own folder are written relative to it.
QString toJson(const Session& session, const QString& sessionFile);
/// @throws qkov::InputError naming the key
Session sessionFromJson(const QByteArray& json, const QString& sessionFile);
/// Atomic. @throws qkov::InputError
void saveSession(const Session& session, const QString& file);
/// @throws qkov::InputError
Session loadSession(const QString& file);

} // namespace qkov::ui
