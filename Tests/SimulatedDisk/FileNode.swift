/// A file on a simulated disk: what reads see, what has been made durable, and the changes in
/// between, in order.
///
/// Not thread-safe; the disk that owns it holds its lock.
final class FileNode {
  enum Change {
    case write(offset: Int, bytes: [UInt8])
    case truncate(sizeBytes: Int)
  }

  private(set) var contents: [UInt8]
  private(set) var durable: [UInt8]
  private var unsynced: [Change] = []
  var modifiedMilliseconds: Int64
  /// Writes up to here cannot fail for lack of space.
  var reservedBytes = 0
  /// Who holds the advisory lock; it ends with its owner.
  var lock: ObjectIdentifier?
  /// SQLite's locks on this file and the wal-index that belongs to it.
  private(set) var locks = SQLiteLocks()
  var sharedMemory: SharedMemory?

  /// A file whose contents are durable.
  init(_ contents: [UInt8] = [], modifiedMilliseconds: Int64) {
    self.contents = contents
    durable = contents
    self.modifiedMilliseconds = modifiedMilliseconds
  }

  /// Frees what the process held that has died; what it had written stays.
  func releaseLocks() {
    lock = nil
    locks = SQLiteLocks()
    sharedMemory = nil
  }

  func write(_ bytes: [UInt8], at offset: Int) {
    guard !bytes.isEmpty else { return }
    bytes.withUnsafeBytes { Self.store($0, at: offset, in: &contents) }
    unsynced.append(.write(offset: offset, bytes: bytes))
  }

  func truncate(to sizeBytes: Int) {
    Self.resize(&contents, to: sizeBytes)
    reservedBytes = min(reservedBytes, sizeBytes)
    unsynced.append(.truncate(sizeBytes: sizeBytes))
  }

  func sync() {
    for change in unsynced { Self.apply(change, to: &durable) }
    unsynced = []
  }

  /// What a sync leaves behind that fails: chance decides what reached the disk; the rest will
  /// never get there.
  func failToSync(_ random: inout SplitMix64, powersafeOverwrite: Bool) {
    durable = surviving(.random(seed: random.next()), powersafeOverwrite: powersafeOverwrite)
    unsynced = []
  }

  /// Flips bits in what reads see and in what is durable alike, as decay of the medium would.
  func corrupt(at offset: Int, xor mask: UInt8) {
    if contents.indices.contains(offset) { contents[offset] ^= mask }
    if durable.indices.contains(offset) { durable[offset] ^= mask }
    // A write that is still in memory would heal the damage at the next sync.
    for index in unsynced.indices {
      if case .write(let start, var bytes) = unsynced[index],
        bytes.indices.contains(offset - start)
      {
        bytes[offset - start] ^= mask
        unsynced[index] = .write(offset: start, bytes: bytes)
      }
    }
  }

  /// The contents after a power failure.
  func surviving(_ survival: Survival, powersafeOverwrite: Bool) -> [UInt8] {
    switch survival {
    case .syncedOnly: return durable
    case .everything:
      var result = durable
      for change in unsynced { Self.apply(change, to: &result) }
      return result
    case .random(let seed):
      guard !unsynced.isEmpty else { return durable }
      var damage = PowerFailure(seed: seed, powersafeOverwrite: powersafeOverwrite)
      return damage.outcome(of: unsynced, on: durable)
    }
  }

  static func apply(_ change: Change, to contents: inout [UInt8]) {
    switch change {
    case .write(let offset, let bytes):
      bytes.withUnsafeBytes { store($0, at: offset, in: &contents) }
    case .truncate(let sizeBytes): resize(&contents, to: sizeBytes)
    }
  }

  static func resize(_ contents: inout [UInt8], to sizeBytes: Int) {
    if sizeBytes <= contents.count {
      contents.removeLast(contents.count - sizeBytes)
    } else {
      contents.append(contentsOf: repeatElement(0, count: sizeBytes - contents.count))
    }
  }

  static func store(_ bytes: UnsafeRawBufferPointer, at offset: Int, in contents: inout [UInt8]) {
    if offset >= contents.count {
      resize(&contents, to: offset)
      contents.append(contentsOf: bytes)
      return
    }
    if offset + bytes.count > contents.count { resize(&contents, to: offset + bytes.count) }
    contents.withUnsafeMutableBytes { target in
      UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + bytes.count])
        .copyMemory(from: bytes)
    }
  }
}
