// SPDX-License-Identifier: GPL-3.0-or-later
// What the import needs of a gradient store. Private to core/dump.
#pragma once

#include "base/DType.h"
#include "base/RawFile.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace qkov::dump {

struct StoreModule {
    std::string name;             ///< "h.0.attn.c_attn"
    std::int64_t count = 0;       ///< numbers per sample
    std::int64_t out = 0, in = 0; ///< 0: the store doesn't say
};

class GradientStore {
  public:
    virtual ~GradientStore() = default;
    virtual std::string kind() const = 0;
    virtual DType dtype() const = 0;
    virtual const std::vector<StoreModule>& modules() const = 0;
    virtual const std::vector<std::string>& ids() const = 0; ///< of the samples
    virtual bool ordered() const = 0;                        ///< ids are only positions
    virtual const std::vector<std::string>& warnings() const = 0;
    /// module's `count` numbers of one sample.
    virtual void read(std::size_t sample, std::size_t module, float* target) const = 0;
};

/// nullptr if the folder holds no such store. @throws InputError if it does, but unusable
std::unique_ptr<GradientStore> openBergsonStore(const std::filesystem::path& folder);
std::unique_ptr<GradientStore> openLogixLog(const std::filesystem::path& folder);

/// Regular files in the folder that a store may consist of.
std::vector<std::filesystem::path> filesOf(const std::filesystem::path& folder);

/// JSON of a stranger, keys in their order. Nesting is limited, and a key that stands twice in an
/// object is refused: two programs would read two different things.
/// @param entry if set, the text must be a list, of which each entry is given here and forgotten
/// @throws InputError
nlohmann::ordered_json
parseStoreJson(const std::string& text, const std::filesystem::path& file,
               const std::function<void(const nlohmann::ordered_json&)>& entry = {});
/// A whole number from 0 to `limit`; none for all else, also for 2.0 and "2".
std::optional<std::int64_t> wholeNumber(const nlohmann::ordered_json& value, std::int64_t limit);
/// To float32. @throws InputError a finite number lies outside of it
void convertStored(const void* source, DType type, std::size_t n, float* target,
                   const std::filesystem::path& file);
/// "float32", … as NumPy writes them. @throws InputError
DType numpyDType(const std::string& name, const std::filesystem::path& file,
                 const std::string& where);

} // namespace qkov::dump
