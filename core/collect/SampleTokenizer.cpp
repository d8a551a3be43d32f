// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/SampleTokenizer.h"

#include "text/Tokenizer.h"

#include <memory>

namespace qkov::collect {

std::function<std::vector<std::int32_t>(const std::string&)>
sampleTokenizer(const std::filesystem::path& modelDirectory) {
    return [modelDirectory, tokenizer = std::shared_ptr<const text::Tokenizer>()](
               const std::string& sample) mutable {
        if (!tokenizer) {
            tokenizer = std::make_shared<const text::Tokenizer>(
                text::Tokenizer::fromModelDirectory(modelDirectory));
        }
        return tokenizer->encode(sample);
    };
}

} // namespace qkov::collect
