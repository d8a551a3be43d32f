// SPDX-License-Identifier: GPL-3.0-or-later
// Damaged copies of a sound file.
#pragma once

#include <QByteArray>
#include <QFile>
#include <random>

namespace fuzz {

inline QByteArray readAll(const QString& name) {
    QFile file(name);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

inline bool writeAll(const QString& name, const QByteArray& bytes) {
    QFile file(name);
    return file.open(QIODevice::WriteOnly | QIODevice::Truncate) &&
           file.write(bytes) == bytes.size();
}

/// One of: bits flipped, a byte set to an extreme, eight bytes set to a large number, a piece
/// copied elsewhere, a piece zeroed; within the first `reach` bytes.
inline QByteArray damaged(QByteArray bytes, qsizetype reach, std::mt19937& engine) {
    const auto pick = [&](qsizetype limit) {
        return qsizetype(engine() % unsigned(std::max<qsizetype>(1, limit)));
    };
    reach = std::min(reach, bytes.size());
    for (qsizetype times = 1 + pick(3); times > 0; --times) {
        const qsizetype at = pick(reach);
        switch (pick(5)) {
        case 0:
            bytes[at] = char(bytes[at] ^ (1 << pick(8)));
            break;
        case 1:
            bytes[at] = char(pick(2) ? 0xff : 0x00);
            break;
        case 2:
            for (qsizetype i = at; i < std::min(at + 8, bytes.size()); ++i) {
                bytes[i] = char(i - at < pick(8) ? 0xff : pick(256));
            }
            break;
        case 3: {
            const qsizetype n = std::min(pick(64), bytes.size() - at);
            bytes.replace(at, n, bytes.mid(pick(bytes.size() - n), n));
            break;
        }
        default:
            for (qsizetype i = at; i < std::min(at + pick(32), bytes.size()); ++i) {
                bytes[i] = 0;
            }
        }
    }
    return bytes;
}

} // namespace fuzz
