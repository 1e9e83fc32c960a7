import Synchronization

/// One metadata field over all slots: a dictionary of its values, and a dictionary id per slot.
///
/// The writer appends; readers look at ids below the slot count that was published to them and
/// entries below `entryCount`.
final class Column: @unchecked Sendable {
  /// Columns of a collection at most, in order of first appearance in the log.
  static let limit = 64
  static let fieldLimitBytes = 256
  /// Longer values get `overflowID`, and whoever filters looks at the record itself.
  static let valueLimitBytes = 64
  /// Ids that stand for no dictionary entry.
  static let missingID: UInt32 = 0
  static let overflowID: UInt32 = 1
  static let firstEntryID: UInt32 = 2

  /// Set before anybody else sees the column.
  var field: [UInt8]
  /// Per slot: the id of its value (UInt32).
  let ids: RowArray
  /// Per entry: offset << 16 | length of its value (UInt64).
  let entries: RowArray
  let values: RowArray
  /// Entries that readers may look at.
  let entryCount = Atomic<Int>(0)
  /// Whether a slot may have a value that is too long: not looked at yet, not, or yes.
  private let overflow = Atomic<UInt8>(1)
  /// Derived, so built at the first write after opening.
  private var dictionary: Dictionary?

  init(number: Int, field: [UInt8], slotLimit: Int) throws(IndexError) {
    self.field = field
    let name = "column.\(number)"
    ids = try RowArray(
      name: name, strideBytes: 4, rowLimit: slotLimit,
      maximumBytes: IndexOptions.reservationBytesMaximum)
    entries = try RowArray(
      name: name + ".entries", strideBytes: 8, rowLimit: slotLimit,
      maximumBytes: IndexOptions.reservationBytesMaximum)
    values = try RowArray(
      name: name + ".values", strideBytes: 1, rowLimit: slotLimit * Self.valueLimitBytes,
      maximumBytes: IndexOptions.reservationBytesMaximum)
  }

  /// Whether slots must be asked for values that the dictionary does not hold.
  var mayHaveUndecided: Bool { overflow.load(ordering: .acquiring) != 0 }

  /// A look at all slots found none, unless one was written meanwhile.
  func noteAllDecided() {
    _ = overflow.compareExchange(expected: 1, desired: 0, ordering: .acquiringAndReleasing)
  }

  var arrays: [RowArray] { [ids, entries, values] }

  /// A slot's id. Atomic, since a slot that gets another record may be looked at meanwhile by who
  /// does not see it yet.
  @inline(__always)
  func idWord(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    ids.row(slot).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// Makes room for `slots` slots in all and `births` new values.
  func reserve(slots: Int, births: Int) throws(IndexError) {
    try ids.reserve(slots)
    try entries.reserve(entries.count + births)
    try values.reserve(values.count + births * Self.valueLimitBytes)
  }

  /// The id of a value, which is added to the dictionary if it is new. Needs `reserve`.
  func intern(_ value: [UInt8]) throws(IndexError) -> UInt32 {
    guard value.count <= Self.valueLimitBytes else {
      overflow.store(2, ordering: .sequentiallyConsistent)
      return Self.overflowID
    }
    if dictionary == nil { dictionary = readDictionary() }
    if let id = dictionary?.ids[value] { return id }
    let size = Self.size(value.count)
    var place = dictionary?.take(size: size)
    if place == nil { place = try append(size: size) }
    guard let (entry, start) = place else { return Self.overflowID }
    value.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress, !bytes.isEmpty {
        values.willWrite(bytes: start..<start + bytes.count)
        values.row(start).copyMemory(from: base, byteCount: bytes.count)
      }
    }
    entries.willWrite(row: entry)
    word(entry).pointee.store(UInt64(start) << 16 | UInt64(value.count), ordering: .releasing)
    entryCount.store(entries.count, ordering: .releasing)
    let id = UInt32(entry) + Self.firstEntryID
    dictionary?.ids[value] = id
    return id
  }

  private func append(size: Int) throws(IndexError) -> (entry: Int, start: Int) {
    let (entry, start) = (entries.count, values.count)
    try values.extend(to: start + size * Self.granuleBytes)
    try entries.extend(to: entry + 1)
    return (entry, start)
  }

  // MARK: Reuse

  /// Values take whole granules, so that the space of one serves another.
  private static let granuleBytes = 8
  /// In place of the length of an entry that no slot uses; the size of its space is in the low bits.
  private static let freeMark: UInt64 = 0x8000

  private static func size(_ bytes: Int) -> Int { (bytes + granuleBytes - 1) / granuleBytes }

  /// Frees the entries that are not in `used`. Only where nobody reads slots that had them.
  func keepEntries(_ used: [Bool]) {
    var hasFreed = false
    for entry in 0..<min(used.count, entries.count) where !used[entry] && !isFree(entry) {
      if let value = value(entry: entry) { dictionary?.ids[Array(value)] = nil }
      let old = word(entry).pointee.load(ordering: .relaxed)
      let size = UInt64(Self.size(Int(old & 0xffff)))
      entries.willWrite(row: entry)
      word(entry).pointee.store(old & ~0xffff | Self.freeMark | size, ordering: .releasing)
      hasFreed = true
    }
    if hasFreed, dictionary != nil { dictionary?.free = freeEntries() }
  }

  /// Whether an entry stands for no value.
  func isFree(_ entry: Int) -> Bool {
    word(entry).pointee.load(ordering: .acquiring) & Self.freeMark != 0
  }

  private func word(_ entry: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    entries.row(entry).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Per size: the entries that stand for no value and their spaces, the lowest last.
  private func freeEntries() -> [[(entry: Int, start: Int)]] {
    var free: [[(entry: Int, start: Int)]] = Array(
      repeating: [], count: Self.size(Self.valueLimitBytes) + 1)
    for entry in stride(from: entries.count - 1, through: 0, by: -1) where isFree(entry) {
      let word = word(entry).pointee.load(ordering: .relaxed)
      let (start, size) = (Int(word >> 16), Int(word & 0x7fff))
      guard size < free.count, start + size * Self.granuleBytes <= values.count else { continue }
      free[size].append((entry, start))
    }
    return free
  }

  /// The bytes of an entry below `entryCount`; nil where it stands for none or the stored reference
  /// is out of range.
  func value(entry: Int) -> UnsafeRawBufferPointer? {
    let reference = word(entry).pointee.load(ordering: .acquiring)
    let (start, length) = (Int(reference >> 16), Int(reference & 0xffff))
    guard length <= Self.valueLimitBytes, values.isReadable(offset: start, length: length) else {
      return nil
    }
    return UnsafeRawBufferPointer(start: values.row(start), count: length)
  }

  private func readDictionary() -> Dictionary {
    var result = Dictionary(free: freeEntries())
    result.ids.reserveCapacity(entries.count)
    for entry in 0..<entries.count {
      guard let value = value(entry: entry) else { continue }
      result.ids[Array(value)] = UInt32(entry) + Self.firstEntryID
    }
    return result
  }

  /// What the writer derives from the entries.
  private struct Dictionary {
    var ids: [[UInt8]: UInt32] = [:]
    var free: [[(entry: Int, start: Int)]]

    mutating func take(size: Int) -> (entry: Int, start: Int)? { free[size].popLast() }
  }
}
