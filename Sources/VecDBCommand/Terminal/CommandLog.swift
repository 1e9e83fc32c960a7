import Logging

/// Where the command's databases and nodes log: standard error, from `VECDB_LOG_LEVEL` on if that is
/// the name of a level.
enum CommandLog {
  static func logger(_ level: Logger.Level, of label: String = "vecdb") -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel =
      EnvironmentOption.logLevel.value.flatMap { Logger.Level(rawValue: $0) } ?? level
    return logger
  }
}
