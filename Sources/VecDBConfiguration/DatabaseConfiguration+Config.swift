#if Configuration
  import Configuration
  import VecDB

  #if Encryption
    import VecDBEncryption
  #endif

  extension DatabaseConfiguration {
    /// A configuration from settings; what they do not name keeps its default.
    ///
    /// ```swift
    /// let config = ConfigReader(provider: EnvironmentVariablesProvider()).scoped(to: "vecdb")
    /// let database = try await Database.open(
    ///   at: "photos.vecdb", configuration: DatabaseConfiguration(config: config))
    /// ```
    ///
    /// With this reader, `VECDB_BUILD_THREADS=2` sets ``DatabaseConfiguration/buildThreads``. The
    /// configuration reference lists every key.
    ///
    /// - Throws: ``VecDBError`` `invalidArgument`, naming the key, for a value of the wrong kind or
    ///   out of range; with a key file, what reading that throws.
    public init(config: ConfigReader) throws {
      self.init()
      let settings = Settings(config: config)
      if let value = try settings.bool("createIfMissing") { createIfMissing = value }
      if let value = try settings.int("buildThreads", SettingRange.threads) { buildThreads = value }
      if let value = try settings.int("checkpointReplayMilliseconds", SettingRange.milliseconds) {
        checkpointReplayMilliseconds = value
      }
      if let value = try settings.int("checkpointLogBytes", SettingRange.bytes) {
        checkpointLogBytes = value
      }
      if let value = try settings.bool("checkpointOnClose") { checkpointOnClose = value }
      if let value = try settings.int("writeQueueBytes", SettingRange.bytes) {
        writeQueueBytes = value
      }
      if let value = try settings.int("writeQueueTimeoutMilliseconds", SettingRange.milliseconds) {
        writeQueueTimeoutMilliseconds = value
      }
      if let value = try settings.int("logSegmentBytes", 1 << 20...1 << 40) {
        logSegmentBytes = value
      }
      if let value = try settings.bool("controlSocket") { controlSocket = value }
      if let value = try settings.int("slowSearchMilliseconds", SettingRange.milliseconds) {
        slowSearch = .milliseconds(value)
      }
      try readBackgroundWork(settings)
      archive = try ArchiveOptions(ifNamedIn: config.scoped(to: "archive"))
      try readRepositoryKey(settings)
    }

    private mutating func readBackgroundWork(_ settings: Settings) throws {
      if let value = try settings.int("backupBytesPerSecond", 0...Int.max) {
        backupBytesPerSecond = value == 0 ? nil : value
      }
      if let value = try settings.int("archiveLogBytes", 0...Int.max) { archiveLogBytes = value }
      if let value = try settings.bool("removesExpired") { removesExpired = value }
      if let value = try settings.int("scrubBytesPerSecond", 0...Int.max) {
        scrubBytesPerSecond = value == 0 ? nil : value
      }
      if let value = try settings.int("scrubIntervalSeconds", SettingRange.seconds) {
        scrubIntervalSeconds = value
      }
      if let value = try settings.string("rebuildPolicy") {
        guard let policy = RebuildPolicy(rawValue: value) else {
          throw VecDBError(
            .invalidArgument, "there is no policy '\(value)'", at: "rebuildPolicy",
            remedy: "Use off, suggest or on.")
        }
        rebuildPolicy = policy
      }
    }

    private mutating func readRepositoryKey(_ settings: Settings) throws {
      let file = try settings.string("repositoryKeyFile")
      let passphrase = try settings.string("repositoryPassphrase", isSecret: true)
      guard file != nil || passphrase != nil else { return }
      guard file == nil || passphrase == nil else {
        throw VecDBError(
          .invalidArgument, "there is a key file and a passphrase", at: "repositoryKeyFile",
          remedy: "Set one of repositoryKeyFile and repositoryPassphrase.")
      }
      #if Encryption
        if let file { repositoryKey = try KeyFile(path: file) }
        if let passphrase { repositoryKey = try Passphrase(text: passphrase) }
      #else
        throw VecDBError(
          .invalidArgument, "this program was built without encryption", at: "repositoryKeyFile",
          remedy: "Build it with vecdb's package trait Encryption.")
      #endif
    }
  }

  extension ArchiveOptions {
    /// Options of an archive from settings: `repository`, which is required, and
    /// `intervalMilliseconds`.
    ///
    /// - Throws: ``VecDBError`` `invalidArgument`, naming the key.
    public init(config: ConfigReader) throws {
      let settings = Settings(config: config)
      self.init(repository: try settings.requireString("repository"))
      if let value = try settings.int("intervalMilliseconds", SettingRange.milliseconds) {
        intervalMilliseconds = value
      }
    }

    /// Nil where the settings name no repository.
    init?(ifNamedIn config: ConfigReader) throws {
      guard try Settings(config: config).string("repository") != nil else { return nil }
      try self.init(config: config)
    }
  }
#endif
