/// What of the changes that nobody had synced is there after a power failure.
package enum Survival: Sendable, Hashable {
  /// Only what was synced.
  case syncedOnly
  /// Everything that was written, as if the power had held just long enough.
  case everything
  /// Chance decides, write by write and name by name; the same seed decides alike.
  case random(seed: UInt64)
}

/// Decides by chance what a power failure leaves of one file's unsynced writes.
///
/// Files meet different fates, because disks do: everything may be lost or kept; writes may
/// arrive in order, the last one torn; or every page (4 KiB) or sector (512 bytes) may arrive or
/// not for itself, however old its write is. Space that a lost write had added reads as zeros, or
/// is not there. A sector that was in flight may hold neither old nor new bytes.
struct PowerFailure {
  private var random: SplitMix64
  private let powersafeOverwrite: Bool

  static let sectorBytes = 512
  static let pageBytes = 4096

  /// - Parameter powersafeOverwrite: Whether bytes next to those that were being written are
  ///   safe; otherwise the whole 4 KiB page around a torn write may be garbage.
  init(seed: UInt64, powersafeOverwrite: Bool) {
    random = SplitMix64(seed: seed)
    self.powersafeOverwrite = powersafeOverwrite
  }

  mutating func outcome(of changes: [FileNode.Change], on durable: [UInt8]) -> [UInt8] {
    var contents = durable
    var highest = durable.count
    switch random.below(100) {
    case ..<15: break
    case ..<30:
      for change in changes { FileNode.apply(change, to: &contents) }
      return contents
    case ..<60:
      let kept = random.below(changes.count)
      for change in changes[..<kept] { FileNode.apply(change, to: &contents) }
      tear(changes[kept], &contents)
      highest = max(highest, changes[kept].end)
    case ..<80:
      scatter(changes, pieceBytes: Self.pageBytes, &contents)
      highest = changes.reduce(highest) { max($0, $1.end) }
    default:
      scatter(changes, pieceBytes: Self.sectorBytes, &contents)
      highest = changes.reduce(highest) { max($0, $1.end) }
    }
    // The size may have been recorded though the bytes were not.
    if contents.count < highest, random.chance(25) { FileNode.resize(&contents, to: highest) }
    return contents
  }

  /// The one change that was under way: its sectors in order up to some point, the next one
  /// perhaps garbage.
  private mutating func tear(_ change: FileNode.Change, _ contents: inout [UInt8]) {
    guard case .write(let offset, let bytes) = change else {
      if random.chance(50) { FileNode.apply(change, to: &contents) }
      return
    }
    let pieces = Self.pieces(offset, bytes.count, Self.sectorBytes)
    let kept = random.below(pieces.count + 1)
    for piece in pieces[..<kept] { store(bytes, piece, offset, &contents) }
    if kept < pieces.count, random.chance(20) { spoil(pieces[kept], offset, &contents) }
  }

  /// Every piece of every write arrives or does not, for itself.
  private mutating func scatter(
    _ changes: [FileNode.Change], pieceBytes: Int, _ contents: inout [UInt8]
  ) {
    let percent = [10, 50, 50, 90][random.below(4)]
    for change in changes {
      guard case .write(let offset, let bytes) = change else {
        if random.chance(percent) { FileNode.apply(change, to: &contents) }
        continue
      }
      for piece in Self.pieces(offset, bytes.count, pieceBytes) where random.chance(percent) {
        store(bytes, piece, offset, &contents)
      }
    }
  }

  private func store(
    _ bytes: [UInt8], _ piece: Range<Int>, _ offset: Int, _ contents: inout [UInt8]
  ) {
    bytes.withUnsafeBytes {
      FileNode.store(
        UnsafeRawBufferPointer(rebasing: $0[piece.lowerBound - offset..<piece.upperBound - offset]),
        at: piece.lowerBound, in: &contents)
    }
  }

  private mutating func spoil(_ piece: Range<Int>, _ offset: Int, _ contents: inout [UInt8]) {
    var range = piece
    if !powersafeOverwrite {
      let start = piece.lowerBound / Self.pageBytes * Self.pageBytes
      range = start..<max(start, min(start + Self.pageBytes, contents.count))
    }
    let garbage = range.map { _ in UInt8(truncatingIfNeeded: random.next()) }
    garbage.withUnsafeBytes { FileNode.store($0, at: range.lowerBound, in: &contents) }
  }

  /// The range of a write in the file, cut at multiples of `pieceBytes`.
  static func pieces(_ offset: Int, _ length: Int, _ pieceBytes: Int) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = offset
    while start < offset + length {
      let end = min((start / pieceBytes + 1) * pieceBytes, offset + length)
      pieces.append(start..<end)
      start = end
    }
    return pieces
  }
}

extension FileNode.Change {
  /// Where the file ends at least, right after this change, in bytes.
  fileprivate var end: Int {
    switch self {
    case .write(let offset, let bytes): offset + bytes.count
    case .truncate(let sizeBytes): sizeBytes
    }
  }
}
