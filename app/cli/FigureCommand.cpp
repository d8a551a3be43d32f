// SPDX-License-Identifier: GPL-3.0-or-later
#include "FigureOptions.h"

#include "base/Error.h"

#include <nlohmann/json.hpp>

namespace qkov::cli {

#ifndef QKOV_FIGURES
void drawFigure(const Session&, const FigureCommandOptions&) {
    throw UsageError("this qkov was built without figures; the one built with "
                     "-DQKOV_BUILD_UI=ON has them (export --format csv works here)");
}
#endif

void addFigure(CLI::App& app, Session& session) {
    const auto o = std::make_shared<FigureCommandOptions>();
    CLI::App* command = addCommand(app, session, "figure", "A figure for a paper, from results",
                                   [&session, o] { drawFigure(session, *o); });
    command->add_option("RESULTS", o->results, "Results files; one, or three for --kind compare");
    command->add_option("--kind", o->kind, "What to draw")
        ->type_name("heatmap|blocks|bars|compare|pairs|pair")
        ->capture_default_str();
    command->add_option("--out", o->out, "File to write: .pdf, .svg, .png or .csv")
        ->type_name("FILE")
        ->required();
    command->add_option("--from", o->from, "Draw what a figure's .json says, instead of RESULTS")
        ->type_name("FILE");
    command
        ->add_option("--with", o->with,
                     "Beside the figure: its numbers, its description, a caption")
        ->delimiter(',')
        ->check(CLI::IsMember({"csv", "json", "caption"}))
        ->type_name("csv,json,caption");

    const char* const what = "What is shown";
    const auto text = [&](const char* name, std::string& value, const char* help, const char* type,
                          const char* group) {
        return command->add_option(name, value, help)->type_name(type)->group(group);
    };
    text("--block", o->block, "For heatmap, compare, pairs; unset: the most conflicted", "Q|K|V|O",
         what);
    command->add_option("--layer", o->layer, "For pairs; unset: the strongest cell")
        ->type_name("L")
        ->group(what);
    command->add_option("--head", o->head, "For pairs")->type_name("H")->group(what);
    text("--sample-i", o->sampleI, "For pair: id of task A's sample; unset: the top conflict", "ID",
         what);
    text("--sample-j", o->sampleJ, "For pair: id of task B's sample", "ID", what);
    text("--reduction", o->reduction, "Of a cell's pairs", "mean|max|median|p95", what)
        ->check(CLI::IsMember({"mean", "max", "median", "p95"}))
        ->capture_default_str();

    const char* const look = "Look";
    text("--size", o->size,
         "5.5in, 140mm, 5.5x4in, or neurips, iclr, icml, icml-wide, acl, acl-wide, single, slide",
         "SIZE", look);
    command->add_option("--font-size", o->fontPoints, "Points, as printed")
        ->check(numberBetween(6, 10))
        ->type_name("PT")
        ->capture_default_str()
        ->group(look);
    text("--font", o->font, "sans, serif or a font's name", "NAME", look);
    text("--color-map", o->colorMap, "Unset: viridis, or vik where scores have signs",
         "viridis|cividis|magma|vik|RdBu|RdYlBu_r", look);
    text("--range", o->range, "Colours from the data, its 2-98%, or given", "data|robust|LOW,HIGH",
         look)
        ->capture_default_str();
    const auto flag = [&](const char* name, bool& value, const char* help) {
        command->add_flag(name, value, help)->group(look);
    };
    flag("--log", o->log, "Logarithmic colours");
    flag("--own-range", o->ownRange, "A colour bar for each panel");
    flag("--layer-zero-bottom", o->layerZeroBottom, "Layer 0 at the bottom");
    flag("--annotate", o->annotate, "Numbers in the cells, where they fit");
    command->add_option("--annotate-digits", o->annotateDigits, "Significant digits of them")
        ->check(CLI::Range(1, 6))
        ->type_name("N")
        ->capture_default_str()
        ->group(look);
    flag("--no-marks", o->noMarks, "No head-type marks");
    flag("--no-letters", o->noLetters, "No panel letters");
    flag("--no-legend", o->noLegend, "No legend");
    flag("--legend-above", o->legendAbove, "Legend above the panels");
    flag("--decimal-comma", o->decimalComma, "0,5 instead of 0.5");
    command->add_option("--tick-density", o->tickDensity, "Fewer or more ticks than usual")
        ->check(numberBetween(0.05, 5))
        ->type_name("X")
        ->capture_default_str()
        ->group(look);
    text("--row-title", o->rowTitle, "Instead of Layer", "TEXT", look);
    text("--column-title", o->columnTitle, "Instead of Head", "TEXT", look);
    text("--value-label", o->valueLabel, "Beside the colour bar", "TEXT", look);
    text("--title", o->title, "Above the panels", "TEXT", look);
    command->add_option("--dpi", o->dpi, "Of a png")
        ->check(CLI::Range(30, 2400))
        ->type_name("N")
        ->capture_default_str()
        ->group(look);
}

} // namespace qkov::cli
