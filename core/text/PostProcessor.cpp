// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/PostProcessor.h"

namespace qkov::text {

namespace {
std::vector<std::int32_t> pairId(const JsonPart& part) {
    if (part.arraySize() != 2)
        part.fail("is not a pair of token and id");
    return {part.at(std::size_t(1)).id()};
}
} // namespace

PostProcessor::PostProcessor(const JsonPart& part) {
    if (!part.isNull())
        add(part);
}

void PostProcessor::add(const JsonPart& part) {
    const std::string type = part.type();
    // What each processor adds goes around what the ones before it made.
    std::vector<std::int32_t> before, behind;
    if (type == "Sequence") {
        const JsonPart steps = part.at("processors");
        for (std::size_t i = 0; i < steps.arraySize(); ++i)
            add(steps.at(i));
    } else if (type == "TemplateProcessing") {
        const JsonPart single = part.at("single");
        bool sequenceSeen = false;
        for (std::size_t i = 0; i < single.arraySize(); ++i) {
            const JsonPart item = single.at(i);
            if (item.has("Sequence")) {
                if (sequenceSeen || item.at("Sequence").stringOr("id", "A") != "A")
                    item.unknown("a template that doesn't hold the text once is not known here");
                sequenceSeen = true;
            } else {
                const std::string name = item.at("SpecialToken").at("id").string();
                const JsonPart ids = part.at("special_tokens").at(name.c_str()).at("ids");
                for (std::size_t k = 0; k < ids.arraySize(); ++k)
                    (sequenceSeen ? behind : before).push_back(ids.at(k).id());
            }
        }
        if (!sequenceSeen)
            single.unknown("a template that doesn't hold the text once is not known here");
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
        before = pairId(part.at("cls"));
        behind = pairId(part.at("sep"));
    } else if (type != "ByteLevel") { // which moves offsets only
        part.unknown("the post-processor '" + type + "' is not known here");
    }
    m_before.insert(m_before.begin(), before.begin(), before.end());
    m_behind.insert(m_behind.end(), behind.begin(), behind.end());
}

std::vector<std::int32_t> PostProcessor::apply(const std::vector<std::int32_t>& ids) const {
    std::vector<std::int32_t> out = m_before;
    out.insert(out.end(), ids.begin(), ids.end());
    out.insert(out.end(), m_behind.begin(), m_behind.end());
    return out;
}

} // namespace qkov::text
