import Bytes
import Files
import Foundation
import LogStore
import Logging

/// Who else still needs the log: repositories that a database is backed up to, each with the LSN up
/// to which it has everything. Trimming waits for them, up to a limit.
///
/// Kept in the file `archives.json` of the database's directory, so that a restart does not forget
/// them. A repository that falls too far behind *lapses*: the log that it lacks is trimmed, which
/// leaves a gap in what can be restored from it, until its next backup.
final class LogHolds: Sendable {
  struct Hold: Sendable, Hashable, Codable {
    var repository: String
    /// It has everything up to this.
    var lsn: UInt64
  }

  private struct Stored: Codable {
    var version: Int
    var archives: [Hold]
  }

  private struct State {
    var holds: [String: Hold] = [:]
    /// Those whose log is gone; told once.
    var lapsed: Set<String> = []
  }

  private static let version = 1
  private let state = Guarded(State())
  private let path: String
  private let fileSystem: any FileSystem
  private let logger: Logger

  /// Reads what is kept in a database's directory. A damaged file is as good as none, since every
  /// backup writes it anew. Throws `.unknownVersion`.
  init(directory: DatabaseDirectory, fileSystem: any FileSystem, logger: Logger) throws {
    path = directory.path + "/archives.json"
    self.fileSystem = fileSystem
    self.logger = logger
    guard try fileSystem.exists(path) else { return }
    let bytes = try fileSystem.readAll(path, maximumBytes: 1 << 20)
    do {
      let stored = try JSONDecoder().decode(Stored.self, from: Data(bytes))
      guard stored.version == Self.version else {
        throw StoreError(
          .unknownVersion, "the list of archives has format version \(stored.version)", at: path,
          remedy: "Use a newer vecdb.")
      }
      state.withLock { state in
        for hold in stored.archives { state.holds[hold.repository] = hold }
      }
    } catch let error as DecodingError {
      logger.error("\(path) cannot be read, and log may be trimmed before it is archived: \(error)")
    }
  }

  var all: [Hold] {
    state.withLock { $0.holds.values.sorted { $0.repository < $1.repository } }
  }

  func hasLapsed(_ repository: String) -> Bool {
    state.withLock { $0.lapsed.contains(repository) }
  }

  /// Notes that a repository has everything up to `lsn`, if not more. With `durably` false, a restart may know
  /// an older one, which only keeps more log.
  func note(_ repository: String, through lsn: UInt64, durably: Bool = true) throws {
    state.withLock { state in
      let known = state.holds[repository]?.lsn ?? 0
      state.holds[repository] = Hold(repository: repository, lsn: max(lsn, known))
      state.lapsed.remove(repository)
    }
    if durably { try save() }
  }

  /// The database is not backed up there any more. False if it was not known.
  func forget(_ repository: String) throws -> Bool {
    let isKnown = state.withLock { state in
      state.lapsed.remove(repository)
      return state.holds.removeValue(forKey: repository) != nil
    }
    if isKnown { try save() }
    return isKnown
  }

  private func save() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let stored = Stored(version: Self.version, archives: all)
    try fileSystem.writeAtomically(Array(try encoder.encode(stored)) + [10], to: path)
  }

  /// How far the log may be trimmed where the database itself needs nothing up to `lsn`.
  func trimmable(through lsn: UInt64, log: WriteAheadLog, limitBytes: Int) throws -> UInt64 {
    var result = lsn
    for hold in all where hold.lsn < result && !hasLapsed(hold.repository) {
      let bytes = try log.sizeBytes(after: hold.lsn)
      if bytes <= limitBytes {
        result = hold.lsn
      } else {
        state.withLock { _ = $0.lapsed.insert(hold.repository) }
        logger.error(
          """
          \(hold.repository) lacks \(bytes) bytes of log after LSN \(hold.lsn); no more than \
          \(limitBytes) are kept for it. Until the next backup there is a gap in what can be \
          restored.
          """)
      }
    }
    return result
  }
}
