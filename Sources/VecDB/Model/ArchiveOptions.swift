/// A repository to which vecdb continuously sends the log, so that you lose little if you lose this
/// host.
public struct ArchiveOptions: Sendable {
  /// The repository's directory; vecdb creates it if it is missing.
  public var repository: String
  /// The longest time that a batch waits before vecdb sends it. Default 5 s.
  public var interval: Duration {
    get { .milliseconds(intervalMilliseconds) }
    set { intervalMilliseconds = newValue.wholeMilliseconds }
  }
  package var intervalMilliseconds = 5_000

  public init(repository: String, interval: Duration = .seconds(5)) {
    self.repository = repository
    self.interval = interval
  }
}

/// What a pass of archiving sent.
public struct ArchiveReport: Sendable, Hashable, Codable {
  public var repository: String
  /// Everything up to this LSN is in the repository.
  public var lsn: UInt64
  public var frames: Int
  public var bytes: Int
  public var duration: Duration { Duration(inSeconds: seconds) }
  package var seconds: Double
  /// Set if the repository had another history, so that the database began a new epoch.
  public var branch: BranchReport?
  /// What was asked of the object store; nil for a repository in a directory.
  public var requests: RepositoryRequests?
}

/// How much of a database's log a repository has.
public struct ArchiveStats: Sendable, Hashable, Codable {
  public var repository: String
  /// The repository has the log up to this LSN.
  public var lsn: UInt64
  /// Bytes of log that you would lose with this host.
  public var pendingBytes: Int
  /// Age of the oldest batch that you would lose with this host; 0 if there is none.
  public var pendingAge: Duration { .milliseconds(pendingMilliseconds) }
  package var pendingMilliseconds: Int64
  /// Whether the database continuously archives to it; if not, only `vecdb backup` and
  /// `vecdb archive` do.
  public var isContinuous: Bool
  /// Whether vecdb has trimmed log that the repository lacks: only a backup ends the gap.
  public var hasLapsed: Bool
  /// Why the last attempt to archive failed.
  public var problem: String?
}
