import Logging
import ServiceLifecycle
import VecDB
import VecDBService

/// Backs the database up now and then, beside searches and writes.
struct BackupService: Service {
  let database: DatabaseService
  let repository: String
  let interval: Duration
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while true {
        do {
          let report = try await database.database.backup(to: repository)
          logger.debug(
            "backed up", metadata: ["lsn": "\(report.lsn)", "newBytes": "\(report.newBytes)"])
        } catch let error as VecDBError where error.code == .cancelled {
          return
        } catch {
          // The next one sends what this one did not.
          logger.error("a backup failed", metadata: ["error": "\(error)"])
        }
        do { try await Task.sleep(for: interval) } catch { return }
      }
    }
  }
}
