import FoundationEssentials
import Glibc
import Logging
import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// Who else still needs the log: repositories that a database is backed up to, each with the position
/// up to which it has this history. Trimming waits for them, up to a limit.
///
/// Kept in the file `archives.json` of the database's directory, so that a restart does not forget
/// them. A repository is known by its id, not by its path: another one may stand there next time. A
/// repository that falls too far behind *lapses*: the log that it lacks is trimmed, which leaves a
/// gap in what can be restored from it, until its next backup.
final class LogHolds: Sendable {
  struct Hold: Sendable, Hashable, Codable {
    /// The path under which it was last reached.
    var repository: String
    /// It has everything up to this.
    var lsn: UInt64
    /// The chain there, in hexadecimal; nil in a file of format version 1.
    var chain: String?
    /// The repository's id, in hexadecimal; nil in a file of format version 1.
    var id: String?

    /// What tells it from others.
    var name: String { id ?? repository }

    var position: LogPosition? {
      chain.flatMap(Digest.init(hex:)).map { LogPosition(lsn: lsn, chain: $0) }
    }
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

  private static let version = 2
  private let state = Guarded(State())
  private let path: String
  private let fileSystem: any FileSystem
  private let logger: Logger
  private let unsaved = RepeatedFailure(
    "cannot write down what repositories have; the next start will not know it", level: .warning)

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
      guard (1...Self.version).contains(stored.version) else {
        throw StoreError(
          .unknownVersion, "the list of archives has format version \(stored.version)", at: path,
          remedy: "Use a newer vecdb.")
      }
      state.withLock { state in
        for hold in stored.archives { state.holds[hold.name] = hold }
      }
    } catch let error as DecodingError {
      logger.error(
        "cannot read what repositories have; log may be trimmed before it is archived",
        metadata: ["path": "\(path)", "error": "\(error)"])
    }
  }

  var all: [Hold] {
    state.withLock { $0.holds.values.sorted { ($0.repository, $0.lsn) < ($1.repository, $1.lsn) } }
  }

  func hasLapsed(_ hold: Hold) -> Bool { state.withLock { $0.lapsed.contains(hold.name) } }

  /// What is known of a repository.
  func hold(of id: UInt128) -> Hold? { state.withLock { $0.holds[Self.name(id)] } }

  /// The position up to which a repository has this history.
  func positions(of id: UInt128) -> [LogPosition] { hold(of: id)?.position.map { [$0] } ?? [] }

  private static func name(_ id: UInt128) -> String { String(id, radix: 16) }

  /// Notes that a repository has everything up to `position`, if not more. With `durably` false, or
  /// where the database's own disk is full, a restart may know an older one, which only keeps more
  /// log.
  func note(
    _ id: UInt128, at repository: String, through position: LogPosition, durably: Bool = true
  ) throws {
    let name = Self.name(id)
    state.withLock { state in
      // What was known by its path alone has a name now.
      if state.holds[repository]?.id == nil { state.holds[repository] = nil }
      if let known = state.holds[name], known.lsn > position.lsn {
        state.holds[name]?.repository = repository
      } else {
        state.holds[name] = Hold(
          repository: repository, lsn: position.lsn, chain: position.chain.hex, id: name)
      }
      state.lapsed.remove(name)
    }
    guard durably else { return }
    do {
      try save()
      unsaved.isOver(logger)
    } catch let error as StoreError where error.kind == .diskFull {
      // A full disk is no reason to refuse a backup to another one.
      unsaved.note(error, logger, ["repository": "\(repository)"])
    }
  }

  /// The database is not backed up there any more. False if it was not known.
  func forget(_ repository: String) throws -> Bool {
    let isKnown = state.withLock { state in
      let gone = state.holds.values.filter { $0.repository == repository }
      for hold in gone {
        state.lapsed.remove(hold.name)
        state.holds[hold.name] = nil
      }
      return !gone.isEmpty
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
    for hold in all where hold.lsn < result && !hasLapsed(hold) {
      let bytes = try log.frameBytes(after: hold.lsn)
      if bytes <= limitBytes {
        result = hold.lsn
      } else {
        state.withLock { _ = $0.lapsed.insert(hold.name) }
        logger.error(
          "log is trimmed that a repository lacks: until its next backup there is a gap",
          metadata: [
            "repository": "\(hold.repository)", "lsn": "\(hold.lsn)", "bytes": "\(bytes)",
            "limitBytes": "\(limitBytes)",
          ])
      }
    }
    return result
  }
}
