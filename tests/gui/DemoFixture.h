// SPDX-License-Identifier: GPL-3.0-or-later
// The demo, collected and computed for real, once per program.
#pragma once

#include "collect/Collect.h"
#include "dump/DumpReader.h"
#include "engine/Compute.h"
#include "results/ResultsFile.h"

#include <QString>
#include <QTemporaryDir>

namespace qkov::test {

class DemoFixture {
  public:
    explicit DemoFixture(std::int64_t samples = 24) {
        collect::CollectRequest r;
        r.model = QKOV_RESOURCES "/demo";
        r.tasks = {{"arithmetic", QKOV_RESOURCES "/demo/arithmetic.jsonl"},
                   {"code", QKOV_RESOURCES "/demo/code.jsonl"}};
        r.out = dump().toStdString();
        r.maxSamples = samples;
        r.headTypes = true;
        Job job;
        collect::collect(r, job);
        const dump::DumpReader reader(r.out);
        engine::ScoreRequest request;
        request.taskA = "arithmetic";
        request.taskB = "code";
        results::writeResults(results().toStdString(), *engine::compute(reader, request, job), job);
    }
    QString dump() const { return m_dir.filePath(QStringLiteral("demo.h5")); }
    QString results() const { return m_dir.filePath(QStringLiteral("demo-results.h5")); }
    QString file(const QString& name) const { return m_dir.filePath(name); }

  private:
    QTemporaryDir m_dir;
};

} // namespace qkov::test
