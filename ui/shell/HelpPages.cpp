// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/HelpPages.h"

#include <QDir>
#include <QRegularExpression>

#include <algorithm>

namespace qkov::ui {

namespace {

/// Markdown's signs that say nothing in a snippet.
QString plainLine(const QString& line) {
    static const QRegularExpression link(QStringLiteral(R"(!?\[([^\]]*)\]\([^)]*\))"));
    QString text = line;
    text.replace(link, QStringLiteral("\\1"));
    text.remove(QRegularExpression(QStringLiteral("[*`|#]+")));
    return text.simplified();
}

QString headingOf(const QString& line) {
    static const QRegularExpression heading(QStringLiteral(R"(^#{1,6}\s+(.*)$)"));
    const auto m = heading.match(line);
    return m.hasMatch() ? plainLine(m.captured(1)) : QString();
}

} // namespace

HelpPages::HelpPages(const QString& folder) {
    const QDir dir(folder);
    for (const QString& file : dir.entryList({QStringLiteral("*.md")}, QDir::Files, QDir::Name)) {
        QFile f(dir.filePath(file));
        if (!f.open(QFile::ReadOnly)) {
            continue;
        }
        HelpPage page;
        page.name = file.chopped(3);
        page.markdown = QString::fromUtf8(f.readAll());
        for (const QString& line : page.markdown.split(QLatin1Char('\n'))) {
            page.title = headingOf(line);
            if (!page.title.isEmpty()) {
                break;
            }
        }
        if (page.title.isEmpty()) {
            page.title = page.name;
        }
        m_pages.push_back(std::move(page));
    }
    const HelpPage* index = find(QStringLiteral("index"));
    const QString contents = index ? index->markdown : QString();
    const auto rank = [&contents](const HelpPage& p) -> qsizetype {
        if (p.name == QLatin1String("index")) {
            return -1;
        }
        const qsizetype at = contents.indexOf(QStringLiteral("(%1.md").arg(p.name));
        return at < 0 ? contents.size() : at;
    };
    std::stable_sort(m_pages.begin(), m_pages.end(),
                     [&rank](const HelpPage& a, const HelpPage& b) { return rank(a) < rank(b); });
}

const HelpPage* HelpPages::find(const QString& name) const {
    const auto it = std::find_if(m_pages.begin(), m_pages.end(),
                                 [&name](const HelpPage& p) { return p.name == name; });
    return it == m_pages.end() ? nullptr : &*it;
}

QString HelpPages::anchorOf(const QString& heading) {
    QString anchor;
    for (const QChar c : heading.toLower()) {
        if (c.isLetterOrNumber() || c == QLatin1Char('_') || c == QLatin1Char('-')) {
            anchor += c;
        } else if (c.isSpace()) {
            anchor += QLatin1Char('-');
        }
    }
    return anchor;
}

std::vector<HelpHit> HelpPages::search(const QString& query, int limit) const {
    const QStringList words = query.simplified().split(QLatin1Char(' '), Qt::SkipEmptyParts);
    std::vector<HelpHit> inHeadings;
    std::vector<HelpHit> inText;
    if (words.isEmpty()) {
        return inHeadings;
    }
    const auto holdsAll = [&words](const QString& text) {
        return std::all_of(words.begin(), words.end(), [&text](const QString& w) {
            return text.contains(w, Qt::CaseInsensitive);
        });
    };
    for (const HelpPage& page : m_pages) {
        QString heading = page.title;
        QStringList section;
        const auto close = [&] {
            HelpHit hit{page.name, page.title, heading, anchorOf(heading), {}};
            for (const QString& line : section) {
                if (line.contains(words.front(), Qt::CaseInsensitive)) {
                    hit.snippet = plainLine(line);
                    hit.snippet.remove(QRegularExpression(
                        QStringLiteral("^(?:[->]|[0-9]+\\.)\\s+"))); // the sign of a list
                    hit.snippet.truncate(160);
                    break;
                }
            }
            if (holdsAll(heading)) {
                inHeadings.push_back(hit);
            } else if (holdsAll(heading + QLatin1Char('\n') + section.join(QLatin1Char('\n')))) {
                inText.push_back(hit);
            }
            section.clear();
        };
        bool code = false;
        for (const QString& line : page.markdown.split(QLatin1Char('\n'))) {
            code ^= line.startsWith(QLatin1String("```"));
            const QString next = code ? QString() : headingOf(line);
            if (next.isEmpty()) {
                section << line;
            } else {
                close();
                heading = next;
            }
        }
        close();
    }
    inHeadings.insert(inHeadings.end(), inText.begin(), inText.end());
    if (static_cast<int>(inHeadings.size()) > limit) {
        inHeadings.resize(static_cast<std::size_t>(limit));
    }
    return inHeadings;
}

} // namespace qkov::ui
