import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBSimulatedDisk

/// The records after power failures and errors at every operation.
@Suite struct RecordFaultTests {
  static let path = "/db/records.sqlite"
  static let database = UniqueID(high: 5, low: 6)

  static func open(_ disk: SimulatedDisk) throws -> RecordStore {
    try RecordStore.open(
      path: path, fileSystem: disk, databaseID: database, createIfMissing: true)
  }

  /// What LSN `lsn` does: takes an old row away and puts two new ones in.
  static func changes(_ lsn: UInt64) -> [RecordChange] {
    let first = UInt32(lsn * 2)
    func row(_ slot: UInt32) -> RecordRow {
      RecordRow(
        slot: slot, key: "key \(slot % 97) \(slot)", metadata: [UInt8](repeating: 1, count: 300),
        expiryMilliseconds: Int64(slot))
    }
    let removal: [RecordChange] = lsn > 3 ? [.remove(collection: 1, slot: first - 6)] : []
    return removal + [
      .insert(collection: 1, row(first)), .insert(collection: 1, row(first + 1)),
    ]
  }

  struct Progress {
    var durable: UInt64 = 0
    var attempted: UInt64 = 0
  }

  struct Wrong: Error { var text: String }

  static func work(_ disk: SimulatedDisk, _ progress: inout Progress) throws {
    try disk.createDirectory("/db")
    var store = try open(disk)
    for lsn in 1...20 as ClosedRange<UInt64> {
      progress.attempted = lsn
      try store.apply(changes(lsn), through: lsn)
      if lsn % 6 == 0, try store.checkpoint() { progress.durable = lsn }
      if lsn == 15 {
        try store.close()
        store = try open(disk)
        progress.durable = store.durableLSN
      }
    }
    try store.close()
    progress.durable = 20
  }

  static func check(_ disk: SimulatedDisk, _ progress: Progress) throws {
    try disk.createDirectory("/db")
    let store = try open(disk)
    let applied = store.appliedLSN
    guard progress.durable...max(progress.attempted, progress.durable) ~= applied else {
      throw Wrong(text: "applied \(applied), durable \(progress.durable)")
    }
    guard store.durableLSN == applied else { throw Wrong(text: "not durable after opening") }
    // The log brings back what is missing, and what is there is skipped.
    for lsn in 1...25 as ClosedRange<UInt64> { try store.apply(changes(lsn), through: lsn) }
    guard try store.quickCheck(isThorough: true) == [] else { throw Wrong(text: "damaged") }
    var model: Set<UInt32> = []
    for lsn in 1...25 as ClosedRange<UInt64> {
      for change in changes(lsn) {
        switch change {
        case .remove(_, let slot): model.remove(slot)
        case .insert(_, let row): model.insert(row.slot)
        case .dropCollection: break
        }
      }
    }
    var slots: Set<UInt32> = []
    try store.forEach(collection: 1) { slots.insert($0.slot).inserted }
    guard slots == model else { throw Wrong(text: "other rows") }
    try store.close()
  }

  @Test(arguments: [Fault.Effect.powerFailure, .inputOutputError, .diskFull, .failedSync])
  func survivesFaultAtEveryOperation(effect: Fault.Effect) throws {
    let test = CrashTest(initial: Progress(), work: Self.work, check: Self.check)
    try test.run(effect, seed: 31, chances: 2)
  }

  @Test func fullDiskChangesNothing() throws {
    let disk = SimulatedDisk(seed: 3)
    try disk.createDirectory("/db")
    let store = try Self.open(disk)
    try store.apply(Self.changes(1), through: 1)
    disk.inject(Fault(.diskFull, times: .max))
    let error = #expect(throws: StoreError.self) { try store.apply(Self.changes(2), through: 2) }
    #expect(error?.kind == .diskFull)
    #expect(store.appliedLSN == 1)
    #expect(try store.count(collection: 1) == 2)
    disk.removeFaults()
    try store.apply(Self.changes(2), through: 2)
    #expect(try store.count(collection: 1) == 4)
  }
}
