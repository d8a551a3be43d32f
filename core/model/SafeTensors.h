// SPDX-License-Identifier: GPL-3.0-or-later
// One safetensors file, memory-mapped. Private to core/model.
#pragma once

#include "model/Checkpoint.h"

#include <optional>

namespace qkov::model {

class SafeTensors {
  public:
    struct Tensor {
        std::string name;
        std::string typeName;        ///< as in the file: "F32", "BF16", "I64", …
        std::optional<DType> dtype;  ///< empty: not a floating type we compute with
        std::vector<std::int64_t> shape;
        const std::byte* data = nullptr;
        std::size_t bytes = 0;
    };

    /// Maps the file and checks every entry of its header (format: u64 little-endian header
    /// length, JSON header, tensors without holes). @throws InputError naming the tensor
    explicit SafeTensors(const std::filesystem::path& file);
    ~SafeTensors();
    SafeTensors(const SafeTensors&) = delete;
    SafeTensors& operator=(const SafeTensors&) = delete;

    const std::vector<Tensor>& tensors() const { return m_tensors; }
    std::uint64_t bytes() const { return m_size; }

  private:
    void parse(const std::filesystem::path& file);

    const std::byte* m_map = nullptr;
    std::size_t m_size = 0;
    std::vector<Tensor> m_tensors;
};

} // namespace qkov::model
