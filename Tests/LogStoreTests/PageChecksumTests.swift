import Testing
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// Damage to the main file of records: SQLite by itself would believe most of it.
@Suite struct PageChecksumTests {
  static let database = UniqueID(high: 5, low: 6)
  static let pageBytes = 4_096
  let files = PosixFileSystem()
  let directory: TemporaryDirectory
  let path: String
  /// The whole file.
  let good: [UInt8]
  let rows: [RecordRow]

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/records.sqlite"
    var random = TestRandom(seed: 41)
    rows = (0..<300).map { number in
      // Some metadata overflows its page.
      RecordRow(
        slot: UInt32(number), key: "key \(number * 7 % 300)",
        metadata: random.bytes(number % 40 == 0 ? 9_000 : number),
        expiryMilliseconds: Int64(number))
    }
    let store = try RecordStore.open(
      path: path, fileSystem: files, databaseID: Self.database, createIfMissing: true)
    // Pages that are free again.
    let other = rows.map { RecordChange.insert(collection: 2, $0) }
    try store.apply(rows.map { .insert(collection: 1, $0) } + other, through: 1)
    try store.apply([.dropCollection(2)], through: 2)
    try store.close()
    good = try files.readAll(path)
  }

  func put(_ bytes: [UInt8]) throws {
    let file = try files.open(path, .createOrTruncate)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  }

  func open() throws -> RecordStore {
    try RecordStore.open(path: path, fileSystem: files, databaseID: Self.database)
  }

  /// Everything that can be asked is right or an error that says "corrupt".
  func requireNothingWrong() throws {
    func right(_ body: (RecordStore) throws -> Bool) throws {
      do {
        let store = try open()
        defer { try? store.close() }  // What it says after damage is of no interest.
        let isRight = try body(store)
        #expect(isRight)
      } catch let error as StoreError { #expect(error.kind == .corrupt, "\(error)") }
    }
    let byKey = rows.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    try right { try $0.scan(collection: 1, limit: 1_000) == byKey }
    try right { try $0.rows(collection: 1, slots: rows.map(\.slot)) == rows }
    try right { try $0.slots(collection: 1, keys: rows.map(\.key)) == rows.map(\.slot) }
    try right { try $0.count(collection: 1) == rows.count }
  }

  @Test func everyPageIsCompared() throws {
    #expect(good.count % Self.pageBytes == 0)
    var random = TestRandom(seed: 42)
    for page in 0..<good.count / Self.pageBytes {
      var bytes = good
      // Not the version and the application, which have errors of their own.
      let offset = Int.random(in: page == 0 ? 100..<4_096 : 0..<4_096, using: &random)
      bytes[page * Self.pageBytes + offset] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      try put(bytes)
      try requireNothingWrong()
      guard let store = try? open() else { continue }
      #expect(try store.damagedPages().first?.hasPrefix("page \(page + 1) ") == true)
      try store.close()
    }
  }

  @Test func exchangedAndZeroedPagesAreFound() throws {
    var random = TestRandom(seed: 43)
    let pages = good.count / Self.pageBytes
    for _ in 0..<30 {
      let (first, second) = (
        Int.random(in: 1..<pages, using: &random), Int.random(in: 1..<pages, using: &random)
      )
      var bytes = good
      for offset in 0..<Self.pageBytes {
        bytes.swapAt(first * Self.pageBytes + offset, second * Self.pageBytes + offset)
      }
      try put(bytes)
      try requireNothingWrong()
      bytes = good
      for offset in 0..<Self.pageBytes { bytes[first * Self.pageBytes + offset] = 0 }
      try put(bytes)
      try requireNothingWrong()
    }
  }

  /// What does not hold a row is made anew, whatever is wrong with it.
  @Test func rewritesWhatHoldsNoRow() throws {
    var rewritten = 0
    for page in 1..<good.count / Self.pageBytes {
      var bytes = good
      bytes[page * Self.pageBytes + 9] ^= 0x40
      try put(bytes)
      do {
        #expect(
          try RecordStore.rewriteIfDamaged(
            path: path, fileSystem: files, databaseID: Self.database))
        rewritten += 1
        let store = try open()
        #expect(store.appliedLSN == 2)
        #expect(try store.damagedPages() == [])
        #expect(try store.quickCheck(isThorough: true) == [])
        #expect(try store.rows(collection: 1, slots: rows.map(\.slot)) == rows)
        #expect(try store.slots(collection: 1, keys: rows.map(\.key)) == rows.map(\.slot))
        try store.close()
      } catch let error as StoreError {
        // A page of the table itself.
        #expect(error.kind == .corrupt, "\(error)")
        #expect(try files.readAll(path) == bytes)
      }
    }
    #expect(rewritten > 5)
    try put(good)
    #expect(
      try !RecordStore.rewriteIfDamaged(path: path, fileSystem: files, databaseID: Self.database))
  }
}
