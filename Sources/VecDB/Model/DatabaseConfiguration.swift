import Logging
import Metrics
import Tracing

/// Options for opening a database.
public struct DatabaseConfiguration: Sendable {
  /// Create the database if it is missing. If false, opening a missing database throws `notFound`.
  /// Default true.
  public var createIfMissing = true
  /// Threads that build the index; 0 means one per core. The number does not change the index.
  public var buildThreads = 0
  /// vecdb starts a checkpoint when a replay of the log since the last one would take about this
  /// long. If writing a checkpoint takes more than a quarter of this time, the limit is four times
  /// the writing time, but at most four times this value: otherwise a large import would mostly
  /// write checkpoints. Default 500 ms.
  public var checkpointReplay: Duration {
    get { .milliseconds(checkpointReplayMilliseconds) }
    set { checkpointReplayMilliseconds = newValue.wholeMilliseconds }
  }
  package var checkpointReplayMilliseconds = 500
  /// vecdb starts a checkpoint when the log since the last one has this many bytes. Default 256
  /// MiB.
  public var checkpointLogBytes = 256 << 20
  /// Write a checkpoint on `close`, so that the next opening replays no log. Default true.
  public var checkpointOnClose = true
  /// Bytes of batches in the queue of the writer; when it is full, further writes wait for room.
  /// Default 64 MiB.
  public var writeQueueBytes = 64 << 20
  /// How long a write waits for room in the queue before it fails with `overloaded`. Default 30 s.
  public var writeQueueTimeout: Duration {
    get { .milliseconds(writeQueueTimeoutMilliseconds) }
    set { writeQueueTimeoutMilliseconds = newValue.wholeMilliseconds }
  }
  package var writeQueueTimeoutMilliseconds = 30_000
  /// Size at which the log begins a new segment. Default 64 MiB.
  public var logSegmentBytes = 64 << 20
  /// Listen on `control.sock` in the database's directory, so that `vecdb backup`, `checkpoint`,
  /// `stats` and `check` work while this process has the database open. Only the same user can
  /// connect. Default true.
  public var controlSocket = true
  /// Tells other processes that this one has the database open only briefly, so that they wait.
  package var isBrief = false
  /// Refuses every write.
  package var isReadOnly = false
  /// Maximum bytes a second that a backup sends, so that searches and writes keep the disk; nil
  /// means no limit. Data that the repository already has does not count. Default nil.
  public var backupBytesPerSecond: Int?
  /// Dead nodes of a collection's graph at which maintenance begins, if they are also
  /// `maintenanceShare` of all.
  package var maintenanceMinimum = 256
  package var maintenanceShare = 0.1
  /// How long closing continues due maintenance. Short commands need this, because each would
  /// otherwise leave maintenance to the next one.
  package var maintenanceOnClose = Duration.zero
  /// A repository to which vecdb sends the log every few seconds. Default nil: only backups send
  /// it.
  public var archive: ArchiveOptions?
  /// Maximum bytes of log that vecdb keeps for repositories that lack it: those of earlier backups,
  /// and that of ``archive``. Default 1 GiB.
  public var archiveLogBytes = 1 << 30
  /// The key that encrypts and opens the repositories of this database. Default nil: they are not
  /// encrypted.
  public var repositoryKey: (any RepositoryKey)?
  /// Whether vecdb rebuilds an index when that is worth it. Default `on`.
  public var rebuildPolicy = RebuildPolicy.on
  /// Whether threads of the database work on rebuilds; otherwise `stepRebuilds` does.
  package var rebuildsInBackground = true
  /// Bytes a second that the background scrub reads and compares with hashes and checksums; nil
  /// turns the scrub off. It runs at the lowest priority. Default 16 MiB, about 2 % of a core.
  public var scrubBytesPerSecond: Int? = 16 << 20
  /// A pass of the scrub begins at least this long after the last one began. Default a day.
  public var scrubInterval: Duration {
    get { .seconds(scrubIntervalSeconds) }
    set { scrubIntervalSeconds = newValue.wholeSeconds }
  }
  package var scrubIntervalSeconds = 86_400
  /// Whether this process deletes records whose ``VectorRecord/expires`` has come. Default true. With
  /// false they stay: to look at a restored copy as it was, for example.
  public var removesExpired = true
  /// Numbers of dead slots at which vecdb ends a rebuild, and its grace period; nil: see
  /// `RebuildBound`.
  package var rebuildDeadSlots: Int?
  /// How long a caller that waits for a rebuild waits while the rebuild is held up.
  package var rebuildPatienceMilliseconds = 30_000
  /// Milliseconds since 1970; nil: the system's clock.
  package var clock: (@Sendable () -> Int64)?
  /// The place of this copy; nil: see `CopyPlace`.
  package var copyPlace: [UInt8]?
  /// Gets what only the database can tell; what a call throws or returns is not logged. Messages are
  /// constant, and what they are about is in the metadata. Default: `Logger.current` where the
  /// configuration is made.
  public var logger = Logger.current
  /// Makes the metrics of the database; see <doc:MetricsReference>. Default: the factory that is
  /// active where the configuration is made, which is that of `MetricsSystem` or of
  /// `withMetricsFactory`.
  public var metricsFactory: any MetricsFactory = MetricsSystem.factory
  /// Names and values that every metric of the database carries, such as `("database", "photos")`
  /// where a process has several databases open. Default: none.
  public var metricsDimensions: [(String, String)] = []
  /// Gets a span for each opening, commit group, checkpoint, backup, restore, rebuild and slow search.
  /// Default: the tracer that is active where the configuration is made, which is that of
  /// `InstrumentationSystem` or of `withTracer`. Without one, nothing is measured for it.
  public var tracer: any Tracer = InstrumentationSystem.tracer
  /// Only searches that take at least this long get a span, since a span costs more than a search;
  /// zero gives every search one. Default 10 ms.
  public var slowSearch = Duration.milliseconds(10)

  /// A configuration with the defaults.
  public init() {}

  /// The defaults, with the same logger, tracer and metrics.
  package var alike: DatabaseConfiguration {
    var other = DatabaseConfiguration()
    other.logger = logger
    other.tracer = tracer
    other.slowSearch = slowSearch
    other.metricsFactory = metricsFactory
    other.metricsDimensions = metricsDimensions
    return other
  }
}
