// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "figures/FigureSpec.h"
#include "pages/FourMaps.h"

#include <QDialog>
#include <QTimer>

#include <memory>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QLineEdit;
class QPlainTextEdit;

namespace qkov::ui {

/// A figure for a paper: what it shows, how large, its words; with a preview by the code that
/// writes it, and the caption's draft.
class FigureDialog : public QDialog {
    Q_OBJECT

  public:
    struct Source {
        std::shared_ptr<const engine::Scores> scores;
        std::vector<std::vector<double>> values; ///< as shown, by blockIndex (another reduction)
        FourMaps::Look look;
        std::optional<CellRef> cell;
        std::optional<PairRef> pair;
        QString command;
    };

    explicit FigureDialog(Source source, QWidget* parent = nullptr);

    FigureSpec spec() const;
    /// "pdf", "svg" or "png".
    QString format() const;
    bool withNumbers() const;
    bool withRecipe() const;
    bool withCaption() const;
    /// Writes the figure and what was chosen to go beside it. @throws qkov::InputError
    static QStringList write(const FigureDialog& dialog, const QString& file);

    QComboBox* kind() const { return m_kind; }
    QLabel* preview() const { return m_preview; }

  protected:
    void resizeEvent(QResizeEvent* event) override;

  private:
    QWidget* buildForm();
    QWidget* buildPreview();
    void changed();
    void redraw();
    void showPreview();

    Source m_source;
    QComboBox* m_kind;
    QComboBox* m_size;
    QDoubleSpinBox* m_width;
    QDoubleSpinBox* m_points;
    QComboBox* m_font;
    QComboBox* m_colors;
    QComboBox* m_range;
    QCheckBox* m_shared;
    QCheckBox* m_log;
    QCheckBox* m_numbers;
    QCheckBox* m_marks;
    QCheckBox* m_letters;
    QCheckBox* m_legend;
    QLineEdit* m_title;
    QComboBox* m_format;
    QCheckBox* m_csv;
    QCheckBox* m_json;
    QCheckBox* m_text;
    QLabel* m_preview;
    QLabel* m_facts;
    QPlainTextEdit* m_caption;
    QImage m_image;
    QTimer m_soon;
};

} // namespace qkov::ui
