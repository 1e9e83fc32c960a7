import Dispatch
import VecDBBlockStore
import VecDBLogStore
import VecDBThreads

/// Reads all of a repository once and names what is damaged or missing, with the restore points
/// that it touches.
final class RepositoryVerification {
  private let repository: StoredRepository
  private let progress: ProgressReporter
  private let cancellation: Cancellation
  private var report = VerifyReport(
    restorePoints: 0, damagedRestorePoints: [], blocks: 0, bytes: 0, logFrames: 0, sampledLSNs: [],
    problems: [], seconds: 0)

  init(
    _ repository: StoredRepository, progress: ProgressHandler?, cancellation: Cancellation
  ) {
    self.cancellation = cancellation
    self.repository = repository
    self.progress = ProgressReporter(progress)
  }

  func run() throws -> VerifyReport {
    let started = DispatchTime.now()
    progress.begin("verifying blocks")
    let found = try RepositoryVerifier(repository).verify { [cancellation] done in
      try cancellation.check()
      progress.set(doneBytes: done.doneBytes, totalBytes: done.totalBytes)
    }
    report.restorePoints = found.soundManifests.count + found.damagedManifests.count
    report.damagedRestorePoints = found.damagedManifests.map(\.lsn)
    report.blocks = found.checkedBlocks
    report.bytes = found.checkedBytes
    report.problems = found.damage.map(\.error.description)
    try verifyLog(found.soundManifests)
    try cancellation.check()
    verifyEpochs(found.soundManifests)
    verifyPresence()
    report.requests = repository.requests.map { RepositoryRequests($0) }
    report.seconds =
      started.elapsedSeconds
    return report
  }

  /// Every claim of an epoch can be read, and every epoch with a restore point is claimed: without
  /// its claim a second node could write to the same epoch.
  private func verifyEpochs(_ entries: [ManifestEntry]) {
    do {
      let claimed = Set(try repository.claimedEpochs().map(\.counter))
      for counter in Set(entries.map(\.epochCounter)).subtracting(claimed).sorted() {
        report.problems.append(
          "epoch \(counter) has restore points but no claim (\(repository.location)/epochs)")
      }
    } catch { report.problems.append("\(VecDBError(wrapping: error))") }
  }

  /// What was published and not pruned is there: of a file that is gone nothing else tells.
  private func verifyPresence() {
    do {
      for (epoch, folder) in try repository.missing().folders.sorted(by: { $0.key < $1.key }) {
        for points in folder.points.ranges {
          for lsn in points {
            report.problems.append(
              "restore point LSN \(lsn) of epoch \(epoch) is missing (\(repository.location))")
            report.damagedRestorePoints.append(lsn)
          }
        }
        for log in folder.log.ranges {
          report.problems.append(
            "the log of LSN \(log.lowerBound) to \(log.upperBound - 1), epoch \(epoch), is missing "
              + "(\(repository.location))")
        }
      }
    } catch { report.problems.append("\(VecDBError(wrapping: error))") }
  }

  /// Every piece decodes, and follows the piece or the restore point before it.
  private func verifyLog(_ entries: [ManifestEntry]) throws {
    progress.begin("verifying the log")
    do {
      var previous: (epoch: UInt64, position: LogPosition)?
      let pieces = try repository.logPieces()
      let ahead = LogReadAhead(pieces, in: repository)
      for range in pieces {
        try cancellation.check()
        do {
          let log = try ahead.next()
          if let before = previous, before.epoch == range.epochCounter,
            before.position.lsn == log.start.lsn, before.position != log.start
          {
            report.problems.append(
              "\(ArchivedLog.place(range, repository)) does not follow the piece before it")
          }
          report.logFrames += log.frames.count
          report.bytes += log.frames.reduce(0) { $0 + $1.payload.count }
          if let last = log.frames.last { previous = (range.epochCounter, last.position) }
          try verifyChain(of: log.frames, range, entries)
        } catch {
          report.problems.append(
            "log \(range.firstLSN)-\(range.lastLSN): \(VecDBError(wrapping: error))")
        }
      }
    } catch let error as CancellationError {
      throw error
    } catch { report.problems.append("\(VecDBError(wrapping: error))") }
  }

  /// Restore points inside a piece must agree with its chain.
  private func verifyChain(
    of frames: [LogFrame], _ range: LogPiece, _ entries: [ManifestEntry]
  ) throws {
    for entry in entries where entry.epochCounter == range.epochCounter {
      guard let frame = frames.first(where: { $0.lsn == entry.lsn }) else { continue }
      if try repository.getManifest(entry).chain != frame.chain {
        report.problems.append("restore point LSN \(entry.lsn) disagrees with the log's chain")
      }
    }
  }
}
