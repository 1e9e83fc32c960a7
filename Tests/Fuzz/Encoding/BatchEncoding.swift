import VecDB
import VecDBBytes
import VecDBIndex
import VecDBLogStore

/// Batches of every kind and size, made from bytes. What the engine lets into the log must be read
/// back by the code that replays it, and be the same; what is within the limits must be let in.
struct BatchEncoding {
  private(set) var choices: Choices
  /// What is wrong, nil if nothing.
  private(set) var fault: String?
  /// Whether the batch was let in.
  private(set) var isAccepted = false
  private(set) var kind = ""

  /// Encodes one batch and reads it back.
  init(_ bytes: [UInt8]) {
    choices = Choices(bytes)
    switch choices.one(of: 8) {
    case 0: create()
    case 1: drop()
    case 2, 3: write()
    case 4: mark()
    case 5: maintenance()
    case 6: rebuild()
    default: acknowledgement()
    }
  }

  /// Lets a payload in, or not, as the engine does before it logs it, and reads it back.
  private mutating func prove(
    _ kind: String, _ payload: [UInt8], isWithinLimits: Bool, isSame: (DecodedBatch) -> Bool
  ) {
    self.kind = kind
    do { try BatchPayload.requireReplayable(payload, lsn: 7) } catch {
      let code = (error as? VecDBError)?.code
      if isWithinLimits { fault = "\(kind): refused within the limits: \(error)" }
      if code != .limitExceeded && code != .invalidArgument { fault = "\(kind): \(error)" }
      return
    }
    isAccepted = true
    if !isWithinLimits {
      fault = "\(kind): let in beyond the limits"
      return
    }
    do {
      let frame = LogFrame(after: .zero, epochCounter: 1, timeMilliseconds: 2, payload: payload)
      let logged = try frame.encoded().withUnsafeBytes { try LogFrame(decoding: $0, at: kind) }
      guard logged == frame else {
        fault = "\(kind): the frame reads back differently"
        return
      }
      if try !DecodedBatch.with(logged.payload, lsn: 7, isSame) {
        fault = "\(kind): what was logged is not what was meant"
      }
    } catch {
      fault = "\(kind): let in, and cannot be read: \(error)"
    }
  }
}

extension BatchEncoding {
  private mutating func index() -> VecDB.IndexOptions {
    VecDB.IndexOptions(
      m: choices.flag() ? choices.size(around: 64) : 16,
      efConstruction: choices.flag() ? choices.size(around: 4_096) : 128,
      codes: VectorCodes.allCases[choices.one(of: 3)])
  }

  private static func isValid(_ index: VecDB.IndexOptions) -> Bool {
    (4...64).contains(index.m) && (8...4_096).contains(index.efConstruction)
  }

  private mutating func create() {
    let size = choices.size(around: DatabaseLimits.maximumStoredNameBytes)
    let name = choices.text(bytes: size)
    let definition = CollectionDefinition(
      id: choices.number(), name: name,
      dimensions: choices.size(around: DatabaseLimits.maximumDimensions),
      metric: Metric.allCases[choices.one(of: 4)], options: index(), seed: choices.number())
    prove(
      "create", BatchPayload.encodeCreate(definition),
      isWithinLimits: size <= DatabaseLimits.maximumStoredNameBytes
        && Self.isValid(definition.options)
        && (1...DatabaseLimits.maximumDimensions).contains(definition.dimensions)
    ) {
      guard case .create(let found) = $0 else { return false }
      return found == definition && found.name.utf8.elementsEqual(name.utf8)
    }
  }

  private mutating func drop() {
    let id: UInt32 = choices.number()
    prove("drop", BatchPayload.encodeDrop(collection: id), isWithinLimits: true) {
      if case .drop(let found) = $0 { return found == id }
      return false
    }
  }

  private mutating func write() {
    let dimensions = choices.flag() ? 1 + choices.one(of: 8) : choices.size(around: 65_536)
    var isWithinLimits = (1...DatabaseLimits.maximumDimensions).contains(dimensions)
    var births: [PreparedRecord] = []
    for _ in 0..<choices.one(of: dimensions > 64 ? 3 : 20) {
      let size =
        choices.flag() ? choices.one(of: 20) : choices.size(around: DatabaseLimits.maximumKeyBytes)
      isWithinLimits = isWithinLimits && size <= DatabaseLimits.maximumKeyBytes
      let first: UInt32 = choices.number()
      births.append(
        PreparedRecord(
          key: choices.text(bytes: size),
          vector: (0..<dimensions).map { Float(bitPattern: first &+ UInt32($0) &* 0x0101_0107) },
          metadata: choices.bytes(choices.size(around: 300)), expiryMilliseconds: choices.number()))
    }
    // Now and then a batch around the largest frame.
    let deaths = choices.byte() == 7 ? (17 << 18) - 8 + choices.one(of: 16) : choices.one(of: 30)
    let firstDeath: UInt32 = choices.number()
    let slots = (0..<deaths).map { firstDeath &+ UInt32(truncatingIfNeeded: $0) }
    let reused = (0..<choices.one(of: births.count + 1)).map { _ in choices.number(UInt32.self) }
    let (id, firstSlot): (UInt32, UInt32) = (choices.number(), choices.number())
    let payload = BatchPayload.encodeWrite(
      collection: id, dimensions: dimensions, firstSlot: firstSlot, deaths: slots, births: births,
      reusing: reused)
    prove(
      "write", payload,
      isWithinLimits: isWithinLimits && payload.count <= LogFrame.payloadBytesMaximum
    ) {
      guard case .write(let found) = $0, found.collection == id, found.dimensions == dimensions,
        found.firstSlot == firstSlot, found.deaths == slots, found.reused == reused,
        found.births.count == births.count
      else { return false }
      return zip(found.births, births).allSatisfy { found, meant in
        found.key.elementsEqual(meant.keyBytes) && found.metadata.elementsEqual(meant.metadata)
          && found.expiryMilliseconds == meant.expiryMilliseconds && found.hash == meant.hash
          && found.vector.elementsEqual(meant.vector) { $0.bitPattern == $1.bitPattern }
      }
    }
  }

  private mutating func mark() {
    let size = choices.size(around: DatabaseLimits.maximumNameBytes)
    let name = choices.text(bytes: size)
    let (isSet, time) = (choices.flag(), choices.number(Int64.self))
    prove(
      "mark", BatchPayload.encodeMark(name: name, isSet: isSet, timeMilliseconds: time),
      isWithinLimits: size <= DatabaseLimits.maximumNameBytes
    ) {
      guard case .mark(let found, isSet, time) = $0 else { return false }
      return found.utf8.elementsEqual(name.utf8)
    }
  }

  private mutating func maintenance() {
    let (id, one, other) = (
      choices.number(UInt32.self), choices.number(UInt32.self), choices.number(UInt32.self)
    )
    let step: IndexGeneration.MaintenanceStep =
      choices.flag() ? .collect : .repair(Int(min(one, other))..<Int(max(one, other)))
    prove(
      "maintenance", BatchPayload.encodeMaintenance(collection: id, step), isWithinLimits: true
    ) {
      if case .maintenance(id, let found) = $0 { return found == step }
      return false
    }
  }

  private mutating func rebuild() {
    let header = RebuildBatch.Header(
      collection: choices.number(), number: choices.number(), timeMilliseconds: choices.number())
    let size = choices.size(around: RebuildBatch.maximumReasonBytes)
    let reason = choices.text(bytes: size)
    var isWithinLimits = size <= RebuildBatch.maximumReasonBytes
    let batch: RebuildBatch
    switch choices.one(of: 6) {
    case 0:
      batch = .swap(lsn: choices.number(), digest: SHA256.hash(choices.bytes(8)))
      isWithinLimits = true
    case 1: batch = .rollback(reason: reason)
    case 2: batch = .retire(reason: reason)
    case 3:
      batch = .exchange
      isWithinLimits = true
    default:
      let (options, index) = (rebuildOptions(), index())
      // The engine asks first.
      guard (try? options.requireValid(at: "")) != nil, Self.isValid(index) else { return }
      batch = .begin(
        RebuildPlan(
          options, index: index, cause: choices.flag() ? .policy : .request, reason: reason))
    }
    prove("rebuild", batch.encode(header), isWithinLimits: isWithinLimits) {
      guard case .rebuild(header, let found) = $0 else { return false }
      return found == batch && found.reason.utf8.elementsEqual(batch.reason.utf8)
    }
  }

  private mutating func rebuildOptions() -> RebuildOptions {
    var options = RebuildOptions()
    options.gate.queries = choices.size(around: 10_000)
    options.gate.k = choices.size(around: 1_000)
    options.gate.efSearch = choices.size(around: DatabaseLimits.maximumK)
    options.gate.minimumRecall = choices.flag() ? nil : Double(choices.byte()) / 200
    options.gate.recallTolerance = Double(choices.byte()) / 250
    options.gate.latencyFactor = Double(bitPattern: choices.number())
    options.budget.threads = choices.size(around: 256)
    options.budget.recordsPerSecond = choices.flag() ? nil : choices.number()
    options.budget.memoryBytes = choices.flag() ? nil : choices.number()
    options.budget.pauseAboveMilliseconds =
      choices.flag() ? nil : Double(bitPattern: choices.number())
    options.graceSeconds = choices.size(around: 31_536_000)
    options.keepsRefused = choices.flag()
    return options
  }

  private mutating func acknowledgement() {
    let policy = choices.bytes(choices.size(around: 1 << 16))
    prove(
      "acknowledgement", BatchPayload.encodeAcknowledgement(policy),
      isWithinLimits: policy.count <= 1 << 16
    ) {
      if case .acknowledgement(let found) = $0 { return found == policy }
      return false
    }
  }
}

extension RebuildBatch {
  fileprivate var reason: String {
    switch self {
    case .begin(let plan): plan.reason
    case .rollback(let reason), .retire(let reason): reason
    case .swap, .exchange: ""
    }
  }
}
