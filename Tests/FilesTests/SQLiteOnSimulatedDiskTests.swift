import CVecDBSQLite
import Testing
import VecDBFiles
import VecDBSimulatedDisk

@Suite struct SQLiteOnSimulatedDiskTests {
  struct Lost: Error { var text: String }

  /// Commits rows 0, 1, 2 … and counts those that SQLite has acknowledged.
  static func commitRows(
    _ disk: SimulatedDisk, _ acknowledged: inout Int, rows: Int, rowBytes: Int, pageSize: Int,
    journal: String = "wal", checkpointEvery: Int = .max
  ) throws {
    let database = try TestDatabase(
      disk, "/db/a.sqlite", "page_size=\(pageSize)", "journal_mode=\(journal)",
      // A deleted journal may come back and undo a commit, unless EXTRA syncs its directory.
      "synchronous=\(journal == "delete" ? "EXTRA" : "FULL")", "wal_autocheckpoint=0")
    try database.run("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body BLOB)")
    for row in acknowledged..<acknowledged + rows {
      try database.run("INSERT INTO t VALUES(\(row), randomblob(\(rowBytes)))")
      acknowledged = row + 1
      if row % checkpointEvery == checkpointEvery - 1 {
        try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
      }
    }
  }

  static func checkRows(_ disk: SimulatedDisk, _ acknowledged: Int) throws {
    guard try disk.exists("/db/a.sqlite") else {
      if acknowledged > 0 { throw Lost(text: "the database is gone") }
      return
    }
    let database = try TestDatabase(disk, "/db/a.sqlite")
    let integrity = try database.column("PRAGMA integrity_check")
    guard integrity == ["ok"] else { throw Lost(text: "damaged: \(integrity)") }
    let tables = try database.column("SELECT name FROM sqlite_schema")
    let ids = tables.isEmpty ? [] : try database.column("SELECT id FROM t ORDER BY id")
    guard ids == (0..<ids.count).map(String.init) else { throw Lost(text: "gaps: \(ids)") }
    guard ids.count == acknowledged || ids.count == acknowledged + 1 else {
      throw Lost(text: "\(ids.count) rows, \(acknowledged) were acknowledged")
    }
  }

  @Test func keepsDatabaseAcrossConnections() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("/db")
    var acknowledged = 0
    try Self.commitRows(disk, &acknowledged, rows: 50, rowBytes: 3000, pageSize: 4096)
    #expect(disk.filePaths == ["/db/a.sqlite"])
    try Self.commitRows(disk, &acknowledged, rows: 50, rowBytes: 3000, pageSize: 4096)
    try Self.checkRows(disk, 100)
    #expect(try disk.open("/db/a.sqlite", .read).sizeBytes() > 300_000)
  }

  @Test(arguments: ["wal", "delete", "truncate", "persist"])
  func survivesCrashAtEveryOperation(journal: String) throws {
    let test = CrashTest(
      initial: 0, prepare: { try $0.createDirectory("/db") },
      work: {
        try Self.commitRows(
          $0, &$1, rows: 12, rowBytes: 2500, pageSize: 4096, journal: journal, checkpointEvery: 5)
      },
      check: Self.checkRows)
    let checked = try test.run(seed: 7, chances: 4)
    #expect(checked > 300, "\(checked)")
  }

  /// The layout of the log: pages of 64 KiB.
  @Test func survivesCrashWithLargePages() throws {
    let test = CrashTest(
      initial: 0, prepare: { try $0.createDirectory("/db") },
      work: {
        try Self.commitRows(
          $0, &$1, rows: 8, rowBytes: 100_000, pageSize: 65536, checkpointEvery: 5)
      },
      check: Self.checkRows)
    try test.run(seed: 8, chances: 4)
  }

  /// Without the assumption of powersafe overwriting, a torn write may spoil its neighbours.
  @Test func survivesCrashOnDiskWithoutPowersafeOverwrite() throws {
    var test = CrashTest(
      initial: 0, prepare: { try $0.createDirectory("/db") },
      work: {
        try Self.commitRows($0, &$1, rows: 8, rowBytes: 2500, pageSize: 4096, checkpointEvery: 3)
      },
      check: Self.checkRows)
    test.options.powersafeOverwrite = false
    try test.run(seed: 9, chances: 6)
  }

  /// 500 power failures at random moments of a life with many of them.
  @Test func neverLosesAcknowledgedCommit() throws {
    for seed in UInt64(1)...500 {
      var random = SplitMix64(seed: seed)
      var disk = SimulatedDisk(seed: seed)
      try disk.createDirectory("/db")
      var acknowledged = 0
      for life in 1...3 {
        disk.crash(atOperation: 1 + random.below(60))
        do {
          try Self.commitRows(
            disk, &acknowledged, rows: 20, rowBytes: 900, pageSize: 4096, checkpointEvery: 7)
        } catch {
          guard disk.isCrashed else { throw error }
        }
        disk = disk.restarted(.random(seed: random.next()))
        do {
          try Self.checkRows(disk, acknowledged)
        } catch {
          Issue.record("seed \(seed), life \(life): \(error)")
          break
        }
        let tables = try TestDatabase(disk, "/db/a.sqlite").column("SELECT name FROM sqlite_schema")
        acknowledged =
          tables.isEmpty
          ? 0
          : Int(try TestDatabase(disk, "/db/a.sqlite").column("SELECT count(*) FROM t")[0]) ?? 0
      }
    }
  }

  /// The harness must be able to see a lost commit: with synchronous=OFF there are some.
  @Test func seesCommitsLostWithoutSync() throws {
    var lost = 0
    for seed in UInt64(1)...40 {
      let disk = SimulatedDisk(seed: seed)
      try disk.createDirectory("/db")
      let database = try TestDatabase(disk, "/db/a.sqlite", "journal_mode=wal", "synchronous=OFF")
      try database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
      for row in 0..<10 { try database.run("INSERT INTO t VALUES(\(row), randomblob(900))") }
      let survivor = disk.restarted(.random(seed: seed))
      do { try Self.checkRows(survivor, 10) } catch { lost += 1 }
    }
    #expect(lost > 20, "\(lost) of 40")
  }

  @Test func sharesWALBetweenConnections() throws {
    let disk = SimulatedDisk()
    let writer = try TestDatabase(disk, "/a.sqlite", "journal_mode=wal")
    try writer.run("CREATE TABLE t(id)")
    let reader = try TestDatabase(disk, "/a.sqlite")
    try reader.run("BEGIN")
    #expect(try reader.column("SELECT count(*) FROM t") == ["0"])
    try writer.run("INSERT INTO t VALUES(1)")
    #expect(try reader.column("SELECT count(*) FROM t") == ["0"])
    try reader.run("COMMIT")
    #expect(try reader.column("SELECT count(*) FROM t") == ["1"])
    try writer.run("BEGIN IMMEDIATE")
    #expect(throws: SQLiteError.self) { try reader.run("BEGIN IMMEDIATE") }
    try writer.run("COMMIT")
    writer.close()
    reader.close()
    #expect(disk.filePaths == ["/a.sqlite"])
  }

  /// One writer and several readers on threads of their own: every reader sees a whole commit.
  @Test func servesReadersBesideWriter() async throws {
    let disk = SimulatedDisk()
    let writer = try TestDatabase(
      disk, "/a.sqlite", "journal_mode=wal", "synchronous=NORMAL", "wal_autocheckpoint=20")
    try writer.run("CREATE TABLE t(a, b)")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<3 {
        group.addTask {
          let reader = try TestDatabase(disk, "/a.sqlite", "busy_timeout=5000")
          for _ in 0..<100 {
            let broken = try reader.column("SELECT count(*) FROM t WHERE a <> b")
            #expect(broken == ["0"])
            let counts = try reader.column("SELECT count(*) % 2 FROM t")
            #expect(counts == ["0"])
          }
        }
      }
      for row in 0..<200 {
        try writer.run(
          "BEGIN; INSERT INTO t VALUES(\(row), \(row)); INSERT INTO t VALUES(1, 1); COMMIT")
      }
      try await group.waitForAll()
    }
    #expect(try writer.column("PRAGMA integrity_check") == ["ok"])
    #expect(try writer.column("SELECT count(*) FROM t") == ["400"])
  }

  /// A crash point means the same operation in every run.
  @Test func sameWorkSameOperations() throws {
    func trace() throws -> [String] {
      let disk = SimulatedDisk(seed: 3)
      try disk.createDirectory("/db")
      var acknowledged = 0
      try Self.commitRows(
        disk, &acknowledged, rows: 20, rowBytes: 700, pageSize: 4096, checkpointEvery: 6)
      return disk.trace.map(\.description)
    }
    #expect(try trace() == trace())
  }

  @Test func walWithoutSharedMemoryNeedsExclusiveLocking() throws {
    var options = SimulatedDisk.Options()
    options.sharedMemory = false
    let disk = SimulatedDisk(options: options)
    let plain = try TestDatabase(disk, "/a.sqlite")
    #expect(try plain.column("PRAGMA journal_mode=wal") != ["wal"])
    plain.close()
    let exclusive = try TestDatabase(disk, "/a.sqlite", "locking_mode=exclusive")
    #expect(try exclusive.column("PRAGMA journal_mode=wal") == ["wal"])
    try exclusive.run("CREATE TABLE t(id)")
    exclusive.close()
    #expect(disk.filePaths == ["/a.sqlite"])
  }

  @Test func sqliteReportsFullAndFailingDisk() throws {
    let disk = SimulatedDisk()
    let database = try TestDatabase(disk, "/a.sqlite", "journal_mode=wal", "synchronous=FULL")
    try database.run("CREATE TABLE t(id, body)")
    disk.inject(Fault(.diskFull, pathContaining: "-wal"))
    #expect(throws: SQLiteError.self) {
      try database.run("INSERT INTO t VALUES(1, zeroblob(9000))")
    }
    try database.run("INSERT INTO t VALUES(2, zeroblob(9000))")
    disk.inject(Fault(.failedSync, pathContaining: "-wal"))
    do {
      try database.run("INSERT INTO t VALUES(3, zeroblob(9000))")
      Issue.record("the failed sync went unnoticed")
    } catch let error as SQLiteError {
      #expect(error.code == SQLITE_IOERR | 4 << 8)
    }
    disk.inject(Fault(.inputOutputError, on: [.read]))
    do {
      _ = try TestDatabase(disk, "/a.sqlite").column("SELECT count(*) FROM t")
      Issue.record("the failed read went unnoticed")
    } catch let error as SQLiteError {
      #expect(error.code & 0xff == SQLITE_IOERR)
    }
  }

  /// What was open before a restart must not touch the disk any more, not even in its close.
  @Test func connectionFromBeforeRestartIsDead() throws {
    let disk = SimulatedDisk()
    let old = try TestDatabase(disk, "/a.sqlite", "journal_mode=wal", "synchronous=FULL")
    try old.run("CREATE TABLE t(id)")
    try old.run("INSERT INTO t VALUES(1)")
    let name = disk.sqliteVFSName
    disk.crash()
    #expect(throws: SQLiteError.self) { try old.run("INSERT INTO t VALUES(2)") }
    disk.restart(.syncedOnly)
    #expect(disk.sqliteVFSName != name)
    let before = disk.filePaths
    #expect(throws: SQLiteError.self) { try old.run("INSERT INTO t VALUES(3)") }
    old.close()
    #expect(disk.filePaths == before && before.contains("/a.sqlite-wal"))
    #expect(try TestDatabase(disk, "/a.sqlite").column("SELECT id FROM t") == ["1"])
  }
}
