// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "document/Document.h"

#include <QDialog>

#include <array>

class QCheckBox;
class QComboBox;
class QGridLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QTableView;
class QTimer;

namespace qkov::ui {

class JobRunner;
class LayoutModel;
class LayoutPartRow;
class ParameterTable;
class StatusLine;

/// Says where the heads of an unknown model are: its parameters on the left, the patterns that Q,
/// K, V and O have on the right, and what they match, checked while they are typed. What comes out
/// is a layout file.
class LayoutDialog : public QDialog {
    Q_OBJECT

  public:
    explicit LayoutDialog(const LayoutNeed& need, QWidget* parent = nullptr);
    ~LayoutDialog() override;

    /// The text of the layout file; empty while something is wrong.
    QString layoutJson() const;
    const model::LayoutCheck& check() const { return m_check; }
    /// What is typed is being checked.
    bool checking() const;
    model::LayoutDraft draft() const;
    void setDraft(const model::LayoutDraft& draft);
    /// Takes the selected parameter's name, and that of its fellows, for a block.
    void assign(Block block);
    /// @throws qkov::InputError
    void saveTo(const QString& file);
    void loadFrom(const QString& file);

    LayoutModel* parameters() const { return m_model; }
    QTableView* table() const;
    StatusLine* summary() const { return m_summary; }
    QPushButton* useButton() const { return m_use; }

  private:
    QWidget* buildForm();
    QWidget* buildButtons();
    QString sizesText() const;
    void arrange();
    void changed();
    void startCheck();
    void showCheck(const model::LayoutCheck& check);
    bool allSquare(const model::LayoutCheck& check) const;
    std::vector<Block> fusedBlocks() const;
    LayoutPartRow* rowOf(Block block) const;

    LayoutNeed m_need;
    model::LayoutCheck m_check;
    bool m_fresh = false; ///< m_check is of what is typed
    std::string m_keySize;
    LayoutModel* m_model;
    ParameterTable* m_table;
    QLineEdit* m_name = nullptr;
    QComboBox* m_arrangement = nullptr;
    QLabel* m_orderLabel = nullptr;
    QComboBox* m_order = nullptr;
    StatusLine* m_orderHint = nullptr;
    QCheckBox* m_biases = nullptr;
    LayoutPartRow* m_fused = nullptr;
    std::array<LayoutPartRow*, 4> m_parts{};
    StatusLine* m_summary;
    QPushButton* m_save = nullptr;
    QPushButton* m_use = nullptr;
    QTimer* m_timer;
    JobRunner* m_runner;
};

} // namespace qkov::ui
