/// How a backup is made.
public struct BackupOptions: Sendable {
  /// Bytes a second that are sent at most; nil takes ``DatabaseConfiguration/backupBytesPerSecond``.
  public var bytesPerSecond: Int?
  /// Run at the lowest priority, so that searches and writes of this machine do not wait for it. Default
  /// true.
  public var isLowPriority = true
  /// Also read what the repository has of this restore point, and send again what is damaged or
  /// missing there: blocks, and the log since the oldest restore point as far as it is still here.
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
