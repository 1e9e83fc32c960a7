import Dispatch
import FoundationEssentials
import Glibc
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore
import VecDBThreads

/// Reads everything that a database keeps, again and again, at a set rate and the lowest priority,
/// and compares it with hashes and checksums: blocks and manifests, the log, each record with its
/// vector, and the pages of records. What is damaged is logged, counted, and named in `stats` until
/// it is whole again.
///
/// The first pass begins a moment after the opening, which itself maps blocks and reads none.
final class Scrubber: Companion, @unchecked Sendable {
  private struct Stopped: Error {}

  private let engine: Engine
  private let writer: Writer
  private let bytesPerSecond: Int
  private let interval: TimeInterval
  private let wake = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private let isStopped = Guarded(false)
  // Used only by the thread that scrubs.
  private var aheadSeconds = 0.0
  private var problems: [String] = []

  /// Rows of records that are compared in one piece.
  private static let rowsPerPiece = 256
  private static let logChunkBytes = 256 << 10
  private static let firstPassDelay = 1.0

  init(engine: Engine, writer: Writer, bytesPerSecond: Int) {
    self.engine = engine
    self.writer = writer
    self.bytesPerSecond = bytesPerSecond
    interval = Double(max(1, engine.configuration.scrubIntervalSeconds))
  }

  /// Starts the thread.
  func start() {
    LowPriorityThread.serve("vecdb.scrub") { [self] in
      // Applies to this thread alone: searches and writes always come first.
      _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
      run()
      ended.signal()
    }
  }

  /// Ends the thread and waits until it has let go of the files.
  func stop() {
    isStopped.withLock { $0 = true }
    wake.signal()
    // A scrub that waits for the writer while the writer waits here must not stop both for ever.
    _ = ended.wait(timeout: .now() + 10)
  }

  func abandon() { stop() }

  private func run() {
    do {
      try sleep(Self.firstPassDelay)
      while true {
        let started = Date()
        try pass()
        try sleep(max(1, interval - Date().timeIntervalSince(started)))
      }
    } catch {}
  }

  private func sleep(_ seconds: Double) throws {
    if isStopped.withLock({ $0 }) { throw Stopped() }
    _ = wake.wait(timeout: .now() + seconds)
    if isStopped.withLock({ $0 }) { throw Stopped() }
  }

  /// Keeps to the rate. Short waits are saved up, since each costs a turn of the scheduler.
  private func pace(_ bytes: Int) throws {
    engine.telemetry.scrubbed(bytes: bytes)
    guard bytesPerSecond < .max else { return }
    aheadSeconds += Double(bytes) / Double(bytesPerSecond)
    if aheadSeconds > 0.02 {
      try sleep(aheadSeconds)
      aheadSeconds = 0
    } else if isStopped.withLock({ $0 }) {
      throw Stopped()
    }
  }

  /// One pass over everything. Throws only if it was stopped.
  func pass() throws {
    problems = []
    try note {
      for damage in try engine.blocks.scrub(pace: pace) { found(damage.error.description) }
    }
    try note { try scrubLog() }
    try note { for problem in try engine.records.damagedPages(pace: pace) { found(problem) } }
    for collection in engine.shared.catalog.all { try note { try scrubRecords(collection) } }
    engine.telemetry.scrubPassed(problems, timeMilliseconds: Engine.nowMilliseconds())
  }

  /// Turns an error that tells of damage into a finding.
  private func note(_ body: () throws -> Void) throws {
    do { try body() } catch let error as Stopped { throw error } catch {
      let error = VecDBError(wrapping: error)
      // Trimmed, dropped or closed meanwhile, or poisoned, which has an error of its own.
      guard error.code == .corrupt || error.code == .inputOutput else { return }
      found(error.description)
    }
  }

  private func found(_ problem: String) {
    problems.append(problem)
    if engine.telemetry.scrubFound(problem) {
      engine.configuration.logger.error(
        "the scrub found damage", metadata: ["problem": "\(problem)"])
    }
  }

  private func scrubLog() throws {
    try engine.log.read(after: engine.log.firstLSN - 1, chunkBytes: Self.logChunkBytes) { frame in
      try pace(frame.payload.count)
    }
  }

  /// Each live record against its hash. A record may be replaced while it is compared, so what
  /// looks wrong is looked at again on the writer.
  private func scrubRecords(_ collection: CollectionRuntime) throws {
    var suspects: [UInt32] = []
    var bytes = 0
    var rows = 0
    try engine.records.forEach(collection: collection.id) { row in
      if CollectionCheck.problem(of: row, in: collection) != nil { suspects.append(row.slot) }
      bytes += row.metadata.count + collection.definition.dimensions * 4 + 64
      rows += 1
      if rows % Self.rowsPerPiece == 0 {
        try pace(bytes)
        bytes = 0
      }
      return suspects.count < 64
    }
    try pace(bytes)
    guard !suspects.isEmpty else { return }
    let slots = suspects
    let confirmed = try writer.exclusivelyBlocking { engine in
      guard engine.state.collections[collection.id] === collection else { return [String]() }
      return try engine.records.rows(collection: collection.id, slots: slots).compactMap { row in
        row.flatMap { CollectionCheck.problem(of: $0, in: collection) }
      }
    }
    for problem in confirmed { found("'\(collection.definition.name)': \(problem)") }
  }
}

extension Database {
  /// Starts the scrub unless the configuration turns it off or the disk is a simulated one.
  func startScrub() {
    guard let rate = engine.configuration.scrubBytesPerSecond, rate > 0,
      engine.fileSystem is PosixFileSystem
    else { return }
    let scrubber = Scrubber(engine: engine, writer: writer, bytesPerSecond: rate)
    companions.add(scrubber)
    scrubber.start()
  }

  /// One pass of the scrub at full speed, on the calling thread. What it finds is in `stats`.
  package func scrubOnce() throws {
    try requireOpen()
    try Scrubber(engine: engine, writer: writer, bytesPerSecond: .max).pass()
  }
}
