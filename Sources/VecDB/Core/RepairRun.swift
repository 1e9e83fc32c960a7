import BlockStore
import Bytes
import Dispatch
import Files
import Foundation
import LogStore

/// One repair of a database that nobody has open: blocks first, so that it can be opened, then the
/// records, then a check of everything.
struct RepairRun {
  let directory: DatabaseDirectory
  let files: any FileSystem
  let configuration: Configuration
  let source: StoredRepository?
  private var report = RepairReport(
    repairs: [], missing: [], fetchedBlocks: 0, fetchedBytes: 0, check: nil, seconds: 0)

  init(
    path: String, files: any FileSystem, configuration: Configuration,
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
    let lock = try files.lock(directory.lockFile, owner: "process \(getpid()), repairing")
    do {
      if try repairBlocks(), try requireLog() { try repairKeyIndex() }
    } catch {
      lock.unlock()
      throw error
    }
    lock.unlock()
    if report.missing.isEmpty { try prove() }
    report.seconds = Double(DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds) / 1e9
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
    let result = try blocks.repair { hash in
      do { return try source?.getBlock(hash) } catch let error as StoreError
        where error.kind == .notFound || error.kind == .corrupt
      {
        return nil
      }
    }
    report.fetchedBlocks = result.fetchedBlocks
    report.fetchedBytes = result.fetchedBytes
    guard result.missing.isEmpty else {
      report.missing = result.missing.map { "\($0.message) (\($0.location)). \(whereFrom)" }
      return false
    }
    report.repairs += result.damage.map { "rewritten: \($0.message) (\($0.location))" }
    return true
  }

  private var whereFrom: String {
    source == nil
      ? "Name a repository that has it, with --from"
      : "The repository does not have it either; restore the newest state from there"
  }

  /// The log is primary data: it can be read whole, or the database must be restored.
  private mutating func requireLog() throws -> Bool {
    do {
      let log = try WriteAheadLog.open(
        directory: directory.log, fileSystem: files, options: configuration.logOptions)
      defer { try? log.close() }
      try log.verify()
      return true
    } catch let error as StoreError where error.kind == .corrupt || error.kind == .notFound {
      report.missing.append(
        "the log: \(error.message) (\(error.location)). Restore the newest state from a repository")
      return false
    }
  }

  /// Builds the key index anew if that is all that is wrong with the records; what else is wrong
  /// shows in the proof.
  private mutating func repairKeyIndex() throws {
    do {
      let records = try RecordStore.open(
        path: directory.records, fileSystem: files, databaseID: databaseID())
      defer { try? records.close() }
      guard try !records.quickCheck(isThorough: true).isEmpty else { return }
      try records.rebuildKeyIndex()
      guard try records.quickCheck(isThorough: true).isEmpty else { return }
      report.repairs.append("rebuilt: the key index of the records (\(directory.records))")
    } catch let error as StoreError where error.kind == .corrupt || error.kind == .notFound {
      return
    }
  }

  private func databaseID() throws -> UniqueID {
    let blocks = try BlockStore(directory: directory.path, fileSystem: files)
    guard let manifest = try blocks.newestManifest()?.manifest else {
      throw StoreError(.corrupt, "there is no manifest", at: directory.path)
    }
    return try LogIdentity(decoding: manifest.epochs, at: "the newest manifest").databaseID
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

  /// Puts the records of the newest restore point that the log joins in place of the damaged ones;
  /// opening then replays what came later. False if there is none.
  private mutating func replaceRecords(from source: StoredRepository) throws -> Bool {
    let lock = try files.lock(directory.lockFile, owner: "process \(getpid()), repairing")
    defer { lock.unlock() }
    guard let manifest = try joiningManifest(in: source), let array = manifest.records else {
      report.missing.append(
        "the records: no restore point of \(source.location) is joined by the log here")
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
      "fetched: the records as of LSN \(manifest.lsn); the log after it was applied")
    return true
  }

  private func joiningManifest(in source: StoredRepository) throws -> Manifest? {
    let log = try WriteAheadLog.open(
      directory: directory.log, fileSystem: files, options: configuration.logOptions)
    defer { try? log.close() }
    for entry in try source.manifests().reversed()
    where entry.lsn <= log.end.lsn && entry.lsn + 1 >= log.firstLSN {
      let manifest = try source.getManifest(entry)
      if try log.position(at: entry.lsn).chain == manifest.chain { return manifest }
    }
    return nil
  }
}
