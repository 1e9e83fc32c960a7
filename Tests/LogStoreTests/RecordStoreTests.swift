import Dispatch
import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

@Suite struct RecordStoreTests {
  let files = PosixFileSystem()
  let directory: TemporaryDirectory
  var path: String { directory.path + "/records.sqlite" }
  static let database = UniqueID(high: 5, low: 6)

  init() throws { directory = try TemporaryDirectory() }

  func open(create: Bool = true) throws -> RecordStore {
    try RecordStore.open(
      path: path, fileSystem: files, databaseID: Self.database, createIfMissing: create)
  }

  func row(_ slot: UInt32, _ key: String, _ metadata: [UInt8] = [], expiry: Int64 = 0) -> RecordRow
  {
    RecordRow(slot: slot, key: key, metadata: metadata, expiryMilliseconds: expiry)
  }

  @Test func appliesOnceAndAnswers() throws {
    let store = try open()
    let a = row(0, "ä", [1, 2])
    let b = row(1, "", [], expiry: -5)
    let c = row(2, "nul\0key", [0])
    try store.apply(
      [.insert(collection: 1, a), .insert(collection: 1, b), .insert(collection: 2, c)], through: 3)
    try store.apply([.remove(collection: 1, slot: 0)], through: 3)  // Has it already.
    #expect(store.appliedLSN == 3)
    #expect(store.durableLSN == 0)
    #expect(try store.slots(collection: 1, keys: ["ä", "x", ""]) == [0, nil, 1])
    #expect(try store.row(collection: 1, slot: 0) == a)
    #expect(try store.row(collection: 1, key: "") == b)
    #expect(try store.row(collection: 2, key: "nul\0key") == c)
    #expect(try store.row(collection: 2, key: "nul") == nil)
    #expect(try store.rows(collection: 1, slots: [1, 7, 0]) == [b, nil, a])
    #expect(try store.scan(collection: 1, limit: 10) == [b, a])
    #expect(try store.scan(collection: 1, afterKey: "", limit: 10) == [a])
    #expect(try store.count(collection: 1) == 2)
    try store.apply(
      [.remove(collection: 1, slot: 0), .insert(collection: 1, row(3, "ä"))], through: 4)
    #expect(try store.slots(collection: 1, keys: ["ä"]) == [3])
    try store.apply([.dropCollection(1)], through: 9)
    #expect(try store.count(collection: 1) == 0)
    #expect(try store.quickCheck(isThorough: true) == [])
    #expect(try store.checkpoint())
    #expect(store.durableLSN == 9)
    #expect(try store.walBytes == 0)
  }

  @Test func contradictionChangesNothing() throws {
    let store = try open()
    try store.apply([.insert(collection: 1, row(0, "a"))], through: 1)
    for wrong in [row(0, "b"), row(1, "a")] {
      let error = #expect(throws: StoreError.self) {
        try store.apply(
          [.insert(collection: 1, row(5, "z")), .insert(collection: 1, wrong)], through: 2)
      }
      #expect(error?.kind == .corrupt)
    }
    #expect(store.appliedLSN == 1)
    #expect(try store.count(collection: 1) == 1)
    try store.apply([.insert(collection: 1, row(5, "z"))], through: 2)
  }

  @Test func mainFileIsStableBetweenCheckpoints() throws {
    let store = try open()
    for lsn in 1...50 as ClosedRange<UInt64> {
      try store.apply(
        [.insert(collection: 1, row(UInt32(lsn), "k\(lsn)", Array(repeating: 1, count: 500)))],
        through: lsn)
    }
    #expect(try store.checkpoint())
    let before = try files.readAll(path)
    try store.apply([.dropCollection(1)], through: 60)
    _ = try store.count(collection: 1)
    #expect(try store.walBytes > 0)
    #expect(try files.readAll(path) == before)
    // The copied main file alone is the store at the checkpoint, for another database too.
    let copy = directory.path + "/copy.sqlite"
    try files.writeAtomically(before, to: copy)
    let other = UniqueID(high: 9, low: 9)
    let refused = #expect(throws: StoreError.self) {
      try RecordStore.open(path: copy, fileSystem: files, databaseID: other)
    }
    #expect(refused?.kind == .corrupt)
    let restored = try RecordStore.open(
      path: copy, fileSystem: files, databaseID: other, adopting: true)
    #expect(restored.appliedLSN == 50)
    #expect(try restored.count(collection: 1) == 50)
    try restored.close()
    _ = try RecordStore.open(path: copy, fileSystem: files, databaseID: other)
  }

  @Test func reopensWithAndWithoutClose() throws {
    var held: RecordStore? = try open()
    try held?.apply([.insert(collection: 1, row(1, "a"))], through: 1)
    held = nil
    held = try open(create: false)
    #expect(held?.appliedLSN == 1)
    #expect(held?.durableLSN == 1)
    try held?.close()
    #expect(throws: StoreError.self) { try held?.count(collection: 1) }
    held = nil
    held = try open(create: false)
    #expect(try held?.row(collection: 1, slot: 1) == row(1, "a"))
    let missing = #expect(throws: StoreError.self) {
      try RecordStore.open(
        path: path + "x", fileSystem: files, databaseID: Self.database)
    }
    #expect(missing?.kind == .notFound)
  }

  @Test func matchesModel() throws {
    let seed: UInt64 = 42
    var random = TestRandom(seed: seed)
    let store = try open()
    var model: [UInt32: [String: RecordRow]] = [1: [:], 2: [:]]
    var nextSlot: UInt32 = 0
    for lsn in 1...300 as ClosedRange<UInt64> {
      var changes: [RecordChange] = []
      for _ in 0..<Int.random(in: 1...20, using: &random) {
        let collection = UInt32.random(in: 1...2, using: &random)
        let key = "k\(Int.random(in: 0...150, using: &random))"
        if let old = model[collection]?[key] {
          changes.append(.remove(collection: collection, slot: old.slot))
          model[collection]?[key] = nil
        }
        if Bool.random(using: &random) {
          let new = row(nextSlot, key, random.bytes(8), expiry: Int64(lsn))
          nextSlot += 1
          changes.append(.insert(collection: collection, new))
          model[collection]?[key] = new
        }
      }
      if lsn % 97 == 0 {
        changes.append(.dropCollection(2))
        model[2] = [:]
      }
      try store.apply(changes, through: lsn)
      if lsn % 50 == 0 { #expect(try store.checkpoint()) }
    }
    for collection in [1, 2] as [UInt32] {
      let expected = (model[collection] ?? [:]).values
      #expect(
        try store.scan(collection: collection, limit: 1000)
          == expected.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) })
      var seen: [RecordRow] = []
      try store.forEach(collection: collection) {
        seen.append($0)
        return true
      }
      #expect(seen == expected.sorted { $0.slot < $1.slot }, "seed \(seed)")
    }
    #expect(try store.quickCheck(isThorough: true) == [])
  }

  @Test func readersRunBesideWriterAndCheckpoint() throws {
    let store = try open()
    try store.apply([.insert(collection: 1, row(0, "fixed"))], through: 1)
    let path = path
    DispatchQueue.concurrentPerform(iterations: 3) { thread in
      do {
        for round in 0..<200 as Range<UInt64> {
          if thread == 0 {
            try store.apply(
              [.insert(collection: 2, row(UInt32(round), "\(round)"))], through: round + 2)
            if round % 20 == 0 { #expect(try store.checkpoint()) }
          } else {
            #expect(try store.row(collection: 1, key: "fixed")?.slot == 0)
            // A backup opens and closes the file, which would drop POSIX locks.
            _ = try PosixFileSystem().readAll(path)
          }
        }
      } catch { Issue.record(error) }
    }
    #expect(try store.count(collection: 2) == 200)
  }
}
