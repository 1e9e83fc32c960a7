import VecDBBytes
import VecDBIndex
import VecDBLogStore

/// Hashes of the values that an index does not hold (strings longer than its columns take, fields
/// beyond their number), so that a filter for one of them looks at the few records whose hash is
/// right and not at all of them.
///
/// Derived, and kept in memory alone: the first filter that asks for a field reads the records once,
/// later ones those written since. Readers of many threads share it; who does not get the lock soon
/// goes without.
final class LongValues: Sendable {

  /// One field, as of the moment when `sequence` slots had been reused. The words are in pieces, so
  /// that a copy with some of them changed costs little.
  struct Table {
    fileprivate static let pieceSlots = 4_096
    fileprivate var pieces: [[UInt64]] = []
    /// Slots that were looked at.
    fileprivate(set) var count = 0
    fileprivate var sequence: UInt64

    subscript(slot: Int) -> UInt64 {
      let piece = slot / Self.pieceSlots
      return piece < pieces.count ? pieces[piece][slot % Self.pieceSlots] : KnownValue.nothing
    }

    fileprivate mutating func set(_ slot: Int, _ word: UInt64) {
      let piece = slot / Self.pieceSlots
      while pieces.count <= piece {
        pieces.append([UInt64](repeating: KnownValue.nothing, count: Self.pieceSlots))
      }
      pieces[piece][slot % Self.pieceSlots] = word
    }
  }

  private let tables = Guarded<[[UInt8]: Table]>([:])
  private static let rowsAtOnce = 512

  /// The field's table, brought up to `view`. `undecided` are the slots from `first` on whose values
  /// the index does not hold; nil where earlier ones would have to be known for it.
  func table(
    _ field: [UInt8], undecided: SlotBitset, from first: Int, at view: ReadView,
    of index: IndexGeneration, collection: UInt32, _ records: RecordStore
  ) throws -> Table? {
    let stored = tables.withLock { $0[field] }
    var table = stored ?? Table(sequence: view.reuseSequence)
    var wanted: [UInt32] = []
    if let reused = index.slotsReused(from: table.sequence, to: view.reuseSequence) {
      for slot in Set(reused) where Int(slot) < table.count {
        table.set(Int(slot), KnownValue.nothing)
        wanted.append(slot)
      }
    } else {
      table = Table(sequence: view.reuseSequence)
    }
    guard first <= table.count else { return nil }
    let known = table.count
    undecided.visit { if $0 >= known { wanted.append(UInt32($0)) } }
    var isComplete = true
    var start = 0
    while start < wanted.count {
      let slots = Array(wanted[start..<min(start + Self.rowsAtOnce, wanted.count)])
      for (slot, row) in zip(slots, try records.rows(collection: collection, slots: slots)) {
        guard index.isVisible(Int(slot), in: view) else {
          // One that is yet to come is looked at when it is there.
          if index.birthLSN(of: Int(slot)) > view.lsn { isComplete = false }
          continue
        }
        guard let row else { continue }
        let word = try field.withUnsafeBytes { name in
          try row.metadata.withUnsafeBytes {
            KnownValue.of(try CanonicalMetadata.value(ofField: name, in: $0))
          }
        }
        table.set(Int(slot), word)
      }
      start += slots.count
    }
    guard isComplete else { return table }
    table.count = max(table.count, view.slotCount)
    table.sequence = max(table.sequence, view.reuseSequence)
    let finished = table
    tables.withLock { tables in
      if let other = tables[field],
        other.sequence > finished.sequence
          || other.sequence == finished.sequence && other.count >= finished.count
      {
        return
      }
      tables[field] = finished
    }
    return table
  }
}
