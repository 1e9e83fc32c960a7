import VecDBBytes
import VecDBFiles

extension StoredRepository {
  /// The longest piece of log that is read: 1 GiB.
  private static let logLimitBytes = 1 << 30
  private static let manifestsFolder = "manifests"
  private static let logFolder = "log"
  private static let epochsFolder = "epochs"
  private static let claimLimitBytes = 16 << 20

  static func folder(ofLog epoch: UInt64) -> String { logFolder + "/" + fixedWidth(epoch) + "/" }

  private func name(_ entry: ManifestEntry) -> String {
    "\(Self.manifestsFolder)/\(fixedWidth(entry.epochCounter))/\(fixedWidth(entry.lsn))"
  }

  private func name(_ piece: LogPiece) -> String {
    "\(Self.logFolder)/\(fixedWidth(piece.epochCounter))/\(fixedWidth(piece.firstLSN))-"
      + fixedWidth(piece.lastLSN)
  }

  /// The objects of all epochs in a folder, with their epochs.
  private func names(in parent: String) throws -> [(epochCounter: UInt64, name: String)] {
    try store.names(in: parent).flatMap { folder in
      guard let epoch = parseFixedWidth(folder) else { return [(UInt64, String)]() }
      return try store.names(in: parent + "/" + folder).map { (epoch, $0) }
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
    try create(name(entry), manifest.encode())
  }

  package func manifests() throws -> [ManifestEntry] {
    try names(in: Self.manifestsFolder).compactMap { epoch, name in
      parseFixedWidth(name).map { ManifestEntry(epochCounter: epoch, lsn: $0) }
    }.sorted()
  }

  package func getManifest(_ entry: ManifestEntry) throws -> Manifest {
    let place = store.place(name(entry))
    guard try store.info(name(entry)) != nil else {
      throw StoreError(
        .notFound, "the repository has no backup of LSN \(entry.lsn)", at: place,
        remedy: "`vecdb backups` lists the restore points.")
    }
    let bytes = try get(name(entry), maximumBytes: Manifest.sizeLimitBytes)
    let manifest = try Manifest(decoding: bytes, at: place, remedy: Remedy.repository)
    guard manifest.epochCounter == entry.epochCounter, manifest.lsn == entry.lsn,
      manifest.databaseID == databaseID
    else {
      throw StoreError(
        .corrupt,
        "the manifest is of epoch \(manifest.epochCounter), LSN \(manifest.lsn): misplaced",
        at: place, remedy: Remedy.repository)
    }
    return manifest
  }

  @discardableResult
  package func deleteManifest(_ entry: ManifestEntry) throws -> Bool {
    try store.delete(name(entry), durably: true)
  }

  package func putLog(_ piece: LogPiece, _ bytes: [UInt8]) throws {
    guard piece.firstLSN <= piece.lastLSN, bytes.count <= Self.logLimitBytes else {
      throw StoreError(
        .invalidArgument,
        "\(bytes.count) bytes cannot be the log of \(piece.firstLSN) to "
          + "\(piece.lastLSN)", at: location)
    }
    do { try create(name(piece), bytes) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      guard try get(name(piece), maximumBytes: Self.logLimitBytes) == bytes else {
        throw StoreError(
          .alreadyExists, "the repository has another log of the same epoch and range",
          at: store.place(name(piece)), remedy: Remedy.repository)
      }
      try store.flush([directoryName(name(piece))])
    }
  }

  package func replaceLog(_ piece: LogPiece, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try replace(name(piece), $0) }
  }

  package func logPieces() throws -> [LogPiece] {
    try names(in: Self.logFolder).compactMap { epoch, name in
      let parts = name.split(separator: "-", omittingEmptySubsequences: false)
      guard parts.count == 2, let first = parseFixedWidth(parts[0]),
        let last = parseFixedWidth(parts[1]), first <= last
      else { return nil }
      return LogPiece(epochCounter: epoch, firstLSN: first, lastLSN: last)
    }.sorted()
  }

  package func getLog(_ piece: LogPiece) throws -> [UInt8] {
    guard try store.info(name(piece)) != nil else {
      throw StoreError(
        .notFound, "a piece of the log is missing from the repository",
        at: store.place(name(piece)), remedy: Remedy.repository)
    }
    return try get(name(piece), maximumBytes: Self.logLimitBytes)
  }

  /// What a piece takes in the repository; 0 if it is not there.
  package func logSizeBytes(_ piece: LogPiece) throws -> Int {
    try store.info(name(piece))?.sizeBytes ?? 0
  }

  @discardableResult
  package func deleteLog(_ piece: LogPiece) throws -> Bool {
    try store.delete(name(piece), durably: true)
  }

  package func claimEpoch(_ claim: EpochClaim) throws {
    let name = Self.epochsFolder + "/" + fixedWidth(claim.counter)
    do { try create(name, claim.encode()) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      let holder = try EpochClaim(
        decoding: try get(name, maximumBytes: Self.claimLimitBytes), at: store.place(name))
      guard holder.counter == claim.counter, holder.id == claim.id else {
        throw StoreError(
          .alreadyExists,
          "epoch \(claim.counter) is already held by \(String(holder.id, radix: 16))",
          at: store.place(name),
          remedy: "Another node was promoted first; follow it, or promote to a higher epoch.")
      }
      try store.flush([Self.epochsFolder])
    }
  }

  package func claimedEpochs() throws -> [EpochClaim] {
    try store.names(in: Self.epochsFolder).compactMap { text in
      guard let counter = parseFixedWidth(text) else { return nil }
      let name = Self.epochsFolder + "/" + text
      let claim = try EpochClaim(
        decoding: try get(name, maximumBytes: Self.claimLimitBytes), at: store.place(name))
      guard claim.counter == counter else {
        throw StoreError(
          .corrupt, "the claim is of epoch \(claim.counter): misplaced", at: store.place(name),
          remedy: Remedy.repository)
      }
      return claim
    }
  }
}
