import VecDB
import VecDBSimulatedDisk

/// What is demanded after a crash.
extension SoakRun {
  /// Opens a survivor, sometimes with further crashes while it recovers, and holds it against the
  /// model. Returns what the model is from here on. Writing must work; what is written for the
  /// proof is taken out again.
  func prove(_ survivor: SimulatedDisk) throws -> SoakModel.State {
    var survivor = survivor
    while Int.random(in: 0..<4, using: &generator) == 0 {
      let operation = Int.random(in: 1...40, using: &generator)
      history.append("crash at operation \(operation) of the recovery")
      survivor.crash(atOperation: operation)
      do {
        let database = try open(survivor)
        try CrashTests.wait { try await database.close() }
      } catch let error as VecDBError where survivor.isCrashed {
        _ = error
      }
      survivor.crash()
      survivor = survivor.restarted(.random(seed: generator.next()))
    }
    let database = try open(survivor)
    let found = try contents(of: database)
    let state = try model.now.resolved(by: found)
    for (name, records) in found { try proveSearch(database.collection(name), records) }
    let problems = try CrashTests.wait { try await database.check().problems }
    guard problems.isEmpty else { throw SoakFailure("check: \(problems)") }
    try proveWriting(database, found)
    if Int.random(in: 0..<3, using: &generator) == 0 {
      try restoreSomePoint(on: survivor, of: state)
    }
    try CrashTests.wait { try await database.close() }
    return state
  }

  private func contents(of database: Database) throws -> [String: SoakModel.Records] {
    var found: [String: SoakModel.Records] = [:]
    for info in try database.collections() {
      let records = try database.collection(info.name).scroll(limit: 10_000).records
      guard records.count == info.count else {
        throw SoakFailure("'\(info.name)' counts \(info.count) and lists \(records.count)")
      }
      found[info.name] = Dictionary(uniqueKeysWithValues: records.map { ($0.key, $0) })
    }
    return found
  }

  /// Every record (some, of many) is its own nearest neighbour, and a search for all gives exactly
  /// what is there.
  private func proveSearch(
    _ collection: VectorCollection, _ records: SoakModel.Records
  ) throws {
    guard let first = records.values.first else { return }
    let all = try collection.search(first.vector, k: 10_000).hits.map(\.key)
    guard all.count == records.count, Set(all) == Set(records.keys) else {
      throw SoakFailure("a search for all \(records.count) records gives \(all.count)")
    }
    for record in records.values.sorted(by: { $0.key < $1.key }).prefix(40) {
      let options = SearchOptions(includeMetadata: true, includeVector: true)
      let hits = try collection.search(record.vector, k: 3, options: options).hits
      let exact = try collection.search(
        record.vector, k: 3, options: SearchOptions(exact: true)
      ).hits
      guard hits.first?.distance == exact.first?.distance else {
        throw SoakFailure("search for '\(record.key)' does not find the nearest")
      }
      for hit in hits {
        guard let expected = records[hit.key], hit.vector == expected.vector,
          hit.metadata == expected.metadata
        else { throw SoakFailure("search gives what is not there: '\(hit.key)'") }
      }
    }
  }

  private func proveWriting(
    _ database: Database, _ found: [String: SoakModel.Records]
  ) throws {
    guard let (name, _) = found.min(by: { $0.key < $1.key }) else { return }
    let collection = try database.collection(name)
    let new = VectorRecord(
      key: "after", vector: generator.vector(collection.dimensions), metadata: ["group": 1])
    try CrashTests.wait {
      _ = try await collection.upsert(new)
      guard try collection.get("after") == new else { throw SoakFailure("a new write is lost") }
      _ = try await collection.delete("after")
    }
  }

  /// Restores a restore point of an acknowledged backup, which must give what it held then.
  func restoreSomePoint(on disk: SimulatedDisk, of state: SoakModel.State? = nil) throws {
    let points = (state ?? model.now).restorePoints.sorted { $0.key < $1.key }
    guard let (lsn, collections) = points.randomElement(using: &generator) else { return }
    history.append("restore LSN \(lsn)")
    try disk.removeTree("/data/copy")
    let configuration = configuration
    _ = try CrashTests.wait {
      try await Database.restore(
        from: Self.repository, to: "/data/copy", target: .lsn(lsn), verification: .full,
        configuration: configuration, fileSystem: disk, progress: nil)
    }
    let copy = try Database.open(
      at: "/data/copy", fileSystem: disk, configuration: configuration)
    let found = try contents(of: copy)
    guard found == collections else { throw SoakFailure("the restored LSN \(lsn) is wrong") }
    try CrashTests.wait { try await copy.close() }
    try disk.removeTree("/data/copy")
  }
}
