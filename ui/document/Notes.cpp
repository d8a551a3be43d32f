// SPDX-License-Identifier: GPL-3.0-or-later
#include "document/Notes.h"

#include <algorithm>

namespace qkov::ui {

QString Place::text() const {
    QString t = QStringLiteral("L%1 · H%2 · %3")
                    .arg(cell.layer.value)
                    .arg(cell.head.value)
                    .arg(QLatin1Char(blockName(cell.block)));
    if (isPair()) {
        t += QStringLiteral(", %1 × %2").arg(sampleA, sampleB);
    }
    return t;
}

Notes::Notes(QObject* parent)
    : QObject(parent) {}

QString Notes::textAt(const Place& place) const {
    const auto it = std::find_if(m_notes.begin(), m_notes.end(),
                                 [&](const Note& n) { return n.place == place; });
    return it == m_notes.end() ? QString() : it->text;
}

void Notes::setText(const Place& place, const QString& text) {
    const auto it = std::find_if(m_notes.begin(), m_notes.end(),
                                 [&](const Note& n) { return n.place == place; });
    if (text.trimmed().isEmpty()) {
        if (it == m_notes.end()) {
            return;
        }
        m_notes.erase(it);
    } else if (it == m_notes.end()) {
        m_notes.push_back({place, text, QDateTime::currentDateTimeUtc()});
    } else if (it->text == text) {
        return;
    } else {
        it->text = text;
        it->written = QDateTime::currentDateTimeUtc();
    }
    emit notesChanged();
}

void Notes::setNotes(std::vector<Note> notes) {
    m_notes = std::move(notes);
    emit notesChanged();
}

bool Notes::pinned(const Place& place) const {
    return std::find(m_pins.begin(), m_pins.end(), place) != m_pins.end();
}

void Notes::pin(const Place& place) {
    if (!place.isPair() || pinned(place)) {
        return;
    }
    m_pins.push_back(place);
    if (m_pins.size() > mostPins) {
        m_pins.erase(m_pins.begin());
    }
    emit pinsChanged();
}

void Notes::unpin(const Place& place) {
    if (std::erase(m_pins, place) > 0) {
        emit pinsChanged();
    }
}

void Notes::setPins(std::vector<Place> pins) {
    if (pins.size() > mostPins) {
        pins.resize(mostPins);
    }
    m_pins = std::move(pins);
    emit pinsChanged();
}

void Notes::clear() {
    setNotes({});
    setPins({});
}

QString Notes::markdown(const QString& title, const QString& lead) const {
    QString out = QStringLiteral("# %1\n\n").arg(title);
    if (!lead.isEmpty()) {
        out += lead + QStringLiteral("\n\n");
    }
    for (const Note& n : m_notes) {
        out += QStringLiteral("## %1\n\n%2\n\n*%3*\n\n")
                   .arg(n.place.text(), n.text.trimmed(), n.written.toString(Qt::ISODate));
    }
    return out;
}

} // namespace qkov::ui
