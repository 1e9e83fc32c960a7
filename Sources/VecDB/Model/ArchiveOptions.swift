/// A repository to which the log is sent all the time, so that little is lost if this host is.
public struct ArchiveOptions: Sendable {
  /// The repository's directory; made if it is missing.
  public var repository: String
  /// How long a batch waits at most before it is sent. Default 5 s.
  public var intervalMilliseconds = 5_000

  public init(repository: String, intervalMilliseconds: Int = 5_000) {
    self.repository = repository
    self.intervalMilliseconds = intervalMilliseconds
  }
}

/// What a pass of archiving sent.
public struct ArchiveReport: Sendable, Hashable, Codable {
  public var repository: String
  /// Everything up to this LSN is in the repository.
  public var lsn: UInt64
  public var frames: Int
  public var bytes: Int
  public var seconds: Double
  /// Set where the repository had another history, so that the database began an epoch of its own.
  public var branch: BranchReport?
}

/// How far a repository has the log of a database.
public struct ArchiveStats: Sendable, Hashable, Codable {
  public var repository: String
  /// The repository has the log up to this LSN.
  public var lsn: UInt64
  /// Bytes of the log that would be lost with this host.
  public var pendingBytes: Int
  /// Age of the oldest batch that would be lost with this host; 0 if there is none.
  public var pendingMilliseconds: Int64
  /// Whether it is archived to all the time; if not, `vecdb backup` and `vecdb archive` do it.
  public var isContinuous: Bool
  /// Log that the repository lacks is gone: only a backup closes the gap.
  public var hasLapsed: Bool
  /// Why the last attempt to archive failed.
  public var problem: String?
}
