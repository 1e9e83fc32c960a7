import Foundation
import Testing
import VecDB
import VecDBBlockStore
import VecDBFiles
import VecDBLogStore
import VecDBSimulatedDisk

/// What is built beside a database: it becomes live in one step, nobody takes it from anybody, and
/// what a process that was killed leaves is swept, and nothing else.
@Suite struct StagingTests {
  struct Model: Sendable {
    /// Which of two histories may be live, by their number of records.
    var allowed: Set<Int>
  }

  private static func count(_ database: Database) throws -> Int {
    try database.collection("items").count
  }

  /// A database with 3 records, backed up, and then with 5.
  private static func prepare(_ disk: SimulatedDisk) throws {
    try CrashTests.prepare(disk)
    let database = try CrashTests.open(disk)
    try CrashTests.wait {
      let items = try database.collection("items")
      try await items.upsert(
        (0..<3).map { VectorRecord(key: "k\($0)", vector: [1, 2, 3, Float($0)]) })
      _ = try await database.backup(to: "/data/repository")
      try await items.upsert(
        (3..<5).map { VectorRecord(key: "k\($0)", vector: [1, 2, 3, Float($0)]) })
      try await database.close()
    }
  }

  /// An application that creates what is missing opens what is there, old or new, and nothing is
  /// left beside it.
  private static func verify(_ disk: SimulatedDisk, _ model: Model) throws {
    let database = try CrashTests.open(disk)
    let found = try database.collections().isEmpty ? -1 : count(database)
    guard model.allowed.contains(found) else {
      throw CrashTests.Wrong(description: "\(found) records, not \(model.allowed)")
    }
    let problems = try CrashTests.wait { try await database.check().problems }
    guard problems.isEmpty else { throw CrashTests.Wrong(description: "check: \(problems)") }
    let left = try disk.list("/data")
    guard left == ["db", "repository"] else { throw CrashTests.Wrong(description: "left: \(left)") }
    try CrashTests.wait { try await database.close() }
  }

  private static func restore(_ files: any FileSystem) throws {
    try CrashTests.wait {
      var options = RestoreOptions()
      options.replacing = true
      options.discardsUnsaved = true
      _ = try await Database.restore(
        from: "/data/repository", to: "/data/db", target: .latest, options: options,
        configuration: CrashTests.configuration, fileSystem: files, progress: nil)
    }
  }

  private static func bootstrap(_ files: any FileSystem) throws {
    let source = try StoredRepository.open("/data/repository", fileSystem: files)
    let entry = try #require(try source.manifests().last)
    let manifest = try source.getManifest(entry)
    let run = BootstrapRun(
      path: "/data/db", files: files, configuration: CrashTests.configuration)
    try run.finishInterrupted()
    _ = try run.run(
      manifest, identity: LogIdentity(decoding: manifest.epochs, at: "test"), from: source,
      node: NodeRecord())
  }

  @Test(arguments: [true, false], [true, false])
  func replacementIsOneStep(canExchange: Bool, restoring: Bool) async throws {
    let checked = try await onThread {
      var test = CrashTest(
        initial: Model(allowed: [5]), prepare: Self.prepare,
        work: { disk, model in
          model.allowed = [3, 5]
          try restoring ? Self.restore(disk) : Self.bootstrap(disk)
          model.allowed = [3]
        }, check: Self.verify)
      test.options.canExchange = canExchange
      return try test.run(seed: 7, chances: 4)
    }
    #expect(checked > 100)
    print("power failures checked: \(checked) (exchange \(canExchange), restore \(restoring))")
  }

  /// As above, but the process is killed: all that it wrote is there, synced or not.
  @Test(arguments: [true, false], [true, false])
  func aKilledReplacementIsFinishedOrGone(canExchange: Bool, restoring: Bool) async throws {
    let (points, failures) = try await onThread { () -> (Int, [String]) in
      var failures: [String] = []
      var options = SimulatedDisk.Options()
      options.canExchange = canExchange
      let base = SimulatedDisk(seed: 3, options: options)
      try Self.prepare(base)
      var point = 0
      while true {
        let disk = base.restarted(.everything)
        disk.inject(Fault(.powerFailure, skipping: point))
        var isDone = true
        do { try restoring ? Self.restore(disk) : Self.bootstrap(disk) } catch { isDone = false }
        let survivor = disk.restarted(.everything)
        do { try Self.verify(survivor, Model(allowed: isDone ? [3] : [3, 5])) } catch {
          failures.append("operation \(point): \(error)")
        }
        if isDone { return (point, failures) }
        point += 1
      }
    }
    #expect(points > 20)
    #expect(failures == [])
  }

  /// What could not be made durable is taken back: who was told of a failure finds what was there
  /// before, and can try again.
  @Test(arguments: ["restore", "bootstrap", "create"])
  func aFailedPublicationIsTakenBack(what: String) async throws {
    let (failed, wrong) = try await onThread { () -> (Int, [String]) in
      let base = SimulatedDisk(seed: 5)
      try Self.prepare(base)
      func work(_ disk: SimulatedDisk) throws {
        switch what {
        case "restore": try Self.restore(disk)
        case "bootstrap": try Self.bootstrap(disk)
        default:
          var configuration = CrashTests.configuration
          configuration.createIfMissing = true
          let database = try Database.open(
            at: "/data/new", fileSystem: disk, configuration: configuration)
          try CrashTests.wait { try await database.close() }
        }
      }
      var wrong: [String] = []
      var failed = 0
      for number in 0..<1_000 {
        let disk = base.restarted(.everything)
        disk.inject(Fault(.inputOutputError, on: [.syncDirectory], skipping: number))
        var isDone = true
        do { try work(disk) } catch { isDone = false }
        disk.removeFaults()
        if isDone, number > 0 { break }
        failed += isDone ? 0 : 1
        do {
          let after = disk.restarted(.everything)
          if what == "create" {
            if !isDone, try after.exists("/data/new") { wrong.append("\(number): it is there") }
          } else {
            try Self.verify(after, Model(allowed: [isDone ? 3 : 5]))
          }
          try work(after)
        } catch { wrong.append("\(number): \(error)") }
      }
      return (failed, wrong)
    }
    #expect(failed > 3)
    #expect(wrong == [])
  }

  @Test(arguments: [false, true])
  func oneOfManyThatCreateAPathWins(emptyDirectory: Bool) async throws {
    let directory = try TemporaryDirectory()
    for round in 0..<40 {
      let path = directory.file("db\(round)")
      if emptyDirectory { try PosixFileSystem().createDirectory(path) }
      let results = await withTaskGroup(of: Result<Database, any Error>.self) { group in
        for _ in 0..<3 {
          group.addTask {
            do {
              return .success(
                try await onThread {
                  try Database.open(
                    at: path, fileSystem: PosixFileSystem(),
                    configuration: CrashTests.configuration)
                })
            } catch { return .failure(error) }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      let winners = results.compactMap { try? $0.get() }
      #expect(winners.count == 1, "round \(round)")
      for result in results {
        guard case .failure(let error) = result else { continue }
        #expect((error as? VecDBError)?.code == .locked, "round \(round): \(error)")
      }
      try await winners.first?.createCollection("c", dimensions: 2, metric: .l2)
      try await winners.first?.close()
      let again = try await Database.open(at: path)
      #expect(try again.collections().count == 1)
      try await again.close()
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(left.filter { $0.contains("creating") } == [])
  }

  @Test func onlyWhatIsDeadAndOursIsSwept() async throws {
    let directory = try TemporaryDirectory()
    let files = PosixFileSystem()
    let path = directory.file("db")
    let digits = String(repeating: "0f", count: 16)
    func plant(_ name: String, _ contents: [String]) throws {
      try files.createDirectory(directory.file(name))
      for entry in contents {
        try files.writeAtomically([1], to: directory.file(name + "/" + entry))
      }
    }
    let dead = ["db.creating-\(digits)", "db.restoring-\(digits)", "db.replaced-\(digits)"]
    for name in dead { try plant(name, ["LOCK", "records.sqlite"]) }
    try plant("db.following-\(digits)", ["LOCK"])
    let living = try files.lock(directory.file("db.following-\(digits)/LOCK"), owner: "a replica")
    try plant("db.collection-\(digits)", ["LOCK", "letters.txt"])
    let foreign = [
      "db.following", "db.replaced", "db.before-restore", "db.restoring-12",
      "db2.creating-\(digits)",
      "db.restoring-\(digits)0", "db.other-\(digits)",
    ]
    for name in foreign { try plant(name, ["LOCK", "log"]) }
    let database = try await Database.open(at: path)
    try await database.close()
    for name in dead { #expect(try !files.exists(directory.file(name)), "\(name)") }
    for name in foreign { #expect(try files.list(directory.file(name)) == ["LOCK", "log"]) }
    #expect(try files.list(directory.file("db.following-\(digits)")) == ["LOCK"])
    #expect(try files.list(directory.file("db.collection-\(digits)")) == ["letters.txt"])
    living.unlock()
    try await Database.open(at: path).close()
    #expect(try !files.exists(directory.file("db.following-\(digits)")))
  }

  @Test func aNameAsLongAsAFileSystemTakesCanBeCreatedAndReplaced() async throws {
    let directory = try TemporaryDirectory()
    let repository = directory.file("repository")
    let path = directory.file(String(repeating: "a", count: 249) + ".vecdb")
    let database = try await Database.open(at: path)
    try await database.createCollection("c", dimensions: 2, metric: .l2)
    _ = try await database.backup(to: repository)
    try await database.close()
    var options = RestoreOptions()
    options.replacing = true
    _ = try await Database.restore(from: repository, to: path, options: options)
    try await Database.open(at: path).close()
    let left = try FileManager.default.contentsOfDirectory(atPath: directory.path)
    #expect(left.count == 2, "\(left)")
  }
}
