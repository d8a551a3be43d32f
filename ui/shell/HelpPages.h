// SPDX-License-Identifier: GPL-3.0-or-later
// The manual's Markdown pages, and the search in them. No widgets.
#pragma once

#include <QString>

#include <vector>

namespace qkov::ui {

struct HelpPage {
    QString name;  ///< "metric"
    QString title; ///< its first heading
    QString markdown;
};

struct HelpHit {
    QString page;    ///< name
    QString title;   ///< of the page
    QString heading; ///< of the section
    QString anchor;  ///< of the section; may be empty
    QString snippet; ///< the line around the first match
};

class HelpPages {
  public:
    /// All *.md of a folder (":/help"); index first, then by the order in which index links to
    /// them.
    explicit HelpPages(const QString& folder);

    const std::vector<HelpPage>& pages() const { return m_pages; }
    const HelpPage* find(const QString& name) const;
    /// Sections that hold every word of `query`, headings first, at most `limit`.
    std::vector<HelpHit> search(const QString& query, int limit = 50) const;
    /// As on the web: "What D is" → "what-d-is".
    static QString anchorOf(const QString& heading);

  private:
    std::vector<HelpPage> m_pages;
};

} // namespace qkov::ui
