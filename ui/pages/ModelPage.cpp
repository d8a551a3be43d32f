// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/ModelPage.h"

#include "base/Numbers.h"
#include "document/Document.h"
#include "document/Words.h"
#include "widgets/Card.h"
#include "widgets/FactList.h"
#include "widgets/Theme.h"

#include <QDir>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace qkov::ui {

ModelPage::ModelPage(Document* document, QWidget* parent)
    : QWidget(parent)
    , m_document(document)
    , m_title(new QLabel(this))
    , m_facts(new FactList(this)) {
    auto* card = new Card({}, this);
    card->setMinimumWidth(360);
    card->setMaximumWidth(620);
    card->body()->setContentsMargins(28, 24, 28, 24);
    card->body()->setSpacing(14);
    setTextSize(m_title, TextSize::large, true);
    m_title->setObjectName(QStringLiteral("modelTitle"));
    m_title->setWordWrap(true);
    card->body()->addWidget(m_title);
    card->body()->addWidget(m_facts);
    auto* next =
        new QLabel(tr("The next step runs the model on two files of samples and keeps every "
                      "sample's gradient of the attention weights."),
                   card);
    next->setWordWrap(true);
    setMuted(next);
    card->body()->addWidget(next);
    auto* button = new QPushButton(tr("Collect gradients…"), card);
    button->setProperty("primary", true);
    setIconName(button, QStringLiteral("play"));
    nameWidget(button, "collectButton", tr("Collect gradients"));
    connect(button, &QPushButton::clicked, this, &ModelPage::collectRequested);
    auto* line = new QHBoxLayout;
    line->addWidget(button);
    line->addStretch(1);
    card->body()->addLayout(line);

    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(24, 24, 24, 24);
    column->addStretch(2);
    auto* middle = new QHBoxLayout;
    middle->addStretch(1);
    middle->addWidget(card, 20);
    middle->addStretch(1);
    column->addLayout(middle);
    column->addStretch(3);
    connect(document, &Document::opened, this, &ModelPage::refresh);
    refresh();
}

void ModelPage::refresh() {
    if (!m_document->checkpoint()) {
        return;
    }
    const auto& c = *m_document->checkpoint();
    const auto& s = c.shape();
    m_title->setText(s.name.empty() ? m_document->fileName() : quoted(s.name));
    QList<FactList::Fact> facts{
        {tr("Architecture"), quoted(s.architecture)},
        {tr("Layers × heads"), tr("%1 × %2").arg(s.numLayers).arg(s.numHeads)},
        {tr("Key/value heads"),
         s.numKvHeads == s.numHeads
             ? QString()
             : tr("%1, each shared by %2").arg(s.numKvHeads).arg(s.queriesPerKv())},
        {tr("Parameters"), count(c.parameterCount())},
        {tr("On disk"), quoted(formatBytes(static_cast<double>(c.bytes())))},
        {tr("Folder"), QDir::toNativeSeparators(m_document->path())},
    };
    m_facts->setFacts(facts);
}

} // namespace qkov::ui
