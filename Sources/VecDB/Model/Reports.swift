/// What a checkpoint wrote.
public struct CheckpointReport: Sendable, Hashable, Codable {
  public var lsn: UInt64
  public var blocksWritten: Int
  public var bytesWritten: Int
  public var seconds: Double
}

/// What a backup published.
public struct BackupReport: Sendable, Hashable, Codable {
  public var repository: String
  public var epoch: UInt64
  public var lsn: UInt64
  /// Blocks and bytes of the whole restore point.
  public var blocks: Int
  public var totalBytes: Int
  /// What had to be sent, since the repository did not have it: blocks, lists, manifest and log, in
  /// the form in which the repository keeps them.
  public var newBlocks: Int
  public var newBytes: Int
  /// Log frames archived by this backup.
  public var logFrames: Int
  /// Blocks that were damaged in the repository and are good again; see ``BackupOptions/repair``.
  public var repairedBlocks: Int
  /// With ``BackupOptions/repair``: what is damaged or missing in the repository all the same, as
  /// ``Database/verify(repository:verification:samples:key:progress:)`` names it. Nil without.
  public var remainingProblems: [String]?
  public var canary: CanaryReport?
  public var seconds: Double
  /// Set where the repository had another history, so that the database began an epoch of its own.
  public var branch: BranchReport?
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
  public var timeMilliseconds: Int64
  public var records: Int
  public var collections: [String]
  /// Bytes of the restore point's blocks.
  public var totalBytes: Int
  /// What its backup had to send: blocks and log.
  public var newBytes: Int?
  /// The last LSN to which the archived log after this restore point reaches without a gap.
  public var replayableThroughLSN: UInt64
  /// Bytes of that log.
  public var logBytes: Int
  /// LSNs behind that which cannot be restored, since their log was not archived; nil if there are
  /// none.
  public var gapFirstLSN: UInt64?
  public var gapLastLSN: UInt64?
}

/// A named point of a database's history.
public struct MarkInfo: Sendable, Hashable, Codable {
  public var name: String
  /// The state right after the batch with this LSN.
  public var lsn: UInt64
  public var timeMilliseconds: Int64

  public init(name: String, lsn: UInt64, timeMilliseconds: Int64) {
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
  /// The state after the last batch at or before this time, in milliseconds since 1970. A time in
  /// the future is `notFound`.
  case time(milliseconds: Int64)
  /// The state right after the mark of that name was set; see ``Database/mark(_:)``.
  case mark(String)
}

/// How a restored copy is proven before it goes live.
public enum RestoreVerification: String, Sendable, Codable, CaseIterable {
  /// Hashes of all blocks, chain of the log, data digest, structure of the graph, reachability of
  /// every record.
  case quick
  /// As quick, and every record against its own hash, the graph digest and canary recall.
  case full
}

/// What a restore did and what was proven.
public struct RestoreReport: Sendable, Hashable, Codable {
  public var path: String
  public var lsn: UInt64
  /// The restore point that was used; `lsn - manifestLSN` batches were replayed.
  public var manifestLSN: UInt64
  public var epoch: UInt64
  public var databaseID: String
  public var dataDigest: String
  public var records: Int
  /// Bytes of the blocks that make up the restore point.
  public var bytesCopied: Int
  /// Of these and of the log, what came from the repository; the rest from an older copy.
  public var bytesFetched: Int
  public var canary: CanaryReport?
  /// The canary recall stored with the backup, to compare.
  public var backupCanary: CanaryReport?
  /// What is right by every digest and yet not good: indexes whose recall is below
  /// ``CollectionHealth/floor``, as they were in the original. Empty if all is well.
  public var findings: [String] { canary?.findings ?? [] }
  public var copySeconds: Double
  public var verifySeconds: Double
  public var totalSeconds: Double
  /// Later batches of this history that the repository has and the copy lacks, because of the
  /// target.
  public var omittedBatches: UInt64
  /// The time of the first of them.
  public var omittedFromMilliseconds: Int64?
  /// Of a restore by time: omitted batches, as far as they were read, that are not later than the
  /// time asked for. They follow one that is, written while the clock was wrong.
  public var omittedNotLater: UInt64
  /// Of a restore by time: set where that is later than all that the repository knows of, namely
  /// its newest moment. What was written after that, and was never backed up, is not in the copy.
  public var newestMilliseconds: Int64?
}

/// A restore point that was verified.
public struct VerifyReport: Sendable, Hashable, Codable {
  public var restorePoints: Int
  /// LSNs of those that something is damaged or missing of.
  public var damagedRestorePoints: [UInt64]
  public var blocks: Int
  public var bytes: Int
  public var logFrames: Int
  /// States that were restored on trial, chosen at random.
  public var sampledLSNs: [UInt64]
  /// Empty if all is well: what is damaged or missing, and what it touches.
  public var problems: [String]
  /// States that restore with every digest right, and with an index whose recall is below
  /// ``CollectionHealth/floor``.
  public var findings: [String] = []
  public var seconds: Double
}

/// The findings of a check.
public struct CheckReport: Sendable, Hashable, Codable {
  public var lsn: UInt64
  public var blocks: Int
  public var records: Int
  public var logFrames: Int
  /// Empty if all is well.
  public var problems: [String]
  public var seconds: Double
}
