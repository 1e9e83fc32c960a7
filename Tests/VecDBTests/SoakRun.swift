import Foundation
import VecDB
import VecDBFiles
import VecDBSimulatedDisk

/// One seed of the soak: random work on a simulated disk, several crashes one after the other,
/// and after each of them several of the states that a disk could be left in.
///
/// Everything but the order of concurrent writers follows from the seed.
final class SoakRun {
  static let path = "/data/db"
  static let repository = "/data/repository"

  let seed: UInt64
  var generator: SeededGenerator
  var disk: SimulatedDisk
  var model = SoakModel()
  var configuration: DatabaseConfiguration
  /// What was done, to be printed with a failure.
  var history: [String] = []
  /// Crash states that were opened and proven.
  private(set) var checked = 0
  private var nextName = 0
  /// `VECDB_SOAK_TRACE` sets how many operations are shown with a failure.
  private static let traceLength =
    ProcessInfo.processInfo.environment["VECDB_SOAK_TRACE"].flatMap(Int.init) ?? 12

  init(seed: UInt64) {
    self.seed = seed
    generator = SeededGenerator(seed: seed)
    var options = SimulatedDisk.Options()
    options.powersafeOverwrite = Int.random(in: 0..<4, using: &generator) > 0
    // A torn write without that promise spoils 4 KiB, which SQLite then must be told.
    if options.powersafeOverwrite, Bool.random(using: &generator) { options.sectorSizeBytes = 512 }
    options.traceLimit = max(64, Self.traceLength)
    disk = SimulatedDisk(seed: seed, options: options)
    history.append("\(options)")
    configuration = CrashTests.configuration
    if Bool.random(using: &generator) { configuration.logSegmentBytes = 200 << 10 }
    if Bool.random(using: &generator) { configuration.checkpointLogBytes = 3_000 }
    // Only where there is a graph, in one run of eight.
    configuration.maintenanceMinimum = 3
    configuration.maintenanceShare = 0
    configuration.checkpointOnClose = Bool.random(using: &generator)
  }

  func run(crashes: Int) throws {
    do {
      try disk.createDirectory("/data")
      try prepare()
      while checked < crashes { try crashOnce() }
    } catch {
      let trace = disk.trace.suffix(Self.traceLength).map { "    \($0)" }.joined(separator: "\n")
      throw SoakFailure(
        """
        seed \(seed): \(error)
          \((history.prefix(1) + history.suffix(30)).joined(separator: "\n  "))
          last operations:
        \(trace)
        """)
    }
  }

  func open(_ disk: any FileSystem) throws -> Database {
    try Database.open(at: Self.path, fileSystem: disk, configuration: configuration)
  }

  /// A first collection; in one run of eight with so many records that the graph is built soon.
  private func prepare() throws {
    let database = try open(disk)
    try perform(.create, on: database)
    if seed % 8 == 0, let name = model.now.collections.keys.first {
      let records = (0..<1_040).map { record("base \($0)", dimensions(of: name)) }
      try write(records.map { ($0.key, $0) }, to: name, of: database)
    }
    try CrashTests.wait { try await database.close() }
    disk = disk.restarted(.everything)
  }

  /// Works until a fault ends it or the steps are done, lets the power fail, and proves several
  /// survivors; the next crash happens to one of them.
  private func crashOnce() throws {
    let fault = randomFault()
    history.append("fault: \(fault.effect) after \(fault.skipping)")
    disk.inject(fault)
    let total = fault.times
    do {
      try work()
    } catch  where error is VecDBError || error is StoreError {
      let hasStruck = disk.isCrashed || disk.pendingFaults < total
      guard hasStruck else { throw SoakFailure("failed while all was well: \(error)") }
      history.append("ended by \(error)")
    }
    disk.crash()
    let random = Survival.random(seed: generator.next())
    let survivals = [.syncedOnly, .everything, random, .random(seed: generator.next())]
    let chosen = survivals[Int.random(in: 0..<survivals.count, using: &generator)]
    var next: (disk: SimulatedDisk, state: SoakModel.State)?
    for survival in survivals {
      history.append("survival: \(survival)")
      let survivor = disk.restarted(survival)
      let state = try prove(survivor)
      checked += 1
      if survival == chosen { next = (survivor, state) }
    }
    if let next {
      history.append("going on with \(chosen)")
      disk = next.disk.restarted(.everything)
      model = SoakModel(next.state)
    }
  }

  private func randomFault() -> Fault {
    let skipping = Int(pow(2, Double.random(in: 0...9, using: &generator))) - 1
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: return Fault(.failedSync, skipping: skipping / 4)
    case 1: return Fault(.inputOutputError, skipping: skipping)
    case 2:
      let times = Int.random(in: 1...30, using: &generator)
      return Fault(.diskFull, skipping: skipping / 2, times: times)
    default: return Fault(.powerFailure, skipping: skipping)
    }
  }
}

// MARK: Work

extension SoakRun {
  enum Step: String {
    case upsert, delete, deleteMatching, concurrent, create, drop, checkpoint, backup, restore
    case reopen, kill
  }

  private func randomStep() -> Step {
    switch Int.random(in: 0..<32, using: &generator) {
    case 0..<12: .upsert
    case 12..<15: .delete
    case 15: .deleteMatching
    case 16..<20: .concurrent
    case 20: .create
    case 21: .drop
    case 22..<26: .checkpoint
    case 26..<28: .backup
    case 28: .restore
    case 29..<31: .reopen
    default: .kill
    }
  }

  func work() throws {
    var process = SimulatedProcess(on: disk)
    var database = try open(process)
    for _ in 0..<Int.random(in: 4...24, using: &generator) {
      let step = randomStep()
      history.append(step.rawValue)
      do {
        if step == .reopen || step == .kill {
          let now = database
          // Without closing it: as if the process had died, but not the machine.
          if step == .kill {
            process.kill()
            process = SimulatedProcess(on: disk)
          }
          if step == .reopen { try CrashTests.wait { try await now.close() } }
          database = try open(process)
        } else {
          try perform(step, on: database)
        }
      } catch let error as VecDBError where error.code == .diskFull && !disk.isCrashed {
        history.append("disk full")
      }
    }
    let last = database
    try CrashTests.wait { try await last.close() }
  }

  func perform(_ step: Step, on database: Database) throws {
    let names = model.now.collections.keys.sorted()
    let name = names.randomElement(using: &generator)
    switch step {
    case .upsert:
      guard let name else { return }
      let keys = randomKeys(prefix: "k")
      let size = dimensions(of: name)
      try write(keys.map { ($0, record($0, size)) }, to: name, of: database)
    case .delete:
      guard let name else { return }
      // Of the many first records some die too, which brings maintenance about.
      let isBase = seed % 8 == 0 && Bool.random(using: &generator)
      try write(
        randomKeys(prefix: isBase ? "base " : "k").map { ($0, nil) }, to: name, of: database)
    case .deleteMatching:
      guard let name else { return }
      try deleteMatching(Int64.random(in: 0..<9, using: &generator), in: name, of: database)
    case .concurrent: try concurrently(names, on: database)
    case .create:
      guard names.count < 4 else { return }
      nextName += 1
      try create("c\(nextName)-\(generator.next() % 1_000)", on: database)
    case .drop:
      guard names.count > 1, let name else { return }
      let (model, id) = (model, model.begin(.drop(name)))
      try settle(id) {
        _ = try await database.dropCollection(name)
        model.acknowledge(id)
      }
    case .checkpoint: try CrashTests.wait { _ = try await database.checkpoint() }
    case .backup:
      let lsn = try CrashTests.wait { try await database.backup(to: Self.repository).lsn }
      model.addRestorePoint(lsn)
    case .restore: try restoreSomePoint(on: disk)
    case .reopen, .kill: return
    }
  }

  private func create(_ name: String, on database: Database) throws {
    let metric = [Metric.l2, .cosine, .dot].randomElement(using: &generator) ?? .l2
    let size = dimensions(of: name)
    let (model, id) = (model, model.begin(.create(name)))
    try settle(id) {
      try await database.createCollection(name, dimensions: size, metric: metric)
      model.acknowledge(id)
    }
  }

  func write(
    _ changes: [(key: String, record: VectorRecord?)], to name: String, of database: Database
  ) throws {
    let id = model.begin(
      .write(collection: name, changes: Dictionary(uniqueKeysWithValues: changes)))
    let model = model
    let (births, deaths) = (changes.compactMap(\.record), changes.map(\.key))
    try settle(id) {
      let collection = try database.collection(name)
      if births.isEmpty {
        _ = try await collection.delete(deaths)
      } else {
        _ = try await collection.upsert(births)
      }
      model.acknowledge(id)
    }
  }

  private func deleteMatching(_ group: Int64, in name: String, of database: Database) throws {
    let matching = model.now.collections[name]?.filter {
      $0.value.metadata["group"] == .integer(group)
    }
    let changes = (matching ?? [:]).mapValues { _ in VectorRecord?.none }
    let (model, id) = (model, model.begin(.write(collection: name, changes: changes)))
    try settle(id) {
      _ = try await database.collection(name).delete(where: Field("group") == group)
      model.acknowledge(id)
    }
  }

  /// Several writers with keys of their own, beside a checkpoint or a backup.
  private func concurrently(_ names: [String], on database: Database) throws {
    guard let name = names.randomElement(using: &generator) else { return }
    let size = dimensions(of: name)
    let batches = (0..<Int.random(in: 2...6, using: &generator)).map { writer in
      (0..<Int.random(in: 1...3, using: &generator)).map { _ in
        randomKeys(prefix: "w\(writer)-").map { record($0, size) }
      }
    }
    let beside = Int.random(in: 0..<4, using: &generator)
    let model = model
    try CrashTests.wait {
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for writer in batches {
          tasks.addTask {
            for records in writer {
              let changes = Dictionary(uniqueKeysWithValues: records.map { ($0.key, Optional($0)) })
              let id = model.begin(.write(collection: name, changes: changes))
              do {
                _ = try await database.collection(name).upsert(records)
                model.acknowledge(id)
              } catch let error as VecDBError where error.code == .diskFull {
                model.reject(id)
              }
            }
          }
        }
        if beside == 0 { tasks.addTask { _ = try await database.checkpoint() } }
        if beside == 1 { tasks.addTask { _ = try await database.backup(to: Self.repository) } }
        // All of them end, whatever happens to one, and the first failure is told.
        var failure: (any Error)?
        while let result = await tasks.nextResult() {
          if case .failure(let error) = result { failure = failure ?? error }
        }
        if let failure { throw failure }
      }
    }
  }

  /// Runs a call; a full disk promises that nothing was changed.
  private func settle(_ id: Int, _ body: @escaping @Sendable () async throws -> Void) throws {
    do { try CrashTests.wait(body) } catch let error as VecDBError where error.code == .diskFull {
      model.reject(id)
      throw error
    }
  }

  /// A name decides: 4 to 6.
  private func dimensions(of name: String) -> Int { name.utf8.count % 3 + 4 }

  private func randomKeys(prefix: String) -> [String] {
    let count = Int.random(in: 1...8, using: &generator)
    let keys = (0..<count).map { _ in "\(prefix)\(Int.random(in: 0..<60, using: &generator))" }
    return Set(keys).sorted()
  }

  func record(_ key: String, _ dimensions: Int) -> VectorRecord {
    VectorRecord(
      key: key, vector: generator.vector(dimensions),
      metadata: ["group": .integer(Int64.random(in: 0..<9, using: &generator))])
  }
}
