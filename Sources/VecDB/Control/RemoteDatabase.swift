import Glibc
import Synchronization
import VecDBBytes
import VecDBFiles
import VecDBThreads

/// A database that another process has open, reached through its control socket.
///
/// Calls are made one after another. Ending the process, or dropping the value, ends what was
/// asked for.
package final class RemoteDatabase: Sendable {
  package let path: String
  package let hello: ControlHello
  private let connection: Guarded<Connection>
  private let hasEnded = Atomic(false)

  /// Whether the other process went away without an answer to the last request.
  package var isLost: Bool { hasEnded.load(ordering: .acquiring) }

  /// Connects to the process that has the database at `path` open; nil if none listens there.
  package init?(path: String) throws {
    self.path = path
    let place = try DatabasePlace.resolve(path, PosixFileSystem())
    guard let descriptor = try ControlSocket.connect(in: place) else { return nil }
    var connection = Connection(descriptor: descriptor, path: path)
    let first: ControlAnswer
    do {
      try connection.limitWaiting(seconds: 10)
      first = try connection.receive()
      try connection.limitWaiting(seconds: 0)
    } catch {
      close(descriptor)
      throw error
    }
    if let error = first.error?.error {
      close(descriptor)
      throw error
    }
    guard let hello = first.hello, hello.version == Int(ControlFrame.version) else {
      close(descriptor)
      throw VecDBError(
        .unknownVersion, "the owner of the database speaks another version of the protocol",
        at: path, remedy: "Use the vecdb that the application was built with.")
    }
    self.hello = hello
    self.connection = Guarded(connection)
  }

  deinit { connection.withLock { _ = close($0.descriptor) } }

  /// Asks, and waits for the answer.
  package func perform(
    _ request: ControlRequest, progress: ProgressHandler? = nil
  ) async throws -> ControlAnswer {
    try await onBackground { [self] in
      try connection.withLock { connection in
        func listening<Value>(_ body: () throws -> Value) throws -> Value {
          do { return try body() } catch {
            hasEnded.store(true, ordering: .releasing)
            throw error
          }
        }
        try listening { try connection.transmit(request) }
        var earlier: [ControlRecord] = []
        while true {
          var answer = try listening { try connection.receive() }
          if let error = answer.error?.error { throw error }
          if answer.more == true {
            earlier += answer.records ?? []
            continue
          }
          answer.prepend(earlier)
          guard let done = answer.progress else { return answer }
          progress?(done)
        }
      }
    }
  }

  private struct Connection {
    let descriptor: Int32
    let path: String
    var reader = ControlFrameReader(limitBytes: ControlFrame.answerLimitBytes)

    init(descriptor: Int32, path: String) {
      self.descriptor = descriptor
      self.path = path
    }

    /// 0 waits for ever.
    func limitWaiting(seconds: Int) throws {
      var time = timeval(tv_sec: seconds, tv_usec: 0)
      guard
        setsockopt(
          descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size)) == 0
      else { throw ControlSocket.failure("set up the connection", path) }
    }

    func transmit(_ request: ControlRequest) throws {
      let bytes = try ControlFrame.encode(request)
      var done = 0
      while done < bytes.count {
        let count = bytes.withUnsafeBytes {
          send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
        }
        if count > 0 {
          done += count
        } else if errno != EINTR {
          // It may have said why before it went.
          return
        }
      }
    }

    mutating func receive() throws -> ControlAnswer {
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      while true {
        if let body = try reader.next() { return try ControlFrame.decode(ControlAnswer.self, body) }
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count > 0 {
          reader.feed(buffer[..<count])
        } else if count == 0 || errno != EINTR {
          throw ended
        }
      }
    }

    private var ended: VecDBError {
      VecDBError(
        .inputOutput, "the process that has the database open does not answer any more", at: path,
        remedy: "If it has ended, run the command again: it then opens the database itself.")
    }
  }
}

// MARK: The same calls as `Database` has

extension RemoteDatabase {
  package func status() async throws -> ControlStatus {
    try Self.part(try await perform(ControlRequest(.status)).status)
  }

  package func stats(graphDigests: Bool) async throws -> DatabaseStats {
    var request = ControlRequest(.stats)
    request.graphDigests = graphDigests
    var stats = try Self.part(try await perform(request).stats)
    // The owner may know its directory by another name.
    stats.path = path
    return stats
  }

  package func checkpoint() async throws -> CheckpointReport {
    try Self.part(try await perform(ControlRequest(.checkpoint)).checkpoint)
  }

  /// The owner's own backup, which ends if this process does. The owner uses its own key.
  package func backup(
    to repository: String, options: BackupOptions = BackupOptions(),
    progress: ProgressHandler? = nil
  ) async throws -> BackupReport {
    var request = ControlRequest(.backup)
    request.bytesPerSecond = options.bytesPerSecond
    request.repair = options.repair ? true : nil
    // The owner has a working directory of its own.
    request.repository = Database.absolute(repository)
    var report = try Self.part(try await perform(request, progress: progress).backup)
    report.repository = repository
    return report
  }

  /// As `Database.archive`; with an interval, until this process ends.
  package func archive(
    to repository: String, intervalMilliseconds: Int?, progress: ProgressHandler? = nil
  ) async throws -> ArchiveReport {
    var request = ControlRequest(.archive)
    request.repository = Database.absolute(repository)
    request.intervalMilliseconds = intervalMilliseconds
    return try Self.part(try await perform(request, progress: progress).archive)
  }

  package func forgetArchive(_ repository: String) async throws {
    var request = ControlRequest(.forgetArchive)
    request.repository = Database.absolute(repository)
    _ = try Self.part(try await perform(request).receipt)
  }

  package func restoreCollection(
    _ name: String, as newName: String, from repository: String, target: RestoreTarget,
    progress: ProgressHandler? = nil
  ) async throws -> CollectionInfo {
    var request = ControlRequest(.restoreCollection)
    request.repository = Database.absolute(repository)
    request.name = name
    request.newName = newName
    switch target {
    case .latest: break
    case .lsn(let lsn): request.lsn = lsn
    case .time(let time): request.timeMilliseconds = time.milliseconds
    case .mark(let name): request.markName = name
    }
    return try Self.part(try await perform(request, progress: progress).collection)
  }

  package func check(
    recall: Bool, progress: ProgressHandler? = nil
  ) async throws -> (check: CheckReport, canary: CanaryReport?, health: [CollectionHealth]) {
    var request = ControlRequest(.check)
    request.recall = recall
    let answer = try await perform(request, progress: progress)
    return (try Self.part(answer.check), answer.canary, answer.health ?? [])
  }

  package func mark(_ name: String) async throws -> MarkInfo {
    var request = ControlRequest(.mark)
    request.name = name
    return try Self.part(try await perform(request).mark)
  }

  /// Asks the owner's replication layer.
  package func node(_ text: String) async throws -> String {
    var request = ControlRequest(.node)
    request.node = text
    return try Self.part(try await perform(request).node)
  }

  package func removeMark(_ name: String) async throws -> Receipt {
    var request = ControlRequest(.removeMark)
    request.name = name
    return try Self.part(try await perform(request).receipt)
  }

  package func marks() async throws -> [MarkInfo] {
    try Self.part(try await perform(ControlRequest(.marks)).marks)
  }

  /// What the owner does about a rebuild. It does not end with this process.
  package func rebuild(
    _ wanted: RebuildRequest, progress: ProgressHandler? = nil
  ) async throws -> RebuildAnswer {
    var request = ControlRequest(.rebuild)
    request.rebuild = wanted
    return try Self.part(try await perform(request, progress: progress).rebuild)
  }

  private static func part<Value>(_ value: Value?) throws -> Value {
    guard let value else {
      throw VecDBError(.inputOutput, "the owner of the database gave an answer of another kind")
    }
    return value
  }
}
