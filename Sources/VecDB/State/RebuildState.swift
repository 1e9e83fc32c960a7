import VecDBBytes
import VecDBIndex

/// A rebuild as the log defines it, kept in the catalog of every manifest: all that is needed to
/// take it up after a crash, in a restored copy, or on another node.
struct RebuildState: Sendable, Hashable {
  typealias Phase = RebuildPhase

  var phase = Phase.building
  /// The new generation.
  var number: UInt32
  /// The generation that served when the rebuild began, and its parameters.
  var previous: UInt32
  var previousOptions: IndexOptions
  /// The batch that began the rebuild: the new generation starts from the state there.
  var origin: UInt64
  /// Slots assigned at `origin`.
  var slotCount: UInt32
  var plan: RebuildPlan
  var beganMilliseconds: Int64
  /// The batch that made the new generation serve, and when; 0 before.
  var swapLSN: UInt64 = 0
  var swappedMilliseconds: Int64 = 0
}

/// What a rebuild was begun with; part of the batch that begins it.
package struct RebuildPlan: Sendable, Hashable {
  package enum Cause: UInt8, Sendable {
    case request = 0
    case policy = 1
  }

  var options: IndexOptions
  var gate: RebuildGate
  var budget: RebuildBudget
  var graceSeconds: Int
  var keepsRefused: Bool
  var cause = Cause.request
  /// Why, in words.
  package var reason: String

  /// The choices that are made, with those of the index, which must be valid.
  package init(
    _ choices: RebuildOptions, index: IndexOptions, cause: Cause = .request, reason: String
  ) {
    options = index
    gate = choices.gate
    budget = choices.budget
    graceSeconds = choices.graceSeconds
    keepsRefused = choices.keepsRefused
    self.cause = cause
    self.reason = reason
  }
}

/// How a collection's last rebuild ended.
struct RebuildOutcome: Sendable, Hashable {
  enum Kind: UInt8, Sendable {
    /// Cancelled or refused before the swap.
    case dropped = 1
    case rolledBack = 2
    /// The old generation was given up after the grace period.
    case retired = 3
    /// The collection was exchanged with another one, at the end of a migration.
    case moved = 4
  }

  var kind: Kind
  /// The generation that the rebuild made.
  var number: UInt32
  var lsn: UInt64
  var milliseconds: Int64
  var reason: String
}

// MARK: Coding

extension RebuildPlan {
  private static let version: UInt8 = 1

  /// UInt8 version; index options (see `IndexOptions.encode`); gate: UInt32 queries, k, efSearch, Double minimum
  /// recall (below 0: the old one's), tolerance, latency factor; budget: UInt32 threads, UInt64
  /// records a second, memory in bytes (0: no limit), Double milliseconds to pause above (0:
  /// never); UInt32 grace in seconds, UInt8 keeps a refused one, UInt8 cause, counted reason.
  func encode(to writer: inout ByteWriter) {
    writer.write(Self.version)
    options.encode(to: &writer)
    writer.write(UInt32(gate.queries))
    writer.write(UInt32(gate.k))
    writer.write(UInt32(gate.efSearch))
    writer.write(gate.minimumRecall ?? -1)
    writer.write(gate.recallTolerance)
    writer.write(gate.latencyFactor)
    writer.write(UInt32(budget.threads))
    writer.write(UInt64(budget.recordsPerSecond ?? 0))
    writer.write(UInt64(budget.memoryBytes ?? 0))
    writer.write(budget.pauseAboveMilliseconds ?? 0)
    writer.write(UInt32(graceSeconds))
    writer.write(UInt8(keepsRefused ? 1 : 0))
    writer.write(cause.rawValue)
    writer.write(reason)
  }

  init(from reader: inout ByteReader) throws {
    let version: UInt8 = try reader.read("rebuild plan version")
    guard version == Self.version else { throw reader.failure("rebuild plan version") }
    options = try IndexOptions(from: &reader)
    gate = RebuildGate()
    gate.queries = Int(try reader.read(UInt32.self, "gate queries"))
    gate.k = Int(try reader.read(UInt32.self, "gate k"))
    gate.efSearch = Int(try reader.read(UInt32.self, "gate efSearch"))
    let minimum = try reader.readDouble("minimum recall")
    gate.minimumRecall = minimum < 0 ? nil : minimum
    gate.recallTolerance = try reader.readDouble("recall tolerance")
    gate.latencyFactor = try reader.readDouble("latency factor")
    budget = RebuildBudget()
    budget.threads = Int(try reader.read(UInt32.self, "budget threads"))
    func limit(_ field: String) throws -> Int? {
      let value = try reader.read(UInt64.self, field)
      guard value <= UInt64(Int.max) else { throw reader.failure(field) }
      return value == 0 ? nil : Int(value)
    }
    budget.recordsPerSecond = try limit("budget rate")
    budget.memoryBytes = try limit("budget memory")
    let pause = try reader.readDouble("budget latency")
    budget.pauseAboveMilliseconds = pause > 0 ? pause : nil
    graceSeconds = Int(try reader.read(UInt32.self, "grace period"))
    let keeps: UInt8 = try reader.read("whether a refused candidate is kept")
    guard keeps <= 1, let cause = Cause(rawValue: try reader.read("cause")) else {
      throw reader.failure("cause")
    }
    keepsRefused = keeps == 1
    self.cause = cause
    reason = try reader.readString(maximum: 4_096, "reason")
    guard (try? budget.requireValid(at: "")) != nil else { throw reader.failure("budget") }
  }
}

extension RebuildState {
  /// UInt8 phase, UInt32 number, previous, its index options, UInt64 origin, UInt32 slots,
  /// Int64 begin, UInt64 swap LSN, Int64 swap time, plan.
  func encode(to writer: inout ByteWriter) {
    writer.write(phase.rawValue)
    writer.write(number)
    writer.write(previous)
    previousOptions.encode(to: &writer)
    writer.write(origin)
    writer.write(slotCount)
    writer.write(beganMilliseconds)
    writer.write(swapLSN)
    writer.write(swappedMilliseconds)
    plan.encode(to: &writer)
  }

  init(from reader: inout ByteReader) throws {
    guard let phase = Phase(rawValue: try reader.read("rebuild phase")) else {
      throw reader.failure("rebuild phase")
    }
    self.phase = phase
    number = try reader.read("generation")
    previous = try reader.read("previous generation")
    previousOptions = try IndexOptions(from: &reader)
    origin = try reader.read("rebuild origin")
    slotCount = try reader.read("rebuild slots")
    beganMilliseconds = try reader.read("rebuild begin")
    swapLSN = try reader.read("swap LSN")
    swappedMilliseconds = try reader.read("swap time")
    plan = try RebuildPlan(from: &reader)
  }
}

extension RebuildOutcome {
  func encode(to writer: inout ByteWriter) {
    writer.write(kind.rawValue)
    writer.write(number)
    writer.write(lsn)
    writer.write(milliseconds)
    writer.write(reason)
  }

  init(from reader: inout ByteReader) throws {
    guard let kind = Kind(rawValue: try reader.read("rebuild outcome")) else {
      throw reader.failure("rebuild outcome")
    }
    self.kind = kind
    number = try reader.read("generation")
    lsn = try reader.read("outcome LSN")
    milliseconds = try reader.read("outcome time")
    reason = try reader.readString(maximum: 4_096, "outcome reason")
  }
}

extension RebuildOutcome {
  var text: String {
    guard kind != .moved else { return "a migration put another vector space here at LSN \(lsn)" }
    let what =
      switch kind {
      case .dropped: "given up"
      case .rolledBack: "rolled back"
      case .retired, .moved: "completed"
      }
    return "the rebuild of generation \(number) was \(what) at LSN \(lsn)"
      + (reason.isEmpty ? "" : ": \(reason)")
  }
}

/// The part of a rebuild that the log knows.
package enum RebuildPhase: UInt8, Sendable {
  /// The new generation is being built beside the one that serves.
  case building = 1
  /// The new one serves, and the old one is kept caught up.
  case grace = 2
}
