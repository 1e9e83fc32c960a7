import FoundationEssentials

/// What a checkpoint wrote.
public struct CheckpointReport: Sendable, Hashable, Codable {
  public var lsn: UInt64
  public var blocksWritten: Int
  public var bytesWritten: Int
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
}

/// What a backup published.
public struct BackupReport: Sendable, Hashable, Codable {
  public var repository: String
  public var epoch: UInt64
  public var lsn: UInt64
  /// Blocks and bytes of the whole restore point.
  public var blocks: Int
  public var totalBytes: Int
  /// Data that the backup sent because the repository lacked it: blocks, lists, manifest and log,
  /// in the form in which the repository stores them.
  public var newBlocks: Int
  public var newBytes: Int
  /// Log frames archived by this backup.
  public var logFrames: Int
  /// Damaged blocks of the repository that the backup repaired; see ``BackupOptions/repair``.
  public var repairedBlocks: Int
  /// With ``BackupOptions/repair``: data of the repository that is still damaged or missing, as
  /// ``Database/verify(repository:verification:samples:key:progress:)`` names it. Nil without that
  /// option.
  public var remainingProblems: [String]?
  public var canary: CanaryReport?
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  /// Set if the repository had another history, so that the database began a new epoch.
  public var branch: BranchReport?
  /// What was asked of the object store; nil for a repository in a directory.
  public var requests: RepositoryRequests?
}

/// Recall measured with canary queries: deterministic perturbations of live records, searched
/// through the graph and exactly.
public struct CanaryReport: Sendable, Hashable, Codable {
  public struct Entry: Sendable, Hashable, Codable {
    public var collection: String
    public var queries: Int
    public var k: Int
    public var efSearch: Int
    /// Share of the exact answers that the graph search returned, counted by distance.
    public var recall: Double
  }
  public var collections: [Entry]
}

/// A restore point in a repository.
public struct BackupInfo: Sendable, Hashable, Codable {
  public var epoch: UInt64
  public var lsn: UInt64
  public var time: Date { Date(milliseconds: timeMilliseconds) }
  package var timeMilliseconds: Int64
  public var records: Int
  public var collections: [String]
  /// Bytes of the restore point's blocks.
  public var totalBytes: Int
  /// Bytes that its backup sent: blocks and log.
  public var newBytes: Int?
  /// The last LSN that the archived log after this restore point reaches without a gap.
  public var replayableThroughLSN: UInt64
  /// Bytes of that log.
  public var logBytes: Int
  /// LSNs after that which you cannot restore, because their log was not archived: up to the next
  /// restore point of the same history, or to the end of the log. Nil if there are none.
  public var gapFirstLSN: UInt64?
  public var gapLastLSN: UInt64?
}

/// A history in a repository that a newer one left behind, for example because the database was set
/// back to an older copy and went on from there.
public struct EndedHistory: Sendable, Hashable, Codable {
  /// The epoch that it ends in: ``RestoreOptions/epoch`` restores it.
  public var epoch: UInt64
  /// The last LSN that it shares with the newest history.
  public var afterLSN: UInt64
  /// The last LSN that the repository has of it.
  public var lastLSN: UInt64
}

/// A named point of a database's history.
public struct MarkInfo: Sendable, Hashable, Codable {
  public var name: String
  /// The state right after the batch with this LSN.
  public var lsn: UInt64
  public var time: Date { Date(milliseconds: timeMilliseconds) }
  package var timeMilliseconds: Int64

  package init(name: String, lsn: UInt64, timeMilliseconds: Int64) {
    self.name = name
    self.lsn = lsn
    self.timeMilliseconds = timeMilliseconds
  }
}

/// Which state to restore.
public enum RestoreTarget: Sendable, Hashable {
  /// The newest state in the repository.
  case latest
  /// The state right after the batch with this LSN.
  case lsn(UInt64)
  /// The state after the last batch at or before this time, to the millisecond. A time in the future
  /// is `notFound`.
  case time(Date)
  /// The state right after you set the mark of that name; see ``Database/mark(_:)``.
  case mark(String)

  /// Of milliseconds since 1970.
  package static func time(milliseconds: Int64) -> RestoreTarget {
    .time(Date(milliseconds: milliseconds))
  }
}

/// How a restore proves the copy before the copy goes live.
public enum RestoreVerification: String, Sendable, Codable, CaseIterable {
  /// Hashes of all blocks, chain of the log, data digest, structure of the graph, reachability of
  /// every record.
  case quick
  /// As quick, and also every record against its own hash, the graph digest and canary recall.
  case full
}

/// What a restore did and proved.
public struct RestoreReport: Sendable, Hashable, Codable {
  public var path: String
  public var lsn: UInt64
  /// The LSN of the restore point; the restore replayed `lsn - manifestLSN` batches.
  public var manifestLSN: UInt64
  public var epoch: UInt64
  public var databaseID: String
  public var dataDigest: String
  public var records: Int
  /// Bytes of the blocks that make up the restore point.
  public var bytesCopied: Int
  /// Bytes of blocks and log that came from the repository; the rest came from an older copy.
  public var bytesFetched: Int
  public var canary: CanaryReport?
  /// The canary recall stored with the backup, to compare.
  public var backupCanary: CanaryReport?
  /// Problems that no digest shows: indexes whose recall is below ``CollectionHealth/floor``, as it
  /// was in the original. Empty if there are none.
  public var findings: [String] { canary?.findings ?? [] }
  public var copyTime: Duration { Duration(inSeconds: copySeconds) }
  package var copySeconds: Double
  public var verifyTime: Duration { Duration(inSeconds: verifySeconds) }
  package var verifySeconds: Double
  public var totalTime: Duration { Duration(inSeconds: totalSeconds) }
  package var totalSeconds: Double
  /// Later batches of this history in the repository that the copy lacks, because of the target.
  public var omittedBatches: UInt64
  /// The time of the first of them.
  public var omittedFrom: Date? { omittedFromMilliseconds.map { Date(milliseconds: $0) } }
  package var omittedFromMilliseconds: Int64?
  /// In a restore by time: omitted batches, as far as the restore read them, that are not later
  /// than the requested time. They follow a batch that is later, because the clock was wrong when
  /// it was written.
  public var omittedNotLater: UInt64
  /// In a restore by time: the newest moment in the repository, if the requested time is later. The
  /// copy lacks writes after that moment, because they were never backed up.
  public var newest: Date? { newestMilliseconds.map { Date(milliseconds: $0) } }
  package var newestMilliseconds: Int64?
  /// What was asked of the object store; nil for a repository in a directory.
  public var requests: RepositoryRequests?
}

/// What a verification of a repository found.
public struct VerifyReport: Sendable, Hashable, Codable {
  public var restorePoints: Int
  /// LSNs of the restore points that need damaged or missing data.
  public var damagedRestorePoints: [UInt64]
  public var blocks: Int
  public var bytes: Int
  public var logFrames: Int
  /// LSNs of the trial restores, chosen at random.
  public var sampledLSNs: [UInt64]
  /// Damaged or missing data, and the restore points that need it. Empty if there is none.
  public var problems: [String]
  /// States that restore with every digest right, but with an index whose recall is below
  /// ``CollectionHealth/floor``.
  public var findings: [String] = []
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  /// What was asked of the object store; nil for a repository in a directory.
  public var requests: RepositoryRequests?
}

/// The findings of a check.
public struct CheckReport: Sendable, Hashable, Codable {
  public var lsn: UInt64
  public var blocks: Int
  public var records: Int
  public var logFrames: Int
  /// What is damaged. Empty if there is no damage.
  public var problems: [String]
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
}
