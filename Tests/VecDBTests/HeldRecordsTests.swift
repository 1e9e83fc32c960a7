import Dispatch
import Testing
import VecDB
import VecDBSimulatedDisk

/// While a backup copies records, their file stands still at the LSN that it had, whatever
/// checkpoints the index gets: the log since then is all that records have after a power failure.
@Suite struct HeldRecordsTests {
  @Test func powerFailureBehindABackupThatCheckpointsOvertook() async throws {
    let disk = SimulatedDisk(seed: 3)
    var configuration = CrashTests.configuration
    configuration.maintenanceMinimum = .max
    // Segments that a checkpoint can remove, and nobody else who keeps them.
    configuration.logSegmentBytes = 64 << 10
    configuration.archiveLogBytes = 0
    try disk.createDirectory("/data")
    let database = try Database.open(
      at: "/data/db", fileSystem: disk, configuration: configuration)
    let items = try await database.createCollection("items", dimensions: 4, metric: .l2)
    var generator = SeededGenerator(seed: 9)
    var records: [String: VectorRecord] = [:]
    func write() async throws {
      let batch = (0..<300).map { number in
        VectorRecord(
          key: "k\(records.count + number)", vector: generator.vector(4),
          metadata: ["text": .string(String(repeating: "x", count: 400))])
      }
      for record in batch { records[record.key] = record }
      try await items.upsert(batch)
      try await database.checkpoint()
    }
    try await write()

    let (isCopying, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let isFirst = Flag()
    let backup = Task {
      try await database.backup(to: "/data/repository") { _ in
        guard !isFirst.isSet else { return }
        isFirst.set()
        isCopying.signal()
        mayGoOn.wait()
      }
    }
    try await onThread { isCopying.wait() }
    for _ in 0..<4 { try await write() }
    disk.crash()
    mayGoOn.signal()
    _ = await backup.result

    let restarted = disk.restarted(.syncedOnly)
    let recovered = try Database.open(
      at: "/data/db", fileSystem: restarted, configuration: configuration)
    let found = try recovered.collection("items")
    for (key, record) in records { #expect(try found.get(key) == record) }
    #expect(try await recovered.check().problems == [])
    try await recovered.close()
  }
}
