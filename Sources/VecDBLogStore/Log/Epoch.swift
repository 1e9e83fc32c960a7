import VecDBBytes

/// A 128-bit identifier, made at random by the caller.
package struct UniqueID: Hashable, Sendable, CustomStringConvertible {
  package static let zero = UniqueID(high: 0, low: 0)

  package var high: UInt64
  package var low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// 32 lower-case hexadecimal digits.
  package var description: String {
    [high, low].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}

/// A stretch of history written by one primary. Epochs form a tree: a promotion or a restore opens
/// a new one at a position of its parent's history.
package struct Epoch: Hashable, Sendable {
  package var counter: UInt64
  package var id: UniqueID
  /// `UniqueID.zero` for the first epoch of a database.
  package var parentID: UniqueID
  /// The last LSN of the parent's history that this epoch builds on; its own first LSN is one more.
  package var beganAtLSN: UInt64
  /// The chain at `beganAtLSN`.
  package var beganAtChain: Digest

  package init(
    counter: UInt64, id: UniqueID, parentID: UniqueID, beganAtLSN: UInt64, beganAtChain: Digest
  ) {
    self.counter = counter
    self.id = id
    self.parentID = parentID
    self.beganAtLSN = beganAtLSN
    self.beganAtChain = beganAtChain
  }
}

/// Whose history a log holds: the database, and the path of epochs that led to it, oldest first.
package struct LogIdentity: Hashable, Sendable {
  package var databaseID: UniqueID
  /// Never empty; the last one is current. Counters ascend, each one's parent is the one before.
  package var epochs: [Epoch]

  package init(databaseID: UniqueID, epochs: [Epoch]) {
    precondition(!epochs.isEmpty, "a log has at least one epoch")
    self.databaseID = databaseID
    self.epochs = epochs
  }

  package var currentEpoch: Epoch { epochs[epochs.count - 1] }

  /// The counter of the epoch that wrote `lsn`.
  package func epochCounter(at lsn: UInt64) -> UInt64 {
    (epochs.last { $0.beganAtLSN < lsn } ?? epochs[0]).counter
  }

  /// True if `self` is `other`, or what `other` was before it opened later epochs.
  package func isAncestor(of other: LogIdentity) -> Bool {
    databaseID == other.databaseID && other.epochs.starts(with: epochs)
  }
}

// Format: "VDBI", version 1 (UInt8), 3 zero bytes, database id (2 x UInt64: high, low), UInt32
// number of epochs, and for each: counter UInt64, id, parent id (2 x UInt64 each), LSN UInt64,
// chain (32 bytes). It is always embedded in a structure that carries the checksum.
extension LogIdentity {
  private static let magic: UInt32 = 0x4942_4456  // "VDBI"
  private static let version: UInt8 = 1
  private static let epochsMaximum = 1 << 16

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 28 + epochs.count * 80)
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(raw: [0, 0, 0])
    writer.write(databaseID)
    writer.write(UInt32(epochs.count))
    for epoch in epochs {
      writer.write(epoch.counter)
      writer.write(epoch.id)
      writer.write(epoch.parentID)
      writer.write(epoch.beganAtLSN)
      writer.write(epoch.beganAtChain)
    }
    return writer.bytes
  }

  /// Reads what `encoded` wrote. Throws `StoreError` (`.corrupt`, `.unknownVersion`) that names
  /// `place`.
  package init(decoding bytes: UnsafeRawBufferPointer, at place: String) throws {
    self = try decoding("epoch list", at: place) {
      var reader = ByteReader(bytes)
      try reader.expect(Self.magic, version: Self.version, "epoch list", at: place)
      let databaseID = try reader.readUniqueID("database id")
      let count = Int(try reader.read(UInt32.self, "number of epochs"))
      guard count > 0, count <= Self.epochsMaximum else { throw reader.failure("number of epochs") }
      var epochs: [Epoch] = []
      for _ in 0..<count {
        let epoch = Epoch(
          counter: try reader.read(UInt64.self, "epoch counter"),
          id: try reader.readUniqueID("epoch id"),
          parentID: try reader.readUniqueID("parent epoch id"),
          beganAtLSN: try reader.read(UInt64.self, "epoch's LSN"),
          beganAtChain: try reader.readDigest("epoch's chain"))
        if let parent = epochs.last {
          guard epoch.counter > parent.counter, epoch.parentID == parent.id,
            epoch.beganAtLSN >= parent.beganAtLSN
          else { throw reader.failure("order of epochs") }
        }
        epochs.append(epoch)
      }
      try reader.expectEnd("end of the epoch list")
      return LogIdentity(databaseID: databaseID, epochs: epochs)
    }
  }

  /// Reads what `encoded` wrote.
  package init(decoding bytes: [UInt8], at place: String) throws {
    self = try bytes.withUnsafeBytes { try LogIdentity(decoding: $0, at: place) }
  }
}
