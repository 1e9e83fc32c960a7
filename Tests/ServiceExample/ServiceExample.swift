import Configuration
import Hummingbird
import Logging
import ServiceLifecycle
import VecDB
import VecDBConfiguration
import VecDBService

/// A service that finds similar photos: it takes vectors over HTTP, searches, tells whether it is
/// ready, backs itself up, and ends on SIGTERM without losing a write.
///
/// ```sh
/// PHOTOS_DATABASE=photos.vecdb PHOTOS_REPOSITORY=/backup/photos service-example
/// ```
///
/// The variables that begin with `VECDB_` are options of the database.
@main
struct ServiceExample {
  static func main() async throws {
    let config = ConfigReader(provider: EnvironmentVariablesProvider())
    let settings = config.scoped(to: "photos")
    // First of all: what is made before it reports to nobody.
    let report = settings.string(forKey: "report").map { Report(path: $0) }
    LoggingSystem.bootstrap(StreamLogHandler.standardError)
    var logger = Logger(label: "photos")
    if let level = settings.string(forKey: "logLevel").flatMap(Logger.Level.init(rawValue:)) {
      logger.logLevel = level
    }
    // Libraries that are given no logger use this one.
    try await withLogger(logger) { logger in
      try await run(settings, config.scoped(to: "vecdb"), logger)
    }
    try report?.write()
  }

  private static func run(
    _ settings: ConfigReader, _ options: ConfigReader, _ logger: Logger
  ) async throws {
    let database = DatabaseService(
      at: try settings.requiredString(forKey: "database"),
      configuration: try DatabaseConfiguration(config: options))
    let store = PhotoStore(
      service: database, dimensions: settings.int(forKey: "dimensions", default: 512))
    let server = Application(
      router: Routes(store: store).router,
      configuration: ApplicationConfiguration(
        address: .hostname(
          settings.string(forKey: "host", default: "127.0.0.1"),
          port: settings.int(forKey: "port", default: 8080))),
      onServerRunning: { channel in
        logger.info(
          "listening", metadata: ["port": "\(channel.localAddress?.port ?? 0)"])
      }, logger: logger)
    var services: [any Service] = [database]
    if let repository = settings.string(forKey: "repository") {
      services.append(
        BackupService(
          database: database, repository: repository,
          interval: .seconds(settings.int(forKey: "backupSeconds", default: 3_600)),
          logger: logger))
    }
    services.append(server)
    // They end in the reverse order: first the server, when its requests are answered; then the
    // backups; and last the database.
    let group = ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    try await group.run()
  }
}
