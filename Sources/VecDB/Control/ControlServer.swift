import Dispatch
import FoundationEssentials
import Glibc
import VecDBBlockStore
import VecDBFiles
import VecDBThreads

/// Answers other processes on the control socket while this process has the database open.
///
/// One Dispatch queue does all reading and writing; what is asked runs in a task of its own.
/// Everything that changes belongs to that queue, which is what makes the class safe to hand
/// around. The server does not keep the database alive.
package final class ControlServer: Companion, @unchecked Sendable {
  /// More connections than that are refused.
  package static let connectionLimit = 16

  let queue = DispatchQueue(label: "vecdb.control", qos: .utility)
  private let directory: String
  private weak var database: Database?
  private let source: any DispatchSourceRead
  private var connections: [ObjectIdentifier: ControlConnection] = [:]
  private var isStopped = false

  /// Begins to listen. The caller holds the database's lock.
  init(database: Database) throws {
    directory = database.path
    self.database = database
    let descriptor = try ControlSocket.listen(in: directory)
    source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
    source.setEventHandler { [weak self] in self?.accept(descriptor) }
    source.setCancelHandler { close(descriptor) }
    source.resume()
  }

  private func accept(_ descriptor: Int32) {
    while !isStopped, let peer = ControlSocket.accept(descriptor) {
      let connection = ControlConnection(descriptor: peer, server: self)
      guard connections.count < Self.connectionLimit, let database else {
        connection.refuse(
          VecDBError(
            .overloaded, "\(connections.count) control connections are open", at: directory,
            remedy: "Try again later."))
        continue
      }
      connections[ObjectIdentifier(connection)] = connection
      connection.start(
        hello: ControlHello(
          version: Int(ControlFrame.version),
          databaseID: "\(database.engine.log.identity.databaseID)", processID: getpid(),
          isBrief: database.engine.configuration.isBrief ? true : nil))
    }
  }

  func closed(_ connection: ControlConnection) {
    connections[ObjectIdentifier(connection)] = nil
  }

  /// Starts what a connection asks for.
  func begin(_ request: ControlRequest, for connection: ControlConnection) -> Task<Void, Never>? {
    guard !isStopped, let database else { return nil }
    let running = connections.values.count { $0.isBusy } + 1
    return Task { [queue] in
      var answer = ControlAnswer()
      do {
        answer = try await database.perform(request, running: running) { progress in
          queue.async { connection.report(progress) }
        }
      } catch { answer = ControlAnswer(error: error) }
      await withCheckedContinuation { continuation in
        queue.async { [answer] in
          connection.finish(request.takesParts == true ? answer.parts() : [answer])
          continuation.resume()
        }
      }
    }
  }

  /// Takes the socket away, cancels what runs and returns when it has ended and been answered.
  func stop() async {
    let tasks = await withCheckedContinuation { continuation in
      queue.async { [self] in
        isStopped = true
        source.cancel()
        unlink(directory + "/" + ControlSocket.fileName)
        let tasks = connections.values.compactMap(\.task)
        for task in tasks { task.cancel() }
        continuation.resume(returning: tasks)
      }
    }
    for task in tasks { await task.value }
    await withCheckedContinuation { continuation in
      queue.async { [self] in
        for connection in connections.values { connection.sayGoodbye() }
        continuation.resume()
      }
    }
  }

  /// As `stop`, for a database that was dropped without being closed: nothing can be running, since
  /// what runs keeps the database.
  func abandon() {
    unlink(directory + "/" + ControlSocket.fileName)
    queue.async { [self] in
      isStopped = true
      source.cancel()
      for connection in connections.values { connection.close() }
    }
  }
}

extension Database {
  /// Listens on the control socket unless the configuration or the file system rules it out. A
  /// database that cannot listen still serves its own process: that is logged, not thrown.
  func startControl() {
    guard engine.configuration.controlSocket, engine.fileSystem is PosixFileSystem else { return }
    do {
      let server = try ControlServer(database: self)
      companions.add(server)
    } catch {
      engine.configuration.logger.warning(
        "other processes cannot reach this database",
        metadata: ["path": "\(path)", "error": "\(VecDBError(wrapping: error))"])
    }
  }

  /// Does what a control connection asks for.
  func perform(
    _ request: ControlRequest, running: Int, progress: @escaping ProgressHandler
  ) async throws -> ControlAnswer {
    var answer = ControlAnswer()
    switch request.verb {
    case .status:
      answer.status = ControlStatus(
        processID: getpid(), databaseID: "\(engine.log.identity.databaseID)",
        epoch: engine.epochCounter, lsn: lsn, requests: running)
    case .stats:
      // On the writer, so that all figures are of one LSN.
      answer.stats = try await writer.exclusively { engine in
        try request.graphDigests == true ? engine.statsWithGraphDigests() : engine.stats()
      }
    case .checkpoint:
      answer.checkpoint = try await checkpoint()
    case .backup:
      var options = BackupOptions()
      options.bytesPerSecond = request.bytesPerSecond
      options.repair = request.repair ?? false
      answer.backup = try await backup(
        to: try request.absoluteRepository, options: options, progress: progress)
    case .archive:
      let repository = try request.absoluteRepository
      answer.archive =
        if let interval = request.intervalMilliseconds {
          try await archiveContinuously(
            to: repository, intervalMilliseconds: interval, progress: progress)
        } else {
          try await archive(to: repository)
        }
    case .forgetArchive:
      try await forgetArchive(try request.absoluteRepository)
      answer.receipt = currentReceipt
    case .restoreCollection:
      answer.collection = try await restoreCollection(
        request.name ?? "", as: request.newName ?? "", from: try request.absoluteRepository,
        target: request.target, progress: progress)
    case .mark: answer.mark = try await mark(request.name ?? "")
    case .removeMark: answer.receipt = try await removeMark(request.name ?? "")
    case .node:
      guard let handler = nodeHandler.withLock({ $0 }) else {
        throw VecDBError(
          .invalidArgument, "the process that has this database open does not run a node on it",
          at: path, remedy: "Start it with `vecdb serve` or `vecdb replica`.")
      }
      answer.node = try await handler(request.node ?? "")
    case .marks: answer.marks = try await marks()
    case .rebuild:
      guard let rebuild = request.rebuild else {
        throw VecDBError(.invalidArgument, "the request does not say what to rebuild")
      }
      answer.rebuild = try await perform(rebuild, progress: progress)
    case .read:
      answer = try await onBackground {
        var answer = ControlAnswer()
        try self.read(request, into: &answer)
        return answer
      }
    case .write: try await write(request, into: &answer)
    case .create: answer.collection = try await create(request.definition)
    case .drop: answer.receipt = try await dropCollection(request.name ?? "")
    case .check:
      answer.check = try await check(progress: progress)
      if request.recall == true {
        answer.canary = try await onBackground { try self.measureRecall() }
      }
      if answer.check?.problems.isEmpty == true {
        let queries = request.recall == true ? 100 : 50
        answer.health = try await onBackground { try self.measureHealth(queries: queries) }
      }
    }
    return answer
  }
}

extension ControlRequest {
  /// The owner has a working directory of its own.
  fileprivate var absoluteRepository: String {
    get throws {
      guard let repository, repository.hasPrefix("/") || RepositoryPlace.isRemote(repository)
      else {
        throw VecDBError(
          .invalidArgument, "a repository on the control socket needs an absolute path")
      }
      return repository
    }
  }

  fileprivate var target: RestoreTarget {
    if let lsn { return .lsn(lsn) }
    if let timeMilliseconds { return .time(milliseconds: timeMilliseconds) }
    return markName.map { .mark($0) } ?? .latest
  }
}
