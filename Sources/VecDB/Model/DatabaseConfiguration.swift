import Logging

/// How a database is opened.
public struct DatabaseConfiguration: Sendable {
  /// Create the database if there is none at the path; otherwise that is a `notFound` error.
  /// Default true.
  public var createIfMissing = true
  /// Threads that build the index; 0 means one per core. The result does not depend on it.
  public var buildThreads = 0
  /// A checkpoint is started when replaying the log since the last one would take about this long.
  /// Where writing one takes more than a quarter of that, four times as long as writing took, up to
  /// four times what is set: else a large import would mostly write checkpoints.
  /// Default 500 ms.
  public var checkpointReplayMilliseconds = 500
  /// A checkpoint is started when the log since the last one has this many bytes. Default 256 MiB.
  public var checkpointLogBytes = 256 << 20
  /// Write a checkpoint on `close`, so that opening has nothing to replay. Default true.
  public var checkpointOnClose = true
  /// Bytes of batches that may wait for the writer; beyond that, writes wait. Default 64 MiB.
  public var writeQueueBytes = 64 << 20
  /// How long a write waits for room in the queue before it fails with `overloaded`. Default 30 s.
  public var writeQueueTimeoutMilliseconds = 30_000
  /// Size at which the log goes on in a new segment. Default 64 MiB.
  public var logSegmentBytes = 64 << 20
  /// Listen on `control.sock` in the database's directory, so that `vecdb backup`, `checkpoint`,
  /// `stats` and `check` work while this process has the database open. Only the same user can
  /// connect. Default true.
  public var controlSocket = true
  /// Tells other processes that this one has the database for a moment only, so that they wait.
  package var isBrief = false
  /// Refuses every write.
  package var isReadOnly = false
  /// Bytes a second that a backup sends at most, so that searches and writes keep the disk; nil
  /// does not limit it. What the repository has already does not count. Default nil.
  public var backupBytesPerSecond: Int?
  /// Dead nodes of a collection's graph at which maintenance begins, if they are also
  /// `maintenanceShare` of all.
  package var maintenanceMinimum = 256
  package var maintenanceShare = 0.1
  /// How long closing goes on with maintenance that is due: for commands, each of which would
  /// otherwise leave it to the next.
  package var maintenanceOnClose = Duration.zero
  /// A repository to which the log is sent every few seconds. Default nil: only backups send it.
  public var archive: ArchiveOptions?
  /// Log that is kept at most for repositories that do not have it yet: those that were backed up to
  /// before, and that of ``archive``. Default 1 GiB.
  public var archiveLogBytes = 1 << 30
  /// Encrypts the repositories that this database is backed up to, and opens them. Default nil: they
  /// are not encrypted.
  public var repositoryKey: (any RepositoryKey)?
  /// Whether an index is rebuilt when that is worth it. Default `on`.
  public var rebuildPolicy = RebuildPolicy.on
  /// Whether rebuilds are worked on by threads of the database; otherwise `stepRebuilds` does it.
  package var rebuildsInBackground = true
  /// Bytes a second that the scrub in the background reads and compares with hashes and checksums;
  /// nil turns it off. It runs at the lowest priority. Default 16 MiB, some 2 % of a core.
  public var scrubBytesPerSecond: Int? = 16 << 20
  /// A pass of the scrub begins at least this long after the last one began. Default a day.
  public var scrubIntervalSeconds = 86_400
  /// Dead slots that a rebuild may cost, and its grace period, before they are ended; nil: see
  /// `RebuildBound`.
  package var rebuildDeadSlots: Int?
  /// How long whoever waits for a rebuild bears that it is held up.
  package var rebuildPatienceMilliseconds = 30_000
  /// Milliseconds since 1970; nil: the system's clock.
  package var clock: (@Sendable () -> Int64)?
  /// The place of this copy; nil: see `CopyPlace`.
  package var copyPlace: [UInt8]?
  public var logger = Logger(label: "vecdb")

  public init() {}
}
