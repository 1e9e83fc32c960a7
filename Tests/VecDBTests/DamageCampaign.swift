import VecDBSimulatedDisk

/// One way to damage one file.
struct Damage: Sendable {
  enum Form: String, Sendable, CaseIterable {
    case flip = "flipped bits"
    case zero = "zeroed bytes"
    case truncate = "cut short"
    case extend = "bytes added"
    case remove = "removed"
    case swap = "two blocks swapped"
    case old = "older version"
    case other = "another file's bytes"
  }

  var form: Form
  var path: String
  /// Where and how, to run it again.
  var place: String
  /// The file's new contents; nil if it is gone.
  var contents: [UInt8]?

  func apply(to disk: SimulatedDisk) { disk.replace(path, with: contents) }

  var description: String { "\(path): \(form.rawValue), \(place)" }
}

/// Ways to damage a file: every form, at positions that touch each of its structures.
struct DamagePlan {
  let disk: SimulatedDisk
  let earlier: [SimulatedDisk]
  /// Random positions for each file, besides those near its ends and page boundaries.
  var spread: Int

  /// Pieces that are swapped: pages of the file's format.
  static func pieceBytes(_ path: String) -> Int {
    if path.contains(".segment") { return 16_384 }
    if path.hasSuffix(".pack") || path.contains("/blocks/") { return 1 << 20 }
    return 4_096
  }

  func damages(of path: String, seed: UInt64) -> [Damage] {
    guard let bytes = disk.contents(path), !bytes.isEmpty else { return [] }
    var generator = SeededGenerator(seed: seed)
    var result: [Damage] = []
    func add(_ form: Damage.Form, _ place: String, _ contents: [UInt8]?) {
      guard contents != bytes else { return }
      result.append(Damage(form: form, path: path, place: place, contents: contents))
    }
    for position in positions(bytes, &generator) {
      var changed = bytes
      changed[position] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
      add(.flip, "byte \(position)", changed)
    }
    for _ in 0..<max(2, spread / 4) {
      let start = Int.random(in: 0..<bytes.count, using: &generator) / 512 * 512
      var changed = bytes
      for index in start..<min(bytes.count, start + 512) { changed[index] = 0 }
      add(.zero, "from byte \(start)", changed)
    }
    let pages = bytes.count / 4_096
    for size in Set([
      0, 1, bytes.count / 3, bytes.count / 2, pages / 2 * 4_096, (pages - 1) * 4_096,
      bytes.count - 512, bytes.count - 1,
    ]).sorted() where size >= 0 && size < bytes.count {
      add(.truncate, "to \(size) of \(bytes.count) bytes", Array(bytes[..<size]))
    }
    add(.extend, "1 byte", bytes + [7])
    add(.extend, "4096 bytes", bytes + [UInt8](repeating: 0xa5, count: 4_096))
    add(.remove, "whole", nil)
    addSwaps(of: bytes, path, &generator, add)
    for (number, disk) in earlier.enumerated() {
      if let old = disk.contents(path) { add(.old, "state \(number)", old) }
    }
    let siblings = disk.filePaths.filter { Self.kind($0) == Self.kind(path) && $0 != path }
    for sibling in siblings.prefix(2) { add(.other, sibling, disk.contents(sibling)) }
    return result
  }

  private func positions(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [Int] {
    var positions = Set(stride(from: 0, to: 120, by: 7))
    positions.formUnion(stride(from: bytes.count - 64, to: bytes.count, by: 9))
    for page in stride(
      from: 4_096, to: bytes.count, by: max(4_096, bytes.count / 4_096 / 4 * 4_096))
    { positions.formUnion([page - 1, page, page + 3]) }
    for _ in 0..<spread { positions.insert(Int.random(in: 0..<bytes.count, using: &generator)) }
    return positions.filter(bytes.indices.contains).sorted()
  }

  private func addSwaps(
    of bytes: [UInt8], _ path: String, _ generator: inout SeededGenerator,
    _ add: (Damage.Form, String, [UInt8]?) -> Void
  ) {
    for size in Set([Self.pieceBytes(path), 4_096]) {
      let count = bytes.count / size
      guard count >= 2 else { continue }
      for _ in 0..<3 {
        let first = Int.random(in: 0..<count, using: &generator)
        let second = Int.random(in: 0..<count, using: &generator)
        var changed = bytes
        for offset in 0..<size { changed.swapAt(first * size + offset, second * size + offset) }
        add(.swap, "\(first) and \(second) of \(size) bytes", changed)
      }
    }
  }

  /// What the table calls the file; nil for what holds nothing.
  static func kind(_ path: String) -> String? {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    let isRepository = path.hasPrefix(DamageFixture.repository)
    if name == "LOCK" || name.hasSuffix("-shm") { return nil }
    if name.hasSuffix(".segment-wal") { return "log WAL" }
    if name.hasSuffix(".segment") { return "log segment" }
    if name == "records.sqlite-wal" { return "records WAL" }
    if name == "records.sqlite" { return "records" }
    if name.hasSuffix(".pack") { return "pack" }
    if name.hasSuffix(".manifest") { return "manifest" }
    guard isRepository else { return nil }
    if name == "repository" { return "repository marker" }
    if path.contains("/blocks/") { return "repository block" }
    if path.contains("/manifests/") { return "repository manifest" }
    if path.contains("/log/") { return "repository log" }
    if path.contains("/epochs/") { return "epoch claim" }
    return nil
  }
}

/// Where damage was found, counted for a table.
struct DamageTable: Sendable {
  enum Finding: Int, Sendable, CaseIterable {
    case opening, check, harmless
  }

  private var counts: [String: [Damage.Form: [Int]]] = [:]
  /// Of those that `check` found: how many changed an answer before it.
  private(set) var answersChanged: [String: Int] = [:]

  var total: Int { counts.values.flatMap(\.values).flatMap(\.self).reduce(0, +) }

  mutating func add(_ damage: Damage, _ finding: Finding, answerChanged: Bool = false) {
    let kind = DamagePlan.kind(damage.path) ?? damage.path
    counts[kind, default: [:]][damage.form, default: [0, 0, 0]][finding.rawValue] += 1
    if answerChanged { answersChanged[kind, default: 0] += 1 }
  }

  /// Markdown: a row per kind of file; a cell says how many were found on opening, how many by a
  /// check, and how many were harmless.
  var description: String {
    let forms = Damage.Form.allCases
    var lines = ["| file | " + forms.map(\.rawValue).joined(separator: " | ") + " |"]
    lines.append("|---|" + forms.map { _ in "---|" }.joined())
    for (kind, row) in counts.sorted(by: { $0.key < $1.key }) {
      let cells = forms.map { form in
        (row[form] ?? []).map(String.init).joined(separator: " / ")
      }
      lines.append("| \(kind) | " + cells.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n")
  }
}
