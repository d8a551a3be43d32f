// SPDX-License-Identifier: GPL-3.0-or-later
// A Hugging Face model directory: config.json and safetensors, single or sharded, memory-mapped.
#pragma once

#include "base/DType.h"
#include "model/HeadLayout.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qkov::model {

struct TensorEntry {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape;
    std::filesystem::path file; ///< the shard it lies in
    const std::byte* data = nullptr; ///< little-endian, row-major, valid while the Checkpoint lives
    std::size_t bytes = 0;
    std::int64_t count() const;
};

class Checkpoint {
  public:
    /// Opens `directory` (or a path to its config.json or a .safetensors file in it). Maps files,
    /// reads no weights.
    /// @throws InputError naming file and tensor: missing, truncated, header longer than the file,
    ///         offsets outside it or overlapping, holes, unknown dtype, duplicate names, shard
    ///         missing, unknown architecture, shapes that disagree with config.json (both named)
    /// @param layoutJson a user's layout (readLayoutFile), for an architecture that the registry
    ///        lacks or to overrule it; empty: the registry
    static Checkpoint open(const std::filesystem::path& directory,
                           const std::string& layoutJson = {});

    /// A model whose weights lie in another kind of file (a TorchScript module): the same facts, and
    /// no numbers (TensorEntry::data is null). Layers may lack blocks.
    /// @param file the module; config.json lies beside it
    /// @param shapes its parameters
    /// @throws InputError config.json is missing, the layout doesn't fit (both shapes named)
    static Checkpoint describe(const std::filesystem::path& file,
                               const std::map<std::string, std::vector<std::int64_t>>& shapes,
                               const std::string& layoutJson = {});

    /// Names and shapes of all floating-point tensors, of any architecture, and what config.json
    /// says of the model (`shape` may be null). Checks files as open() does, but no layout.
    static std::map<std::string, std::vector<std::int64_t>>
    list(const std::filesystem::path& directory, ModelShape* shape);

    const std::filesystem::path& directory() const;
    const ModelShape& shape() const;
    const HeadLayout& layout() const;
    const std::map<std::string, TensorEntry>& tensors() const;
    /// nullptr if absent. Tries `name`, then with the architecture's optional prefix added/removed.
    const TensorEntry* find(const std::string& name) const;
    /// find(), or InputError "tensor … is missing".
    const TensorEntry& require(const std::string& name) const;
    std::int64_t parameterCount() const;
    std::uint64_t bytes() const;

  private:
    struct Data;
    std::shared_ptr<const Data> m_data;
};

} // namespace qkov::model
