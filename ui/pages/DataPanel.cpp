// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/DataPanel.h"

#include "document/Document.h"
#include "models/DataTreeModel.h"
#include "plots/Icons.h"
#include "widgets/Theme.h"

#include <QEvent>
#include <QHeaderView>
#include <QStyledItemDelegate>
#include <QTreeView>
#include <QVBoxLayout>

#include <algorithm>

namespace qkov::ui {

namespace {

/// Values in quiet text, icons in the colours of the theme.
class TreeDelegate : public QStyledItemDelegate {
  public:
    explicit TreeDelegate(QTreeView* tree)
        : QStyledItemDelegate(tree)
        , m_tree(tree) {}

    /// What is missing is a sentence: it takes the panel's width and as many lines as it needs.
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const QSize usual = QStyledItemDelegate::sizeHint(option, index);
        if (!isSentence(index)) {
            return usual;
        }
        const int width = m_tree->viewport()->width() - 2 * m_tree->indentation() - 16;
        const QRect r = option.fontMetrics.boundingRect(QRect(0, 0, std::max(60, width), 10000),
                                                        Qt::TextWordWrap, index.data().toString());
        return {40, std::max(usual.height(), r.height() + 6)};
    }

  protected:
    static bool isSentence(const QModelIndex& index) {
        return index.parent().isValid() &&
               index.data(DataTreeModel::KindRole).toInt() == DataTreeModel::Missing;
    }

    void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
        QStyledItemDelegate::initStyleOption(option, index);
        const Palette& p = Palette::current(option->widget);
        if (index.column() == DataTreeModel::Value) {
            option->palette.setColor(QPalette::Text, p.mutedText);
            option->palette.setColor(QPalette::HighlightedText, p.text);
        }
        if (isSentence(index)) {
            option->features |= QStyleOptionViewItem::WrapText;
            option->displayAlignment = Qt::AlignLeft | Qt::AlignVCenter;
        }
        const auto name = index.data(DataTreeModel::IconNameRole).toString();
        if (!name.isEmpty()) {
            const bool missing =
                index.data(DataTreeModel::KindRole).toInt() == DataTreeModel::Missing;
            option->icon = missing ? icon(name, p.warning) : icon(name, p);
            option->features |= QStyleOptionViewItem::HasDecoration;
            option->decorationSize = QSize(16, 16);
        }
    }

  private:
    QTreeView* m_tree;
};

} // namespace

DataPanel::DataPanel(Document* document, QWidget* parent)
    : QWidget(parent)
    , m_model(new DataTreeModel(document, this))
    , m_tree(new QTreeView(this)) {
    nameWidget(m_tree, "dataTree", tr("What the open file holds"));
    m_tree->setProperty("quiet", true);
    m_tree->setModel(m_model);
    m_tree->setItemDelegate(new TreeDelegate(m_tree));
    m_tree->setHeaderHidden(true);
    m_tree->setIndentation(14);
    m_tree->setWordWrap(true);
    m_tree->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_tree->setFrameShape(QFrame::NoFrame);
    m_tree->header()->setStretchLastSection(false);
    m_tree->header()->setMinimumSectionSize(24);
    m_tree->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_tree->header()->setSectionResizeMode(1, QHeaderView::ResizeToContents);
    m_tree->setTextElideMode(Qt::ElideRight);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(m_tree);
    connect(m_model, &QAbstractItemModel::modelReset, this, &DataPanel::expandMain);
    connect(m_tree, &QTreeView::activated, this, [this](const QModelIndex& index) {
        const auto parameter = index.data(DataTreeModel::ParameterRole).toString();
        const auto task = index.data(DataTreeModel::TaskRole).toString();
        if (!parameter.isEmpty()) {
            emit parameterActivated(parameter);
        } else if (!task.isEmpty()) {
            emit taskActivated(task);
        }
    });
    expandMain();
}

void DataPanel::expandMain() {
    for (int r = 0; r < m_model->rowCount(); ++r) {
        const auto index = m_model->index(r, 0);
        m_tree->setExpanded(index, true);
        if (index.siblingAtColumn(DataTreeModel::Value).data().toString().isEmpty()) {
            m_tree->setFirstColumnSpanned(r, {}, true);
        }
        for (int c = 0; c < m_model->rowCount(index); ++c) {
            const auto child = m_model->index(c, 0, index);
            if (child.data(DataTreeModel::KindRole).toInt() == DataTreeModel::Missing) {
                // A line without a value takes the whole width.
                m_tree->setFirstColumnSpanned(c, index, true);
            }
        }
    }
}

void DataPanel::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    m_tree->header()->setMaximumSectionSize(std::max(60, width() * 3 / 4));
    m_tree->doItemsLayout(); // wrapped lines follow the width
}

void DataPanel::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        m_tree->viewport()->update();
    }
}

} // namespace qkov::ui
