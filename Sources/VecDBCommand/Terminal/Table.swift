/// Rows of text in aligned columns.
struct Table {
  enum Alignment { case left, right }

  private let alignments: [Alignment]
  private var rows: [[String]]

  init(_ columns: [(title: String, alignment: Alignment)]) {
    alignments = columns.map(\.alignment)
    rows = [columns.map(\.title)]
  }

  /// Adds a row with as many cells as there are columns.
  mutating func add(_ cells: String...) { rows.append(cells) }

  /// Prints the table, the last column unpadded; on a terminal, lines end at its right edge.
  func write() {
    let widths = alignments.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        switch alignments[column] {
        case .left: line += cell + (column == row.count - 1 ? "" : padding)
        case .right: line += padding + cell
        }
        if column < row.count - 1 { line += "  " }
      }
      if let width = Terminal.outputColumns, line.count > width {
        line = line.prefix(width - 1) + "…"
      }
      Output.line(line)
    }
  }
}
