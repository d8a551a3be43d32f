// SPDX-License-Identifier: GPL-3.0-or-later
// What the user wrote about cells and pairs, and the pairs kept for comparison.
#pragma once

#include "base/Index.h"

#include <QDateTime>
#include <QObject>
#include <QString>

#include <optional>
#include <vector>

namespace qkov::ui {

/// A place by the model's own numbers and sample ids: it survives another selection of layers.
struct Place {
    Cell cell;
    QString sampleA; ///< empty: the cell as a whole
    QString sampleB;
    bool isPair() const { return !sampleA.isEmpty(); }
    QString text() const; ///< "L7 · H3 · O, math-7 × code-23"
    friend bool operator==(const Place&, const Place&) = default;
};

struct Note {
    Place place;
    QString text;
    QDateTime written;
};

class Notes : public QObject {
    Q_OBJECT

  public:
    static constexpr std::size_t mostPins = 4;
    explicit Notes(QObject* parent = nullptr);

    const std::vector<Note>& notes() const { return m_notes; }
    /// Empty if there is none.
    QString textAt(const Place& place) const;
    /// An empty text removes the note.
    void setText(const Place& place, const QString& text);
    void setNotes(std::vector<Note> notes);

    const std::vector<Place>& pins() const { return m_pins; }
    bool pinned(const Place& place) const;
    /// The oldest goes when there are more than four.
    void pin(const Place& place);
    void unpin(const Place& place);
    void setPins(std::vector<Place> pins);
    void clear();

    /// @param title of the document; @param lead a line below it: what the numbers are from
    QString markdown(const QString& title, const QString& lead) const;

  signals:
    void notesChanged();
    void pinsChanged();

  private:
    std::vector<Note> m_notes;
    std::vector<Place> m_pins;
};

} // namespace qkov::ui
