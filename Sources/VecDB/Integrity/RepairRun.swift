import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// One repair of a database that nobody has open: blocks first, so that it can be opened, then the
/// records, then a check of everything.
struct RepairRun {
  let directory: DatabaseDirectory
  let files: any FileSystem
  let configuration: DatabaseConfiguration
  let source: StoredRepository?
  private var report = RepairReport(
    repairs: [], missing: [], fetchedBlocks: 0, fetchedBytes: 0, check: nil, seconds: 0)

  init(
    path: String, files: any FileSystem, configuration: DatabaseConfiguration,
    source: StoredRepository?
  ) {
    directory = DatabaseDirectory(path: path)
    self.files = files
    self.configuration = configuration
    self.source = source
  }

  mutating func run() throws -> RepairReport {
    let started = DispatchTime.now()
    guard try Opening.isDatabase(directory, files) else {
      throw StoreError(
        .notFound, "there is no database", at: directory.path, remedy: "Check the path.")
    }
    let lock = try lockDatabase()
    do {
      if try repairBlocks(), try requireLog() { try repairRecordsFile() }
    } catch {
      lock.unlock()
      throw error
    }
    lock.unlock()
    if report.missing.isEmpty { try prove() }
    report.seconds = started.elapsedSeconds
    return report
  }

  /// False if something could not be had.
  private mutating func repairBlocks() throws -> Bool {
    let blocks = try BlockStore(directory: directory.path, fileSystem: files)
    if let source, let (_, _) = blocks.manifestNumbers.first,
      let manifest = blocks.manifestNumbers.first.flatMap({ blocks.manifest(number: $0.number) }),
      manifest.databaseID != source.databaseID
    {
      throw StoreError(
        .invalidArgument, "the repository holds backups of another database",
        at: source.location, remedy: "Name this database's own repository.")
    }
    let newest = blocks.manifestNumbers.first.flatMap { blocks.manifest(number: $0.number) }
    let run = self
    var derived = newest.map { manifest in
      DerivedBlocks(
        blocks: blocks, manifest: manifest, threads: configuration.resolvedThreads,
        logger: configuration.logger
      ) { run.openRecords(manifest) }
    }
    var (fetched, bytes) = (0, 0)
    let result = try blocks.repair { hash in
      do {
        if let block = try source?.getBlock(hash) {
          (fetched, bytes) = (fetched + 1, bytes + block.count)
          return block
        }
      } catch let error as StoreError where error.kind == .notFound || error.kind == .corrupt {
        return try derived?.block(hash)
      }
      return try derived?.block(hash)
    }
    (report.fetchedBlocks, report.fetchedBytes) = (fetched, bytes)
    guard result.missing.isEmpty else {
      report.missing = result.missing.map { "\($0.message) (\($0.location)). \(whereFrom)" }
      return false
    }
    report.repairs += result.damage.map { "rewritten: \($0.message) (\($0.location))" }
    if let count = derived?.count, count > 0 {
      report.repairs.append("rebuilt: \(count) blocks of the index from its vectors and records")
    }
    return true
  }

  /// The records, to rebuild from; nil if they cannot be read.
  private func openRecords(_ manifest: Manifest) -> RecordStore? {
    do {
      let id = try LogIdentity(decoding: manifest.epochs, at: "the newest manifest").databaseID
      return try RecordStore.open(path: directory.records, fileSystem: files, databaseID: id)
    } catch {
      configuration.logger.info(
        "cannot rebuild anything from the records", metadata: ["error": "\(error)"])
      return nil
    }
  }

  private func close(_ records: RecordStore?) {
    do { try records?.close() } catch {
      configuration.logger.info("cannot close the records", metadata: ["error": "\(error)"])
    }
  }

  private var whereFrom: String {
    source == nil
      ? "Name a repository that has it, with --from"
      : "The repository does not have it either; restore the newest state from there"
  }

  /// The log is primary data: it can be read whole, or the database must be restored.
  private mutating func requireLog() throws -> Bool {
    do {
      try verifyLog()
      return true
    } catch let error as StoreError where error.kind == .corrupt || error.kind == .notFound {
      let survey = try WriteAheadLog.survey(directory: directory.log, fileSystem: files)
      if try setAsideWhatIsNotNeeded(survey) { return true }
      report.missing += try describe(error, survey)
      return false
    }
  }

  private func verifyLog() throws {
    let log = try WriteAheadLog.open(
      directory: directory.log, fileSystem: files, options: configuration.logOptions,
      coveredThrough: newestManifest().lsn)
    do { try log.verify() } catch {
      log.abandon()
      throw error
    }
    try log.close()
  }

  private func newestManifest() throws -> Manifest {
    let blocks = try BlockStore(directory: directory.path, fileSystem: files)
    guard let manifest = try blocks.newestManifest()?.manifest else {
      throw StoreError(.corrupt, "there is no manifest", at: directory.path)
    }
    return manifest
  }

  /// Segments that are damaged and of which checkpoint and records hold everything are put aside,
  /// with those before them. False if a damaged one is needed.
  private mutating func setAsideWhatIsNotNeeded(_ survey: [SegmentSurvey]) throws -> Bool {
    let manifest = try newestManifest()
    guard let last = survey.lastIndex(where: { $0.problem != nil }),
      survey.indices.contains(last + 1), let records = openRecords(manifest)
    else { return false }
    let covered = min(manifest.lsn, records.appliedLSN)
    close(records)
    guard survey[last + 1].firstLSN <= covered + 1 else { return false }
    let doomed = survey[...last].map(\.path)
    try WriteAheadLog.setAside(doomed, fileSystem: files)
    do { try verifyLog() } catch let error as StoreError where error.kind == .corrupt {
      return false
    }
    report.repairs += survey[...last].compactMap { segment in
      segment.problem.map {
        "put aside: \($0.message) (\(segment.path)); the checkpoint at LSN \(manifest.lsn) holds "
          + "what was in it"
      }
    }
    return true
  }

  /// Which LSNs cannot be had here, and what still can.
  private func describe(_ error: StoreError, _ survey: [SegmentSurvey]) throws -> [String] {
    let manifest = try newestManifest()
    var lines: [String] = []
    for (index, segment) in survey.enumerated() {
      guard let problem = segment.problem else { continue }
      let end =
        survey.indices.contains(index + 1)
        ? "to \(survey[index + 1].firstLSN - 1)" : "on, to an end that is not known"
      lines.append(
        "the log: LSN \(segment.firstLSN) \(end) cannot be read: \(problem.message) "
          + "(\(problem.location))")
    }
    if lines.isEmpty { lines.append("the log: \(error.message) (\(error.location))") }
    var rest = "The checkpoint here is of LSN \(manifest.lsn)"
    if let source {
      let reach = try source.manifests().map(\.lsn).max() ?? 0
      let archived = try source.logPieces().map(\.lastLSN).max() ?? 0
      rest += "; the repository reaches LSN \(max(reach, archived))"
    }
    lines[lines.count - 1] += ". \(rest). Restore the newest state from a repository"
    return lines
  }

  /// Writes the records anew if every one of them can be read; what else is wrong shows in the
  /// proof.
  private mutating func repairRecordsFile() throws {
    do {
      let isRewritten = try RecordStore.rewriteIfDamaged(
        path: directory.records, fileSystem: files, databaseID: databaseID())
      guard isRewritten else { return }
      report.repairs.append(
        "rebuilt: the records' file with its key index, from its rows (\(directory.records))")
    } catch let error as StoreError where error.kind == .corrupt || error.kind == .notFound {
      return
    }
  }

  private func databaseID() throws -> UniqueID {
    try LogIdentity(decoding: newestManifest().epochs, at: "the newest manifest").databaseID
  }

  /// Opens the database and checks everything; with damaged records, once more after they were
  /// taken from the repository.
  private mutating func prove() throws {
    var problems = try check()
    if !problems.isEmpty, let source, try replaceRecords(from: source) { problems = try check() }
    report.missing += problems.map {
      "\($0). Restore the newest state from a repository"
    }
  }

  private mutating func check() throws -> [String] {
    do {
      let engine = try Opening.open(
        directory.path, fileSystem: files, configuration: configuration)
      defer { engine.shutDown() }
      let check = try engine.check(nil)
      report.check = check
      return check.problems
    } catch let error as StoreError
      where [.corrupt, .notFound, .poisoned].contains(error.kind)
    {
      return ["\(error.message) (\(error.location))"]
    }
  }

  private func lockDatabase() throws -> any FileLock {
    try BriefOwners.waiting {
      try files.lock(directory.lockFile, owner: "process \(getpid()), repairing")
    }
  }

  /// Puts the records of the newest restore point that the log joins in place of the damaged ones;
  /// opening then replays what came later. False if there is none.
  private mutating func replaceRecords(from source: StoredRepository) throws -> Bool {
    let lock = try lockDatabase()
    defer { lock.unlock() }
    guard let manifest = try joiningManifest(in: source), let array = manifest.records else {
      report.missing.append(
        "the records: the log here does not continue any restore point of \(source.location)")
      return false
    }
    let replacement = directory.records + ".repair"
    try files.removeTree(replacement)
    let transfer = BlockTransfer(threads: configuration.resolvedThreads)
    report.fetchedBytes += try transfer.fetchFile(
      array, from: source, to: replacement, fileSystem: files
    ).doneBytes
    // SQLite would apply a WAL that belongs to the other file.
    for suffix in ["-wal", "-shm", "-journal"] { try files.removeTree(directory.records + suffix) }
    try files.rename(replacement, to: directory.records)
    try files.syncDirectory(directory.path)
    report.repairs.append(
      "fetched: the records as of LSN \(manifest.lsn), and applied the log after it")
    return true
  }

  private func joiningManifest(in source: StoredRepository) throws -> Manifest? {
    let log = try WriteAheadLog.open(
      directory: directory.log, fileSystem: files, options: configuration.logOptions,
      coveredThrough: newestManifest().lsn)
    defer { log.abandon() }
    for entry in try source.manifests().reversed()
    where entry.lsn <= log.end.lsn && entry.lsn + 1 >= log.firstLSN {
      let manifest = try source.getManifest(entry)
      if try log.position(at: entry.lsn).chain == manifest.chain { return manifest }
    }
    return nil
  }
}
