// SPDX-License-Identifier: GPL-3.0-or-later
// From a config.json, under any of the names its keys have in the wild, to a ModelShape.
#pragma once

#include "model/HeadLayout.h"

#include <filesystem>
#include <string>

namespace qkov::model {

/// @param configJson the text of config.json; a nested text_config is used where it exists
/// @param file only for messages
/// @returns a checked shape; architecture is the model_type, even one the registry lacks
/// @throws InputError naming the key that is missing, of a wrong type, or impossible
ModelShape shapeFromConfig(const std::string& configJson, const std::filesystem::path& file);

/// Corrects what files say about key/value heads and head sizes where the model's own config
/// (shape.configJson) knows better: falcon and gpt_bigcode with multi_query, MLA head sizes.
void normalizeShape(ModelShape& shape);

/// An integer of shape.configJson (or of its text_config); 0 if absent or not a positive integer.
std::int64_t configInteger(const ModelShape& shape, const std::string& key);

/// The part of a config.json that describes the language model: its text_config where it is nested,
/// else the text itself.
std::string languageConfig(const std::string& configJson);

/// Reads and checks a layout file (the schema of ModelShape::layoutJson); returns its text.
/// @throws InputError naming the file and the key
std::string readLayoutFile(const std::filesystem::path& file);

} // namespace qkov::model
