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

  let field: [UInt8]
  /// Per slot: the id of its value (UInt32).
  let ids: RowArray
  /// Per entry: offset << 16 | length of its value (UInt64).
  let entries: RowArray
  let values: RowArray
  /// Entries that readers may look at.
  let entryCount = Atomic<Int>(0)
  /// Value to id; derived, so built at the first write after opening.
  private var lookup: [[UInt8]: UInt32]?

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
    guard value.count <= Self.valueLimitBytes else { return Self.overflowID }
    if lookup == nil { lookup = readDictionary() }
    if let id = lookup?[value] { return id }
    let start = values.count
    let entry = entries.count
    try values.extend(to: start + value.count)
    try entries.extend(to: entry + 1)
    value.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress, !bytes.isEmpty {
        values.row(start).copyMemory(from: base, byteCount: bytes.count)
      }
    }
    entries.row(entry).storeBytes(of: UInt64(start) << 16 | UInt64(value.count), as: UInt64.self)
    let id = UInt32(entry) + Self.firstEntryID
    lookup?[value] = id
    entryCount.store(entry + 1, ordering: .releasing)
    return id
  }

  /// The bytes of an entry below `entryCount`; nil where the stored reference is out of range.
  func value(entry: Int) -> UnsafeRawBufferPointer? {
    let reference = entries.row(entry).load(as: UInt64.self)
    let (start, length) = (Int(reference >> 16), Int(reference & 0xffff))
    guard length <= Self.valueLimitBytes, values.isReadable(offset: start, length: length) else {
      return nil
    }
    return UnsafeRawBufferPointer(start: values.row(start), count: length)
  }

  private func readDictionary() -> [[UInt8]: UInt32] {
    var result: [[UInt8]: UInt32] = [:]
    result.reserveCapacity(entries.count)
    for entry in 0..<entries.count {
      guard let value = value(entry: entry) else { continue }
      result[Array(value)] = UInt32(entry) + Self.firstEntryID
    }
    return result
  }
}
