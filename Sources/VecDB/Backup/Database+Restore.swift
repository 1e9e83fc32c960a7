import BlockStore
import Bytes
import Dispatch
import Files
import Foundation
import LogStore

extension Database {
  /// The restore points of a repository, oldest first, with how far the archived log after each
  /// reaches.
  public static func backups(in repository: String) throws -> [BackupInfo] {
    try VecDBError.translating {
      let source = try DirectoryRepository.open(repository, fileSystem: PosixFileSystem())
      let ranges = try source.logPieces()
      return try source.manifests().map { entry in
        let manifest = try source.getManifest(entry)
        return BackupInfo(
          epoch: entry.epochCounter, lsn: entry.lsn, timeMilliseconds: manifest.timeMilliseconds,
          records: manifest.collections.reduce(0) { $0 + Int($1.count) },
          totalBytes: manifest.namedArrays.reduce(0) { $0 + $1.array.lengthBytes },
          replayableThroughLSN: RestorePlan.contiguous(after: entry, ranges).last?.lastLSN
            ?? entry.lsn)
      }
    }
  }

  /// Restores a state into a new directory, proves it, and only then gives it its name.
  ///
  /// The copy is a database of its own, with a new id and an epoch that begins where the history
  /// was cut. If anything is missing, damaged or fails its proof, nothing is left at `path`.
  ///
  /// - Parameters:
  ///   - path: must not exist.
  ///   - verification: see ``RestoreVerification``; default full.
  /// - Throws: `notFound` naming what can be restored; `alreadyExists`; `corrupt` naming the block;
  ///   `verificationFailed`.
  public static func restore(
    from repository: String, to path: String, target: RestoreTarget = .latest,
    verification: RestoreVerification = .full, configuration: Configuration = Configuration(),
    progress: ProgressHandler? = nil
  ) async throws -> RestoreReport {
    try await restore(
      from: repository, to: path, target: target, verification: verification,
      configuration: configuration, fileSystem: PosixFileSystem(), progress: progress)
  }

  package static func restore(
    from repository: String, to path: String, target: RestoreTarget,
    verification: RestoreVerification, configuration: Configuration,
    fileSystem: any FileSystem, progress: ProgressHandler?
  ) async throws -> RestoreReport {
    try await onBackground {
      try VecDBError.translating {
        let source = try DirectoryRepository.open(repository, fileSystem: fileSystem)
        return try RestoreRun(
          repository: source, path: path, files: fileSystem, verification: verification,
          configuration: configuration, progress: progress
        ).run(target)
      }
    }
  }

  /// Reads every block and every piece of log of a repository and compares them with their hashes;
  /// with `full`, also restores the newest state into a temporary directory, proves it and removes
  /// it.
  ///
  /// Problems are in the report, not thrown.
  public static func verify(
    repository: String, verification: RestoreVerification = .full,
    progress: ProgressHandler? = nil
  ) async throws -> VerifyReport {
    try await verify(
      repository: repository, verification: verification, fileSystem: PosixFileSystem(),
      scratchDirectory: NSTemporaryDirectory(), progress: progress)
  }

  package static func verify(
    repository: String, verification: RestoreVerification, fileSystem files: any FileSystem,
    scratchDirectory: String, progress: ProgressHandler?
  ) async throws -> VerifyReport {
    try await onBackground {
      try VecDBError.translating {
        let source = try DirectoryRepository.open(repository, fileSystem: files)
        let run = RepositoryVerification(source, progress: progress)
        var report = try run.run()
        if verification == .full, report.problems.isEmpty, report.restorePoints > 0 {
          let path = scratchDirectory + "/vecdb-verify-\(getpid())-\(UUID().uuidString)"
          do {
            _ = try RestoreRun(
              repository: source, path: path, files: files, verification: .full,
              configuration: Configuration(), progress: progress
            ).run(.latest, keeping: false)
          } catch {
            report.problems.append(
              "the newest restore point does not restore: \(VecDBError(wrapping: error))")
          }
        }
        return report
      }
    }
  }
}
