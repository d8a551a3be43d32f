// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/FloatType.h"

namespace qkov::dump {
namespace {

struct Fields {
    std::size_t sign, exponent, exponentSize, mantissa, mantissaSize, bias;
    friend bool operator==(const Fields&, const Fields&) = default;
};
constexpr Fields halfFields{15, 10, 5, 0, 10, 15};
constexpr Fields bfloatFields{15, 7, 8, 0, 7, 127};
constexpr Fields floatFields{31, 23, 8, 0, 23, 127};
constexpr Fields doubleFields{63, 52, 11, 0, 52, 1023};

constexpr const char* bfloatName = "bfloat16";

} // namespace

h5::Handle storedType(DType type) {
    const h5::Lock lock;
    switch (type) {
    case DType::f64:
        return h5::Handle(H5Tcopy(H5T_IEEE_F64LE), H5Tclose);
    case DType::f32:
        return h5::Handle(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    case DType::bf16:
        return h5::Handle(H5Tcopy(H5T_STD_U16LE), H5Tclose);
    case DType::f16:
        break;
    }
    h5::Handle half(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    const Fields& f = halfFields;
    H5Tset_fields(half.get(), f.sign, f.exponent, f.exponentSize, f.mantissa, f.mantissaSize);
    H5Tset_size(half.get(), 2);
    H5Tset_ebias(half.get(), f.bias);
    return half;
}

FloatLayout floatLayout(const h5::Object& dataset) {
    const h5::Lock lock;
    const h5::Handle type(H5Dget_type(dataset.id()), H5Tclose);
    if (!type) {
        dataset.fail("its type can't be read" + h5::because());
    }
    FloatLayout layout;
    layout.bigEndian = H5Tget_order(type.get()) == H5T_ORDER_BE;
    const std::size_t size = H5Tget_size(type.get());
    const H5T_class_t kind = H5Tget_class(type.get());
    const auto tag = dataset.stringAttribute("dtype");
    if (kind == H5T_INTEGER) {
        if (size == 2 && H5Tget_sign(type.get()) == H5T_SGN_NONE && tag == bfloatName) {
            layout.dtype = DType::bf16;
            return layout;
        }
        dataset.fail("holds integers, expected floating-point numbers",
                     "bfloat16 is uint16 with the attribute dtype = \"bfloat16\"");
    }
    if (kind != H5T_FLOAT) {
        dataset.fail("does not hold floating-point numbers");
    }
    const H5T_order_t order = H5Tget_order(type.get());
    Fields fields{};
    if ((order != H5T_ORDER_LE && order != H5T_ORDER_BE) ||
        H5Tget_fields(type.get(), &fields.sign, &fields.exponent, &fields.exponentSize,
                      &fields.mantissa, &fields.mantissaSize) < 0) {
        dataset.fail("holds floating-point numbers of an unknown make");
    }
    fields.bias = H5Tget_ebias(type.get());
    if (size == 2 && fields == halfFields) {
        layout.dtype = DType::f16;
    } else if (size == 2 && fields == bfloatFields) {
        layout.dtype = DType::bf16;
    } else if (size == 4 && fields == floatFields) {
        layout.dtype = DType::f32;
    } else if (size == 8 && fields == doubleFields) {
        layout.dtype = DType::f64;
    } else {
        dataset.fail("holds floating-point numbers of an unknown make (" + std::to_string(size) +
                     " bytes each)");
    }
    return layout;
}

h5::Object createFloats(const h5::Object& parent, const std::string& name, DType type,
                        const h5::Dims& dims) {
    const h5::Handle stored = storedType(type);
    h5::Object set = h5::createDataset(parent, name, stored.get(), dims);
    if (type == DType::bf16) {
        h5::writeAttribute(set, "dtype", std::string(bfloatName));
    }
    return set;
}

} // namespace qkov::dump
