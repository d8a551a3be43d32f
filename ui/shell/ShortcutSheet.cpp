// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/ShortcutSheet.h"

#include "plots/Palette.h"
#include "shell/Actions.h"

#include <QAction>
#include <QDialogButtonBox>
#include <QTextBrowser>
#include <QVBoxLayout>

namespace qkov::ui {

ShortcutSheet::ShortcutSheet(const QMenuBar* bar, const std::vector<KeyNote>& notes,
                             QWidget* window)
    : QDialog(window) {
    setWindowTitle(tr("Keyboard shortcuts"));
    setAttribute(Qt::WA_DeleteOnClose);
    std::vector<KeyNote> all;
    for (const NamedAction& a : actionsOf(bar)) {
        if (a.action && !a.action->shortcut().isEmpty()) {
            QStringList keys;
            for (const QKeySequence& key : a.action->shortcuts()) {
                keys << key.toString(QKeySequence::NativeText);
            }
            all.push_back({a.menu, keys.join(QStringLiteral(", ")), a.text});
        }
    }
    all.insert(all.end(), notes.begin(), notes.end());

    const Palette& palette = Palette::current(this);
    QString html = QStringLiteral("<table cellspacing='0' cellpadding='3' width='100%'>");
    QString place;
    for (const KeyNote& note : all) {
        if (note.place != place) {
            place = note.place;
            html +=
                QStringLiteral("<tr><td colspan='2' style='padding-top:10px'><b>%1</b></td></tr>")
                    .arg(place.toHtmlEscaped());
        }
        html += QStringLiteral("<tr><td>%1</td><td align='right' style='color:%3'>%2</td></tr>")
                    .arg(note.does.toHtmlEscaped(), note.keys.toHtmlEscaped(),
                         palette.mutedText.name());
        m_text += note.place + QLatin1Char('\t') + note.keys + QLatin1Char('\t') + note.does +
                  QLatin1Char('\n');
    }
    html += QStringLiteral("</table>");

    auto* view = new QTextBrowser(this);
    view->setHtml(html);
    view->setAccessibleName(windowTitle());
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(12, 12, 12, 12);
    layout->addWidget(view);
    layout->addWidget(buttons);
    resize(460, 560);
}

} // namespace qkov::ui
