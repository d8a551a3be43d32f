// SPDX-License-Identifier: GPL-3.0-or-later
#include "shell/HelpWindow.h"

#include "plots/Palette.h"

#include <QAbstractTextDocumentLayout>
#include <QDesktopServices>
#include <QFile>
#include <QHBoxLayout>
#include <QImage>
#include <QLineEdit>
#include <QListWidget>
#include <QPainter>
#include <QScrollBar>
#include <QShortcut>
#include <QSplitter>
#include <QStyledItemDelegate>
#include <QTextBlock>
#include <QTextBrowser>
#include <QTextDocument>
#include <QToolButton>
#include <QUrl>
#include <QVBoxLayout>

namespace qkov::ui {

namespace {

constexpr int pageRole = Qt::UserRole;
constexpr int anchorRole = Qt::UserRole + 1;

QString cssOf(const Palette& p) {
    return QStringLiteral("a { color: %1; } code, pre { font-family: monospace; } "
                          "th { text-align: left; } td, th { padding: 3px 10px 3px 0; }")
        .arg(p.accent.name());
}

/// A place that was found: its heading strong, its words quiet below.
class HitDelegate : public QStyledItemDelegate {
  public:
    explicit HitDelegate(QListWidget* list)
        : QStyledItemDelegate(list)
        , m_list(list) {}

    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        QTextDocument text;
        layOut(text, option, index, m_list->viewport()->width());
        return {m_list->viewport()->width(), static_cast<int>(text.size().height()) + 4};
    }
    void paint(QPainter* painter, const QStyleOptionViewItem& option,
               const QModelIndex& index) const override {
        QStyleOptionViewItem o = option;
        initStyleOption(&o, index);
        o.text.clear();
        m_list->style()->drawControl(QStyle::CE_ItemViewItem, &o, painter, m_list);
        QTextDocument text;
        layOut(text, option, index, option.rect.width());
        QAbstractTextDocumentLayout::PaintContext context;
        context.palette.setColor(QPalette::Text, Palette::current(m_list).text);
        painter->save();
        painter->translate(option.rect.topLeft() + QPoint(0, 2));
        text.documentLayout()->draw(painter, context);
        painter->restore();
    }

  private:
    void layOut(QTextDocument& text, const QStyleOptionViewItem& option, const QModelIndex& index,
                int width) const {
        const QString all = index.data().toString();
        const QString heading = all.section(u'\n', 0, 0).toHtmlEscaped();
        const QString words = all.section(u'\n', 1).toHtmlEscaped();
        text.setDefaultFont(option.font);
        text.setDocumentMargin(4);
        text.setHtml(words.isEmpty()
                         ? heading
                         : QStringLiteral("<b>%1</b><br><span style='color:%2'>%3</span>")
                               .arg(heading, Palette::current(m_list).mutedText.name(), words));
        text.setTextWidth(width);
    }

    QListWidget* m_list;
};

/// Pictures as wide as the page at most, in the theme's own version where there is one.
class ManualView : public QTextBrowser {
  public:
    ManualView(QString folder, QWidget* parent)
        : QTextBrowser(parent)
        , m_folder(std::move(folder)) {}

    QVariant loadResource(int type, const QUrl& name) override {
        if (type != QTextDocument::ImageResource) {
            return QTextBrowser::loadResource(type, name);
        }
        const QString file = m_folder + QStringLiteral("/images/") + name.fileName();
        QString wanted = file;
        if (Palette::current(this).dark) {
            const QString dark =
                QString(file).replace(QStringLiteral(".png"), QStringLiteral("-dark.png"));
            wanted = QFile::exists(dark) ? dark : file;
        }
        QImage image(wanted);
        if (image.isNull()) {
            return {};
        }
        const double ratio = devicePixelRatioF();
        const int room = static_cast<int>((viewport()->width() - 40) * ratio);
        if (room > 100 && image.width() > room) {
            image = image.scaledToWidth(room, Qt::SmoothTransformation);
        }
        // Of a wide page a picture takes its own size, not more.
        image.setDevicePixelRatio(image.width() >= room ? ratio : 1.0);
        return image;
    }

  private:
    QString m_folder;
};

} // namespace

HelpWindow::HelpWindow(const QString& folder, QWidget* parent)
    : QWidget(parent, Qt::Window)
    , m_pages(folder)
    , m_folder(folder)
    , m_search(new QLineEdit(this))
    , m_list(new QListWidget(this))
    , m_view(new ManualView(folder, this))
    , m_back(new QToolButton(this))
    , m_forward(new QToolButton(this)) {
    setWindowTitle(tr("Manual"));
    m_search->setPlaceholderText(tr("Search the manual"));
    m_search->setAccessibleName(tr("Search the manual"));
    m_search->setClearButtonEnabled(true);
    m_list->setAccessibleName(tr("Contents"));
    m_list->setWordWrap(true);
    m_list->setItemDelegate(new HitDelegate(m_list));
    m_list->setResizeMode(QListView::Adjust);
    m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_view->setAccessibleName(tr("Page"));
    m_view->setOpenLinks(false);
    m_view->document()->setDocumentMargin(16);
    m_back->setText(QStringLiteral("←"));
    m_back->setToolTip(tr("Back"));
    m_back->setAccessibleName(tr("Back"));
    m_back->setShortcut(QKeySequence::Back);
    m_forward->setText(QStringLiteral("→"));
    m_forward->setToolTip(tr("Forward"));
    m_forward->setAccessibleName(tr("Forward"));
    m_forward->setShortcut(QKeySequence::Forward);

    auto* bar = new QHBoxLayout;
    bar->setSpacing(8);
    bar->addWidget(m_back);
    bar->addWidget(m_forward);
    bar->addWidget(m_search);
    auto* left = new QWidget(this);
    auto* leftLayout = new QVBoxLayout(left);
    leftLayout->setContentsMargins(8, 8, 0, 8);
    leftLayout->addLayout(bar);
    leftLayout->addWidget(m_list);
    auto* split = new QSplitter(Qt::Horizontal, this);
    split->addWidget(left);
    split->addWidget(m_view);
    split->setStretchFactor(1, 1);
    split->setSizes({240, 640});
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(split);
    resize(900, 680);

    connect(m_search, &QLineEdit::textChanged, this, &HelpWindow::search);
    connect(m_list, &QListWidget::currentItemChanged, this, [this](const QListWidgetItem* item) {
        if (item) {
            go({item->data(pageRole).toString(), item->data(anchorRole).toString()});
        }
    });
    connect(m_view, &QTextBrowser::anchorClicked, this, &HelpWindow::follow);
    connect(m_back, &QToolButton::clicked, this, [this] { travel(-1); });
    connect(m_forward, &QToolButton::clicked, this, [this] { travel(1); });
    connect(new QShortcut(QKeySequence::Find, this), &QShortcut::activated, m_search,
            qOverload<>(&QWidget::setFocus));
    connect(new QShortcut(QKeySequence(Qt::Key_Escape), this), &QShortcut::activated, this, [this] {
        if (m_search->text().isEmpty()) {
            close();
        } else {
            m_search->clear();
        }
    });
    m_resized.setSingleShot(true);
    m_resized.setInterval(80);
    connect(&m_resized, &QTimer::timeout, this, [this] {
        auto* scroll = m_view->verticalScrollBar();
        if (m_view->viewport()->width() == m_renderedWidth &&
            Palette::current(this).dark == m_renderedDark) {
            return;
        }
        const double place =
            scroll->maximum() > 0 ? double(scroll->value()) / scroll->maximum() : 0;
        render();
        if (m_unmoved) {
            scrollTo(m_history[static_cast<std::size_t>(m_at)].anchor);
        } else {
            scroll->setValue(static_cast<int>(place * scroll->maximum()));
        }
    });
    connect(m_view->verticalScrollBar(), &QAbstractSlider::actionTriggered, this,
            [this] { m_unmoved = false; });
    connect(split, &QSplitter::splitterMoved, &m_resized, qOverload<>(&QTimer::start));
    listContents();
    go({QStringLiteral("index"), {}});
}

void HelpWindow::open(const QString& topic) {
    const QString page = topic.section(QLatin1Char('#'), 0, 0);
    go({m_pages.find(page) ? page : QStringLiteral("index"), topic.section(QLatin1Char('#'), 1)});
    QWidget::show();
    raise();
    activateWindow();
}

void HelpWindow::listContents() {
    const QSignalBlocker quiet(m_list);
    m_list->clear();
    for (const HelpPage& page : m_pages.pages()) {
        auto* item = new QListWidgetItem(page.title, m_list);
        item->setData(pageRole, page.name);
        if (page.name == m_page) {
            m_list->setCurrentItem(item);
        }
    }
}

void HelpWindow::search(const QString& query) {
    if (query.trimmed().isEmpty()) {
        listContents();
        return;
    }
    const QSignalBlocker quiet(m_list);
    m_list->clear();
    for (const HelpHit& hit : m_pages.search(query)) {
        QString text = hit.heading;
        if (hit.heading != hit.title) {
            text += QStringLiteral(" · ") + hit.title;
        }
        if (!hit.snippet.isEmpty()) {
            text += QLatin1Char('\n') + hit.snippet;
        }
        auto* item = new QListWidgetItem(text, m_list);
        item->setData(pageRole, hit.page);
        item->setData(anchorRole, hit.anchor);
    }
    if (m_list->count() == 0) {
        auto* item = new QListWidgetItem(tr("Nothing found for “%1”").arg(query.trimmed()), m_list);
        item->setFlags(Qt::NoItemFlags);
    }
}

void HelpWindow::go(const Place& place) {
    if (m_at >= 0 && m_history[static_cast<std::size_t>(m_at)].page == place.page &&
        m_history[static_cast<std::size_t>(m_at)].anchor == place.anchor) {
        scrollTo(place.anchor);
        return;
    }
    m_history.resize(static_cast<std::size_t>(m_at + 1));
    m_history.push_back(place);
    ++m_at;
    show(place);
}

void HelpWindow::travel(int step) {
    if (m_at + step >= 0 && m_at + step < static_cast<int>(m_history.size())) {
        m_at += step;
        show(m_history[static_cast<std::size_t>(m_at)]);
    }
}

void HelpWindow::show(const Place& place) {
    if (place.page != m_page) {
        const HelpPage* page = m_pages.find(place.page);
        m_page = place.page;
        m_view->document()->setBaseUrl(
            m_folder.startsWith(QLatin1Char(':'))
                ? QUrl(QStringLiteral("qrc") + m_folder + QLatin1Char('/'))
                : QUrl::fromLocalFile(m_folder + QLatin1Char('/')));
        m_view->setSearchPaths({m_folder});
        render();
        setWindowTitle(page ? tr("%1 – Manual").arg(page->title) : tr("Manual"));
        if (m_search->text().trimmed().isEmpty()) {
            listContents();
        }
    }
    m_unmoved = true;
    m_back->setEnabled(m_at > 0);
    m_forward->setEnabled(m_at + 1 < static_cast<int>(m_history.size()));
    scrollTo(place.anchor);
}

void HelpWindow::render() {
    const HelpPage* page = m_pages.find(m_page);
    m_renderedWidth = m_view->viewport()->width();
    m_renderedDark = Palette::current(this).dark;
    m_view->document()->clear(); // and with it pictures of another width or theme
    m_view->document()->setDefaultStyleSheet(cssOf(Palette::current(this)));
    m_view->document()->setMarkdown(page ? page->markdown
                                         : tr("This page is not part of the manual."));
}

void HelpWindow::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    m_resized.start();
}

void HelpWindow::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        m_resized.start();
    }
}

void HelpWindow::scrollTo(const QString& anchor) {
    if (anchor.isEmpty()) {
        m_view->verticalScrollBar()->setValue(0);
        return;
    }
    for (QTextBlock block = m_view->document()->begin(); block.isValid(); block = block.next()) {
        if (block.blockFormat().headingLevel() > 0 && HelpPages::anchorOf(block.text()) == anchor) {
            QTextCursor cursor(block);
            m_view->moveCursor(QTextCursor::End); // so that the heading lands at the top
            m_view->setTextCursor(cursor);
            m_view->ensureCursorVisible();
            return;
        }
    }
}

void HelpWindow::follow(const QUrl& link) {
    if (!link.isRelative() && link.scheme() != QLatin1String("qrc")) {
        QDesktopServices::openUrl(link);
        return;
    }
    QString page = link.fileName();
    if (page.endsWith(QLatin1String(".md"))) {
        page.chop(3);
    }
    go({page.isEmpty() ? m_page : page, link.fragment()});
}

} // namespace qkov::ui
