import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

extension Database {
  /// The restore points of a repository, oldest first: sizes, times, how far the archived log after
  /// each reaches, and where log is missing.
  ///
  /// - Parameter key: of an encrypted repository.
  public static func backups(
    in repository: String, key: (any RepositoryKey)? = nil
  ) throws -> [BackupInfo] {
    try VecDBError.translating {
      let source = try openSource(repository, key: key)
      let history = try RepositoryHistory(source)
      return try history.entries.map { entry in
        let manifest = try source.getManifest(entry)
        let log = history.log(after: entry)
        let gap = history.gap(after: entry)
        return BackupInfo(
          epoch: entry.epochCounter, lsn: entry.lsn, timeMilliseconds: manifest.timeMilliseconds,
          records: manifest.collections.reduce(0) { $0 + Int($1.count) },
          collections: manifest.collections.map(\.name),
          totalBytes: manifest.namedArrays.reduce(0) { $0 + $1.array.lengthBytes },
          newBytes: try BackupAnnotation(in: manifest)?.newBytes,
          replayableThroughLSN: log.last?.lastLSN ?? entry.lsn,
          logBytes: try log.reduce(0) { try $0 + source.logSizeBytes($1.piece) },
          gapFirstLSN: gap?.lowerBound, gapLastLSN: gap?.upperBound)
      }
    }
  }

  /// The histories that the newest one of a repository left behind, oldest first; empty if there is
  /// but one.
  ///
  /// - Parameter key: of an encrypted repository.
  public static func endedHistories(
    in repository: String, key: (any RepositoryKey)? = nil
  ) throws -> [EndedHistory] {
    try VecDBError.translating {
      let source = try openSource(repository, key: key)
      return try RepositoryHistory(source).ended(in: source)
    }
  }

  static func openSource(
    _ path: String, key: (any RepositoryKey)?, fileSystem: any FileSystem = PosixFileSystem()
  ) throws -> StoredRepository {
    try StoredRepository.open(
      RepositoryPlace(path, fileSystem: fileSystem), encryption: RepositoryEncryption(key))
  }

  /// Restores a state into a new directory, proves it, and only then gives it its name.
  ///
  /// The copy is a database of its own, with a new id and an epoch that begins where the history
  /// was cut. If anything is missing, damaged or fails its proof, nothing is changed at `path`, and
  /// the error names what can be restored instead.
  ///
  /// - Parameters:
  ///   - path: must not exist, unless the options say that it is replaced.
  ///   - configuration: of the copy while it is made; its ``DatabaseConfiguration/repositoryKey`` opens an
  ///     encrypted repository.
  /// - Throws: `notFound` naming what can be restored; `alreadyExists`; `locked`; `corrupt` naming
  ///   the block; `verificationFailed`; `invalidArgument` for a wrong or missing key.
  public static func restore(
    from repository: String, to path: String, target: RestoreTarget = .latest,
    options: RestoreOptions, configuration: DatabaseConfiguration = DatabaseConfiguration(),
    progress: ProgressHandler? = nil
  ) async throws -> RestoreReport {
    try await VecDBError.translating {
      try await restore(
        from: repository, to: path, target: target, options: options, configuration: configuration,
        fileSystem: PosixFileSystem(), progress: progress)
    }
  }

  /// As above, with a stated verification and nothing else out of the ordinary.
  public static func restore(
    from repository: String, to path: String, target: RestoreTarget = .latest,
    verification: RestoreVerification = .full,
    configuration: DatabaseConfiguration = DatabaseConfiguration(),
    progress: ProgressHandler? = nil
  ) async throws -> RestoreReport {
    try await VecDBError.translating {
      var options = RestoreOptions()
      options.verification = verification
      return try await restore(
        from: repository, to: path, target: target, options: options, configuration: configuration,
        progress: progress)
    }
  }

  package static func restore(
    from repository: String, to path: String, target: RestoreTarget,
    verification: RestoreVerification, configuration: DatabaseConfiguration,
    fileSystem: any FileSystem, progress: ProgressHandler?
  ) async throws -> RestoreReport {
    var options = RestoreOptions()
    options.verification = verification
    return try await restore(
      from: repository, to: path, target: target, options: options, configuration: configuration,
      fileSystem: fileSystem, progress: progress)
  }

  package static func restore(
    from repository: String, to path: String, target: RestoreTarget, options: RestoreOptions,
    configuration: DatabaseConfiguration, fileSystem: any FileSystem, progress: ProgressHandler?
  ) async throws -> RestoreReport {
    try await DatabaseTracing(configuration, path: path).trace("restore") { span in
      let report = try await onCancellableBackground { cancellation in
        try VecDBError.translating {
          let source = try openSource(
            repository, key: options.key ?? configuration.repositoryKey, fileSystem: fileSystem)
          var report = try RestoreRun(
            repository: source, path: path, files: fileSystem, options: options,
            configuration: configuration, progress: progress, cancellation: cancellation
          ).run(target)
          report.requests = source.requests.map { RepositoryRequests($0) }
          return report
        }
      }
      span?.note("vecdb.lsn", Int64(clamping: report.lsn))
      return report
    }
  }

  /// Puts a collection of a repository into this database under another name, while it serves.
  ///
  /// The collection is restored and proven beside the database first, then written like any other
  /// data, so that it is in the log and in later backups, and then compared with the original by
  /// digest. If anything fails, nothing of it is left.
  ///
  /// - Parameters:
  ///   - name: of the collection in the target state.
  ///   - newName: must not be taken.
  /// - Throws: `alreadyExists`, `notFound`, `verificationFailed`, and what
  ///   ``restore(from:to:target:options:configuration:progress:)`` throws. Cost: a restore, and an
  ///   insertion of all its records.
  public func restoreCollection(
    _ name: String, as newName: String, from repository: String, target: RestoreTarget = .latest,
    key: (any RepositoryKey)? = nil, progress: ProgressHandler? = nil
  ) async throws -> CollectionInfo {
    try await VecDBError.translating {
      try requireOpen()
      guard catalog.find(newName) == nil else {
        throw VecDBError(
          .alreadyExists, "there is already a collection of that name", at: newName,
          remedy: "Choose another name, or drop it first.")
      }
      let files = engine.fileSystem
      let staging = try await onBackground { [path, engine] in
        try VecDBError.translating {
          try StagingDirectory(for: path, .collection, files, engine.configuration.logger)
        }
      }
      let place = staging.path + "/copy"
      var options = RestoreOptions()
      options.collections = [name]
      options.key = key ?? engine.configuration.repositoryKey
      do {
        _ = try await Self.restore(
          from: repository, to: place, target: target, options: options,
          configuration: engine.configuration.alike, fileSystem: files, progress: progress)
        let copied = try await copyCollection(name, of: place, as: newName, progress)
        staging.discard()
        return copied
      } catch {
        staging.discard()
        throw error
      }
    }
  }

  private func copyCollection(
    _ name: String, of path: String, as newName: String, _ handler: ProgressHandler?
  ) async throws -> CollectionInfo {
    var configuration = engine.configuration.alike
    configuration.controlSocket = false
    configuration.createIfMissing = false
    configuration.checkpointOnClose = false
    let copy = try Database.open(
      at: path, fileSystem: engine.fileSystem, configuration: configuration)
    do {
      let source = try copy.collection(name)
      let definition = source.runtime.definition
      // Under a name that nobody sees: after a crash there is nothing, or all of it.
      let target = try await stage(definition, as: newName)
      do {
        try await fill(target, from: source, ProgressReporter(handler))
        guard target.runtime.index.dataDigest.sum == source.runtime.index.dataDigest.sum else {
          throw VecDBError(
            .verificationFailed, "the copied collection differs from the one in the repository",
            at: newName, remedy: "vecdb kept nothing of the copy. Run `vecdb verify REPO`.")
        }
        try await adopt(target.runtime, as: newName)
      } catch {
        try await discard(target)
        throw error
      }
      restoring.withLock { _ = $0.remove(target.name) }
      try await copy.close()
      return CollectionInfo(
        name: newName, dimensions: definition.dimensions, metric: definition.metric,
        index: definition.options, count: target.count)
    } catch {
      try await copy.close()
      throw error
    }
  }

  private func fill(
    _ target: VectorCollection, from source: VectorCollection, _ progress: ProgressReporter
  ) async throws {
    let recordBytes = source.runtime.definition.dimensions * 4
    progress.begin("inserting records", totalBytes: source.count * recordBytes)
    let page = max(1, min(1_000, (4 << 20) / recordBytes))
    var cursor: String?
    repeat {
      let records = try source.scroll(after: cursor, limit: page, includeVectors: true)
      if !records.records.isEmpty { _ = try await target.upsert(records.records) }
      progress.advance(records.records.count * recordBytes)
      cursor = records.next
    } while cursor != nil
  }

  /// Reads every block and every piece of log of a repository and compares them with their hashes;
  /// with `full`, also restores the newest state into a temporary directory, proves it and removes
  /// it.
  ///
  /// Problems are in the report, not thrown.
  ///
  /// - Parameters:
  ///   - samples: so many LSNs, chosen at random among all that can be restored, are restored,
  ///     proven and removed too.
  ///   - key: of an encrypted repository.
  public static func verify(
    repository: String, verification: RestoreVerification = .full, samples: Int = 0,
    key: (any RepositoryKey)? = nil, progress: ProgressHandler? = nil
  ) async throws -> VerifyReport {
    try await VecDBError.translating {
      try await verify(
        repository: repository, verification: verification, samples: samples, key: key,
        fileSystem: PosixFileSystem(),
        scratchDirectory: FileManager.default.temporaryDirectory.path,
        progress: progress)
    }
  }

  package static func verify(
    repository: String, verification: RestoreVerification, samples: Int = 0,
    key: (any RepositoryKey)? = nil, fileSystem files: any FileSystem, scratchDirectory: String,
    progress: ProgressHandler?
  ) async throws -> VerifyReport {
    // Made here, where the caller's logger is known.
    let configuration = DatabaseConfiguration()
    return try await onCancellableBackground { cancellation in
      try VecDBError.translating {
        RestoreTrials.sweep(scratchDirectory, files, configuration.logger)
        let source = try openSource(repository, key: key, fileSystem: files)
        let run = RepositoryVerification(source, progress: progress, cancellation: cancellation)
        var report = try run.run()
        let trials = RestoreTrials(
          source, files: files, scratchDirectory: scratchDirectory, configuration: configuration,
          progress: progress, cancellation: cancellation)
        if verification == .full, report.problems.isEmpty, report.restorePoints > 0 {
          try trials.restore(.latest, "the newest restore point", &report)
        }
        if samples > 0 { try trials.sample(samples, &report) }
        report.requests = source.requests.map { RepositoryRequests($0) }
        return report
      }
    }
  }
}
