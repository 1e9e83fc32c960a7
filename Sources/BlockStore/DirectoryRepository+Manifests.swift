import Bytes
import Files

extension DirectoryRepository {
  /// The longest piece of log that is read: 1 GiB.
  private static let logLimitBytes = 1 << 30

  private func path(_ entry: ManifestEntry) -> String {
    manifestsDirectory + "/" + fixedWidth(entry.epochCounter) + "/" + fixedWidth(entry.lsn)
  }

  private func path(_ piece: LogPiece) -> String {
    logDirectory + "/" + fixedWidth(piece.epochCounter) + "/" + fixedWidth(piece.firstLSN) + "-"
      + fixedWidth(piece.lastLSN)
  }

  private func publish(_ bytes: [UInt8], as path: String) throws {
    let folder = directoryName(path)
    if try !fileSystem.exists(folder) { try fileSystem.createDirectory(folder) }
    // Whoever made the directories may have died before their names were durable.
    try fileSystem.syncDirectory(directoryName(folder))
    try fileSystem.syncDirectory(location)
    try Self.publish(bytes, as: path, fileSystem: fileSystem)
  }

  /// The files of all epoch directories of a directory, with their epochs.
  private func names(in parent: String) throws -> [(epochCounter: UInt64, name: String)] {
    try fileSystem.list(parent).flatMap { folder in
      guard let epoch = parseFixedWidth(folder) else { return [(UInt64, String)]() }
      return try fileSystem.list(parent + "/" + folder).map { (epoch, $0) }
    }
  }

  package func putManifest(_ manifest: Manifest) throws {
    guard manifest.databaseID == databaseID else {
      throw StoreError(
        .invalidArgument, "the repository holds backups of another database", at: location,
        remedy: "Back this database up to a repository of its own.")
    }
    try synchronize()
    let entry = ManifestEntry(epochCounter: manifest.epochCounter, lsn: manifest.lsn)
    try publish(manifest.encode(), as: path(entry))
  }

  package func manifests() throws -> [ManifestEntry] {
    try names(in: manifestsDirectory).compactMap { epoch, name in
      parseFixedWidth(name).map { ManifestEntry(epochCounter: epoch, lsn: $0) }
    }.sorted()
  }

  package func getManifest(_ entry: ManifestEntry) throws -> Manifest {
    let path = path(entry)
    guard try fileSystem.exists(path) else {
      throw StoreError(
        .notFound, "the repository has no backup of LSN \(entry.lsn)", at: path,
        remedy: "`vecdb backups` lists what there is.")
    }
    let bytes = try fileSystem.readAll(path, maximumBytes: Manifest.sizeLimitBytes)
    let manifest = try Manifest(decoding: bytes, at: path, remedy: Remedy.repository)
    guard manifest.epochCounter == entry.epochCounter, manifest.lsn == entry.lsn,
      manifest.databaseID == databaseID
    else {
      throw StoreError(
        .corrupt,
        "the manifest is of epoch \(manifest.epochCounter), LSN \(manifest.lsn): misplaced",
        at: path, remedy: Remedy.repository)
    }
    return manifest
  }

  package func deleteManifest(_ entry: ManifestEntry) throws {
    try fileSystem.remove(path(entry))
    try fileSystem.syncDirectory(directoryName(path(entry)))
  }

  package func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws {
    guard piece.firstLSN <= piece.lastLSN, bytes.count <= Self.logLimitBytes else {
      throw StoreError(
        .invalidArgument,
        "\(bytes.count) bytes cannot be the log of \(piece.firstLSN) to "
          + "\(piece.lastLSN)", at: location)
    }
    let path = path(piece)
    guard try fileSystem.exists(path) else { return try publish(bytes, as: path) }
    guard try fileSystem.readAll(path, maximumBytes: Self.logLimitBytes) == bytes else {
      throw StoreError(
        .alreadyExists, "the repository has another log of the same epoch and range", at: path,
        remedy: Remedy.repository)
    }
    try fileSystem.syncDirectory(directoryName(path))
  }

  package func logPieces() throws -> [LogPiece] {
    try names(in: logDirectory).compactMap { epoch, name in
      let parts = name.split(separator: "-", omittingEmptySubsequences: false)
      guard parts.count == 2, let first = parseFixedWidth(parts[0]),
        let last = parseFixedWidth(parts[1]), first <= last
      else { return nil }
      return LogPiece(epochCounter: epoch, firstLSN: first, lastLSN: last)
    }.sorted()
  }

  package func getLog(_ piece: LogPiece) throws -> [UInt8] {
    let path = path(piece)
    guard try fileSystem.exists(path) else {
      throw StoreError(
        .notFound, "a piece of the log is missing from the repository", at: path,
        remedy: Remedy.repository)
    }
    return try fileSystem.readAll(path, maximumBytes: Self.logLimitBytes)
  }

  package func deleteLog(_ piece: LogPiece) throws {
    try fileSystem.remove(path(piece))
    try fileSystem.syncDirectory(directoryName(path(piece)))
  }

  package func claimEpoch(counter: UInt64, id: UInt128) throws {
    let path = epochsDirectory + "/" + fixedWidth(counter)
    let claim = EpochClaim(counter: counter, id: id)
    do { try publish(claim.encode(), as: path) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      let holder = try EpochClaim(
        decoding: try fileSystem.readAll(path, maximumBytes: 4096), at: path)
      guard holder == claim else {
        throw StoreError(
          .alreadyExists,
          "epoch \(counter) is already held by \(String(holder.id, radix: 16))", at: path,
          remedy: "Another node was promoted first; follow it, or promote to a higher epoch.")
      }
      try fileSystem.syncDirectory(epochsDirectory)
    }
  }

  package func claimedEpochs() throws -> [(counter: UInt64, id: UInt128)] {
    try fileSystem.list(epochsDirectory).compactMap { name in
      guard let counter = parseFixedWidth(name) else { return nil }
      let path = epochsDirectory + "/" + name
      let claim = try EpochClaim(
        decoding: try fileSystem.readAll(path, maximumBytes: 4096), at: path)
      guard claim.counter == counter else {
        throw StoreError(
          .corrupt, "the claim is of epoch \(claim.counter): misplaced", at: path,
          remedy: Remedy.repository)
      }
      return (counter, claim.id)
    }
  }
}
