import Glibc
import Synchronization
import Testing
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// Too much at once, and too little space: bounded memory, clear errors, and going on by itself.
@Suite struct PressureTests {
  /// A disk on which writes can be held up.
  private final class Gate: FileSystem {
    let disk: SimulatedDisk
    private let isShut = Mutex(false)
    private let waiting = Mutex(false)
    var holdsSomebody: Bool { waiting.withLock { $0 } }

    init(_ disk: SimulatedDisk) { self.disk = disk }

    func set(shut: Bool) { isShut.withLock { $0 = shut } }

    func freeSpaceBytes(_ path: String) throws -> Int {
      while isShut.withLock({ $0 }) {
        waiting.withLock { $0 = true }
        usleep(1_000)
      }
      return try disk.freeSpaceBytes(path)
    }

    func createDirectory(_ path: String) throws { try disk.createDirectory(path) }
    func list(_ directory: String) throws -> [String] { try disk.list(directory) }
    func info(_ path: String) throws -> FileInfo? { try disk.info(path) }
    func open(_ path: String, _ mode: OpenMode) throws -> any FileHandle {
      try disk.open(path, mode)
    }
    func remove(_ path: String) throws { try disk.remove(path) }
    func removeTree(_ path: String) throws { try disk.removeTree(path) }
    func rename(_ source: String, to target: String) throws {
      try disk.rename(source, to: target)
    }
    func renameExclusively(_ source: String, to target: String) throws {
      try disk.renameExclusively(source, to: target)
    }
    func exchange(_ one: String, with other: String) throws -> Bool {
      try disk.exchange(one, with: other)
    }
    func syncDirectory(_ path: String) throws { try disk.syncDirectory(path) }
    func map(
      _ path: String, offset: Int, length: Int, at address: UnsafeMutableRawPointer
    ) throws { try disk.map(path, offset: offset, length: length, at: address) }
    func lock(_ path: String, owner: String) throws -> any FileLock {
      try disk.lock(path, owner: owner)
    }
    var sqliteVFSName: String? { disk.sqliteVFSName }
  }

  @Test func writersThatOutrunTheIndexWaitAndAreRefused() async throws {
    let disk = SimulatedDisk(seed: 1)
    try disk.createDirectory("/data")
    let gate = Gate(disk)
    var configuration = CrashTests.configuration
    configuration.writeQueueBytes = 4_000
    configuration.writeQueueTimeoutMilliseconds = 300
    let database = try Database.open(
      at: "/data/db", fileSystem: gate, configuration: configuration)
    let collection = try await database.createCollection("c", dimensions: 100, metric: .l2)
    gate.set(shut: true)
    let count = 120
    let outcomes = await withTaskGroup(of: (Int, VecDBError.Code?).self) { tasks in
      for number in 0..<count {
        tasks.addTask {
          do {
            try await collection.upsert(
              VectorRecord(key: "k\(number)", vector: Array(repeating: Float(number), count: 100)))
            return (number, nil)
          } catch { return (number, (error as? VecDBError)?.code) }
        }
        // The first one is taken by the writer alone.
        while number == 0, !gate.holdsSomebody { try? await Task.sleep(nanoseconds: 1_000_000) }
      }
      var outcomes: [Int: VecDBError.Code?] = [:]
      var most = 0
      // Those that are refused answer while the writer is still held up.
      while outcomes.count < count - 20, let (number, code) = await tasks.next() {
        outcomes[number] = code
        most = max(most, (try? database.stats().activity?.queuedBytes) ?? 0)
      }
      #expect(most <= 4_000 * 5, "\(most) bytes waited")
      gate.set(shut: false)
      for await (number, code) in tasks { outcomes[number] = code }
      return outcomes
    }
    let written = outcomes.filter { $0.value == nil }.keys.sorted()
    let refused = outcomes.filter { $0.value == .overloaded }
    #expect(written.count + refused.count == count && !written.isEmpty)
    #expect(refused.count >= count - 20)
    for number in 0..<count {
      #expect(try (collection.get("k\(number)") != nil) == written.contains(number))
    }
    #expect(try database.stats().activity?.overloads == refused.count)
    try await database.close()
  }

  /// A batch that is in the log must get into records as well: their space is set aside first.
  @Test func recordsWithoutSpaceRefuseTheWriteWhole() async throws {
    try await onThread {
      let disk = SimulatedDisk(seed: 2)
      try disk.createDirectory("/data")
      let database = try Database.open(
        at: "/data/db", fileSystem: disk, configuration: CrashTests.configuration)
      var generator = SeededGenerator(seed: 2)
      let records = (0..<50).map { VectorRecord(key: "k\($0)", vector: generator.vector(16)) }
      try CrashTests.wait {
        _ = try await database.createCollection("c", dimensions: 16, metric: .l2).upsert(records)
      }
      // More than was set aside ahead of earlier writes.
      let text = MetadataValue.string(String(repeating: "text ", count: 300))
      let many = (0..<4_000).map {
        VectorRecord(key: "m\($0)", vector: generator.vector(16), metadata: ["text": text])
      }
      let lsn = database.lsn
      disk.inject(Fault(.diskFull, pathContaining: "records.sqlite-wal", times: .max))
      for _ in 0..<3 {
        let error = CrashTests.failure { _ = try await database.collection("c").upsert(many) }
        #expect(error?.code == .diskFull, "\(String(describing: error))")
      }
      #expect(database.lsn == lsn)
      let found = try database.collection("c").search(records[7].vector, k: 1).hits.first?.key
      #expect(found == "k7", "reading goes on")
      disk.removeFaults()
      try CrashTests.wait { _ = try await database.collection("c").upsert(many) }
      #expect(try database.collection("c").count == 4_050)
      #expect(try CrashTests.wait { try await database.check().problems } == [])
      #expect(try database.stats().activity?.diskFull == 3)
      try CrashTests.wait { try await database.close() }
    }
  }
}
