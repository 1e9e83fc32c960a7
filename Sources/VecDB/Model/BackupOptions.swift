/// Options of a backup.
public struct BackupOptions: Sendable {
  /// Maximum bytes a second that the backup sends; nil takes
  /// ``DatabaseConfiguration/backupBytesPerSecond``.
  public var bytesPerSecond: Int?
  /// Run at the lowest priority, so that searches and writes of this machine do not wait for it.
  /// Default true.
  public var isLowPriority = true
  /// Also read the repository's data of this restore point, and send damaged or missing data again:
  /// blocks, and the log since the oldest restore point as far as the database still has it.
  /// Default false.
  public var repair = false
  /// Encrypts the repository; nil takes ``DatabaseConfiguration/repositoryKey``.
  public var key: (any RepositoryKey)?

  public init(
    bytesPerSecond: Int? = nil, isLowPriority: Bool = true, repair: Bool = false,
    key: (any RepositoryKey)? = nil
  ) {
    self.bytesPerSecond = bytesPerSecond
    self.isLowPriority = isLowPriority
    self.repair = repair
    self.key = key
  }
}
