import CVecDBSQLite

/// The wal-index of one database, shared by all connections of this process: memory that lasts
/// until the last connection lets go of it or the power fails, and its locks.
///
/// The regions are used by SQLite directly; the rest only inside the disk's lock.
final class SharedMemory {
  private var regions: [UnsafeMutableRawPointer] = []
  private var sharedMasks: [ObjectIdentifier: UInt32] = [:]
  private var exclusiveMasks: [ObjectIdentifier: UInt32] = [:]
  private(set) var holders: Set<ObjectIdentifier> = []

  deinit {
    for region in regions { region.deallocate() }
  }

  func join(_ holder: ObjectIdentifier) { holders.insert(holder) }

  func leave(_ holder: ObjectIdentifier) {
    holders.remove(holder)
    sharedMasks[holder] = nil
    exclusiveMasks[holder] = nil
  }

  /// The region of that number, zeroed when it is new; nil if it is not there and is not wanted.
  func region(_ index: Int, sizeBytes: Int, extend: Bool) -> UnsafeMutableRawPointer? {
    while regions.count <= index {
      guard extend else { return nil }
      let region = UnsafeMutableRawPointer.allocate(byteCount: sizeBytes, alignment: 64)
      region.initializeMemory(as: UInt8.self, repeating: 0, count: sizeBytes)
      regions.append(region)
    }
    return regions[index]
  }

  /// `xShmLock`: takes or releases the locks `first..<first + count`.
  func lock(_ holder: ObjectIdentifier, first: Int32, count: Int32, flags: Int32) -> Int32 {
    let mask = ((UInt32(1) << UInt32(count)) - 1) << UInt32(first)
    if flags & SQLITE_SHM_UNLOCK != 0 {
      sharedMasks[holder, default: 0] &= ~mask
      exclusiveMasks[holder, default: 0] &= ~mask
      return SQLITE_OK
    }
    let othersExclusive = Self.union(exclusiveMasks, except: holder)
    if flags & SQLITE_SHM_SHARED != 0 {
      if othersExclusive & mask != 0 { return SQLITE_BUSY }
      sharedMasks[holder, default: 0] |= mask
    } else {
      let taken = othersExclusive | Self.union(sharedMasks, except: holder)
      if taken & mask != 0 { return SQLITE_BUSY }
      exclusiveMasks[holder, default: 0] |= mask
    }
    return SQLITE_OK
  }

  private static func union(
    _ masks: [ObjectIdentifier: UInt32], except holder: ObjectIdentifier
  ) -> UInt32 {
    masks.reduce(0) { $1.key == holder ? $0 : $0 | $1.value }
  }
}
