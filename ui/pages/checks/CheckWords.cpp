// SPDX-License-Identifier: GPL-3.0-or-later
#include "pages/checks/CheckWords.h"

#include "document/Words.h"

#include <QCoreApplication>

#include <algorithm>
#include <array>
#include <cmath>

namespace qkov::ui {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("qkov::ui::Checks", text);
}

struct Words {
    const char* name;
    const char* title;
    const char* meaning;
    const char* advice; ///< when it does not pass
    CheckLevel failed;
};

/// In the order of the metric's list.
constexpr std::array words{
    Words{"head_additivity", QT_TRANSLATE_NOOP("qkov::ui::Checks", "Heads add up"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The scores of a block's heads, each slice once, sum to the score of "
                            "the whole block."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The heads are cut out of the matrices at the wrong places, or parts "
                            "belong to no head. Check the layout of the model on the Data page."),
          CheckLevel::bad},
    Words{"loss_scale",
          QT_TRANSLATE_NOOP("qkov::ui::Checks", "Scaling the loss changes sizes only"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "With all gradients times a number, magnitude scales by the same "
                            "number, natural stays, and ranks stay."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "A fixed ridge or floor is larger than the Fisher. Use the default "
                            "regularization, which follows the size of the Fisher."),
          CheckLevel::look},
    Words{"ablation", QT_TRANSLATE_NOOP("qkov::ui::Checks", "A silenced head scores zero"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "With one head's gradients set to zero its score is exactly 0, and no "
                            "other cell changes."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "Heads share parameters that should be their own. Check the layout of "
                            "the model on the Data page."),
          CheckLevel::bad},
    Words{"symmetry", QT_TRANSLATE_NOOP("qkov::ui::Checks", "Symmetric scores are symmetric"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The variant symmetric with the pooled Fisher gives the same from A to "
                            "B as from B to A."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The tasks of this dump do not fit each other. Collect both again with "
                            "the same options."),
          CheckLevel::bad},
    Words{"sample_order",
          QT_TRANSLATE_NOOP("qkov::ui::Checks", "The order of samples does not matter"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "With samples in another order the same pairs get the same scores."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "Scores depend on the order in which samples were read. Use a stored "
                            "Fisher or the estimator mean."),
          CheckLevel::bad},
    Words{"fisher_health", QT_TRANSLATE_NOOP("qkov::ui::Checks", "The Fisher is large enough"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "Scores divide by the Fisher. Where it is smaller than the floor, the "
                            "floor decides the score."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "Add samples, or do not read much into the cells named here."),
          CheckLevel::look},
    Words{"dependence_on_a", QT_TRANSLATE_NOOP("qkov::ui::Checks", "The map depends on both tasks"),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The map is not just the size of B's gradients: its ranks differ from "
                            "theirs."),
          QT_TRANSLATE_NOOP("qkov::ui::Checks",
                            "The chosen Fisher makes the map a picture of task B alone. Choose the "
                            "pooled Fisher, or look at single pairs, which still depend on both."),
          CheckLevel::look},
};

} // namespace

QString statusWord(CheckLevel level) {
    switch (level) {
    case CheckLevel::good:
        return tr("Passed");
    case CheckLevel::look:
        return tr("Look at this");
    case CheckLevel::bad:
        return tr("Failed");
    case CheckLevel::skipped:
        break;
    }
    return tr("Not tested");
}

CheckText checkText(const engine::Check& check) {
    CheckText text;
    text.title = QString::fromStdString(check.name).replace(u'_', u' ');
    text.detail = QString::fromStdString(check.detail);
    CheckLevel failed = CheckLevel::bad;
    QString advice;
    for (const Words& w : words) {
        if (check.name == w.name) {
            text.title = tr(w.title);
            text.meaning = tr(w.meaning);
            advice = tr(w.advice);
            failed = w.failed;
        }
    }
    switch (check.status) {
    case engine::CheckStatus::pass:
        text.level = CheckLevel::good;
        break;
    case engine::CheckStatus::fail:
        text.level = failed;
        text.advice = advice;
        break;
    case engine::CheckStatus::skipped:
        text.level = CheckLevel::skipped;
        break;
    }
    text.status = statusWord(text.level);
    return text;
}

std::vector<CheckText> pendingTexts() {
    std::vector<CheckText> list;
    for (const Words& w : words) {
        CheckText text;
        text.title = tr(w.title);
        text.meaning = tr(w.meaning);
        text.status = tr("Not run yet");
        list.push_back(text);
    }
    return list;
}

FisherSummary fisherSummary(const engine::Scores& scores) {
    FisherSummary s;
    const engine::ScoreHeader& h = scores.header();
    for (const Block b : allBlocks) {
        if (!h.blocks[blockIndex(b)]) {
            continue;
        }
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                if (!scores.computed(l) || !h.distinct(b, c)) {
                    continue;
                }
                const engine::CellHealth health = scores.health(b, l, c);
                switch (fisherState(health)) {
                case FisherState::healthy:
                    ++s.healthy;
                    continue;
                case FisherState::thin:
                    ++s.thin;
                    break;
                case FisherState::poor:
                    ++s.poor;
                    break;
                case FisherState::unknown:
                    ++s.unknown;
                    continue;
                }
                s.worst.push_back({b, static_cast<int>(l), static_cast<int>(c), health});
            }
        }
    }
    std::stable_sort(s.worst.begin(), s.worst.end(), [](const auto& a, const auto& b) {
        return a.health.shareBelow > b.health.shareBelow;
    });
    s.worst.resize(std::min<std::size_t>(s.worst.size(), 10));
    return s;
}

CheckText fisherText(const FisherSummary& s) {
    CheckText text;
    const std::size_t all = s.healthy + s.thin + s.poor;
    text.title = tr("Fisher of the shown cells");
    text.meaning = tr("A cell is thin where half of its parameters have a Fisher below the floor, "
                      "and poor from 95%.");
    text.level = all == 0                         ? CheckLevel::skipped
                 : s.poor > 0 || s.thin > all / 4 ? CheckLevel::look
                                                  : CheckLevel::good;
    text.status = statusWord(text.level);
    if (all == 0) {
        text.detail = tr("These results hold no Fisher");
        return text;
    }
    text.detail = tr("%1 of %2 cells healthy, %3 thin, %4 poor")
                      .arg(s.healthy)
                      .arg(all)
                      .arg(s.thin)
                      .arg(s.poor);
    if (text.level == CheckLevel::look) {
        text.advice = tr("Read thin and poor cells with care, or collect more samples.");
    }
    return text;
}

} // namespace qkov::ui
