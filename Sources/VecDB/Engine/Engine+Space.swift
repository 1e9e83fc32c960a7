import VecDBFiles

extension Engine {
  /// Refuses a write while it can still be refused whole: once it is in the log, records must take
  /// it too, so their share of the space is set aside before.
  func requireSpace(for payloads: [[UInt8]]) throws {
    let needed = payloads.reduce(Self.spareBytes) { $0 + $1.count * 2 }
    let free = try fileSystem.freeSpaceBytes(directory.path)
    guard free >= needed else {
      throw StoreError(
        .diskFull, "\(free) bytes are free and the write may need \(needed)", at: directory.path,
        remedy: "Free some space; writing resumes by itself.")
    }
    try records.reserveSpace(
      rows: payloads.reduce(0) { min($0 + BatchPayload.rowsTouched(by: $1), 1 << 40) },
      contentBytes: payloads.reduce(0) { $0 + $1.count })
  }

  /// Kept free for what a write needs beside its payload.
  private static let spareBytes = 8 << 20
}

extension BatchPayload {
  /// An upper bound of the rows of records that a payload inserts and removes.
  static func rowsTouched(by payload: [UInt8]) -> Int {
    guard payload.count >= 2, let kind = Kind(rawValue: payload[1]) else { return 0 }
    switch kind {
    case .createCollection, .mark, .acknowledgement, .maintenance, .rebuildBegin, .rebuildSwap,
      .rebuildRollback, .rebuildRetire, .exchange:
      return 0
    case .dropCollection: return 1 << 40
    case .write:
      // Collection and first slot come before the two counts.
      guard payload.count >= 18 else { return 0 }
      return payload.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 10, as: UInt32.self)))
          + Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 14, as: UInt32.self)))
      }
    }
  }
}
