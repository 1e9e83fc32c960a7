import VecDBBytes
import VecDBFiles
import VecDBLogStore

extension Message {
  /// The number of a message on the wire.
  enum Kind: UInt8 {
    case hello = 1
    case welcome = 2
    case snapshotNeeded = 3
    case diverged = 4
    case refuse = 5
    case data = 6
    case credit = 7
    case progress = 8
    case heartbeat = 9
    case digest = 10
    case epochs = 11
    case pull = 12
    case pulled = 13
    case pullRefused = 14
    case requestPromise = 15
    case promise = 16
    case openSnapshot = 17
    case snapshot = 18
    case requestBlocks = 19
    case block = 20
    case probe = 21
    case withdraw = 22

    /// Those that came later: who does not know them goes on without.
    var isSkippable: Bool { self == .probe || self == .withdraw }
  }

  private static let samplesMaximum = 64
  private static let framesMaximum = 1 << 16
  private static let blocksMaximum = 64
  /// The longest payload of a message that a stranger may send.
  package static let greetingBytesMaximum = 1 << 20
  /// The longest payload of any message: a frame and what is around it.
  package static let payloadBytesMaximum = LogFrame.payloadBytesMaximum + (4 << 20)

  package func encoded(sequence: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    let kind = write(to: &writer)
    return WireFrame(
      kind: kind.rawValue, sequence: sequence, payload: writer.bytes, isSkippable: kind.isSkippable
    ).encoded()
  }

  private func write(to writer: inout ByteWriter) -> Kind {
    switch self {
    case .hello(let hello):
      hello.write(to: &writer)
      return .hello
    case .openSnapshot(let hello):
      hello.write(to: &writer)
      return .openSnapshot
    case .welcome(let welcome):
      writer.write(counted: welcome.identity.encoded())
      writer.write(welcome.primaryEnd)
      writer.write(welcome.heartbeatMilliseconds)
      writer.write(UInt8(welcome.isPrimary ? 1 : 0))
      return .welcome
    case .snapshotNeeded(let identity):
      writer.write(counted: identity.encoded())
      return .snapshotNeeded
    case .diverged(let position, let identity):
      writer.write(position)
      writer.write(counted: identity.encoded())
      return .diverged
    case .refuse(let refusal):
      writer.write(refusal.reason.rawValue)
      writer.write(refusal.text)
      writer.write(refusal.fence)
      writer.write(refusal.databaseID)
      return .refuse
    case .data(let data):
      writer.write(data.primaryEnd)
      writer.write(data.bytesBehind)
      writer.write(data.frames)
      return .data
    case .credit(let bytes):
      writer.write(bytes)
      return .credit
    case .progress(let progress):
      for lsn in [progress.received, progress.durable, progress.applied, progress.searchable] {
        writer.write(lsn)
      }
      return .progress
    case .heartbeat(let heartbeat):
      writer.write(heartbeat.end)
      writer.write(heartbeat.bytesBehind)
      writer.write(heartbeat.epoch)
      return .heartbeat
    case .digest(let lsn, let digest):
      writer.write(lsn)
      writer.write(digest)
      return .digest
    case .epochs(let identity):
      writer.write(counted: identity.encoded())
      return .epochs
    case .pull(let position):
      writer.write(position)
      return .pull
    case .pulled(let frames, let isLast):
      writer.write(UInt8(isLast ? 1 : 0))
      writer.write(frames)
      return .pulled
    case .pullRefused(let text):
      writer.write(text)
      return .pullRefused
    case .requestPromise(let request):
      request.write(to: &writer)
      return .requestPromise
    case .promise(let promise):
      promise.write(to: &writer)
      return .promise
    case .probe(let request):
      request.write(to: &writer)
      return .probe
    case .withdraw(let epoch):
      writer.write(epoch)
      return .withdraw
    case .snapshot(let snapshot):
      writer.write(counted: snapshot.manifest)
      writer.write(counted: snapshot.identity.encoded())
      return .snapshot
    case .requestBlocks(let hashes):
      writer.write(UInt32(hashes.count))
      for hash in hashes { writer.write(hash) }
      return .requestBlocks
    case .block(let hash, let bytes):
      writer.write(hash)
      writer.write(UInt8(bytes == nil ? 0 : 1))
      writer.write(counted: bytes ?? [])
      return .block
    }
  }

  /// The message in a frame; nil if its kind is not known and may be skipped.
  package init?(_ frame: WireFrame) throws {
    guard let kind = Kind(rawValue: frame.kind) else {
      if frame.isSkippable { return nil }
      throw WireError("a message of the unknown kind \(frame.kind)")
    }
    do {
      self = try frame.payload.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        return try Message(kind, from: &reader)
      }
    } catch let failure as ByteReader.Failure {
      throw WireError("a damaged message of kind \(frame.kind): \(failure)")
    } catch let error as StoreError {
      throw WireError("a damaged message of kind \(frame.kind): \(error.message)")
    }
  }

  private init(_ kind: Kind, from reader: inout ByteReader) throws {
    switch kind {
    case .hello: self = .hello(try Hello(from: &reader))
    case .openSnapshot: self = .openSnapshot(try Hello(from: &reader))
    case .welcome:
      self = .welcome(
        Welcome(
          identity: try reader.readIdentity(), primaryEnd: try reader.read("end"),
          heartbeatMilliseconds: try reader.read("heartbeat"),
          isPrimary: try reader.remaining == 0 || reader.read(UInt8.self, "part") == 1))
    case .snapshotNeeded: self = .snapshotNeeded(try reader.readIdentity())
    case .diverged:
      self = .diverged(try reader.readPosition("position"), try reader.readIdentity())
    case .refuse:
      let reason = Refusal.Reason(rawValue: try reader.read("reason")) ?? .protocolViolation
      self = .refuse(
        Refusal(
          reason, try reader.readString(maximum: 4_096, "text"),
          fence: try reader.readEpochName(), databaseID: try reader.readLateID("database id")))
    case .data:
      let end: UInt64 = try reader.read("end")
      let behind: UInt64 = try reader.read("bytes behind")
      self = .data(
        Data(
          frames: try reader.readFrames(maximum: Self.framesMaximum), primaryEnd: end,
          bytesBehind: behind))
    case .credit: self = .credit(try reader.read("credit"))
    case .progress:
      self = .progress(
        Progress(
          received: try reader.read("received"), durable: try reader.read("durable"),
          applied: try reader.read("applied"), searchable: try reader.read("searchable")))
    case .heartbeat:
      self = .heartbeat(
        Heartbeat(
          end: try reader.read("end"), bytesBehind: try reader.read("bytes behind"),
          epoch: try reader.readEpochName()))
    case .digest: self = .digest(lsn: try reader.read("LSN"), try reader.readDigest("digest"))
    case .epochs: self = .epochs(try reader.readIdentity())
    case .pull: self = .pull(try reader.readPosition("position"))
    case .pulled:
      let isLast = try reader.read(UInt8.self, "last") == 1
      self = .pulled(try reader.readFrames(maximum: Self.framesMaximum), isLast: isLast)
    case .pullRefused: self = .pullRefused(try reader.readString(maximum: 4_096, "text"))
    case .requestPromise: self = .requestPromise(try PromiseRequest(from: &reader))
    case .promise: self = .promise(try Promise(from: &reader))
    case .probe: self = .probe(try PromiseRequest(from: &reader))
    case .withdraw: self = .withdraw(try reader.readEpochName())
    case .snapshot:
      self = .snapshot(
        Snapshot(
          manifest: Array(try reader.readCounted("manifest")), identity: try reader.readIdentity()))
    case .requestBlocks:
      let count = Int(try reader.read(UInt32.self, "blocks"))
      guard count <= Self.blocksMaximum else { throw reader.failure("blocks") }
      self = .requestBlocks(try (0..<count).map { _ in try reader.readDigest("hash") })
    case .block:
      let hash = try reader.readDigest("hash")
      let isThere = try reader.read(UInt8.self, "presence") == 1
      let bytes = Array(try reader.readCounted("block"))
      self = .block(hash, isThere ? bytes : nil)
    }
  }
}

extension Message.Hello {
  func write(to writer: inout ByteWriter) {
    writer.write(name)
    writer.write(counted: identity?.encoded() ?? [])
    writer.write(end)
    writer.write(fence)
    writer.write(UInt32(samples.count))
    for sample in samples { writer.write(sample) }
    writer.write(creditBytes)
    writer.write(nodeID)
    writer.write(promised)
  }

  init(from reader: inout ByteReader) throws {
    name = try reader.readString(maximum: 255, "name")
    let identity = Array(try reader.readCounted(maximum: 1 << 20, "identity"))
    self.identity = identity.isEmpty ? nil : try LogIdentity(decoding: identity, at: "the hello")
    end = try reader.readPosition("end")
    fence = try reader.readEpochName()
    let count = Int(try reader.read(UInt32.self, "samples"))
    guard count <= 64 else { throw reader.failure("samples") }
    samples = []
    for _ in 0..<count { samples.append(try reader.readPosition("sample")) }
    creditBytes = try reader.read("credit")
    nodeID = try reader.readLateID("node id")
    promised = try reader.readLateEpochNames()
  }
}

extension Message.PromiseRequest {
  func write(to writer: inout ByteWriter) {
    writer.write(candidate)
    writer.write(databaseID)
    writer.write(epoch)
    writer.write(end)
    writer.write(UInt8(isPlanned ? 1 : 0))
  }

  init(from reader: inout ByteReader) throws {
    candidate = try reader.readString(maximum: 255, "candidate")
    databaseID = try reader.readUniqueID("database id")
    epoch = try reader.readEpochName()
    end = try reader.readPosition("end")
    isPlanned = try reader.read(UInt8.self, "whether it is planned") == 1
  }
}

extension Message.Promise {
  func write(to writer: inout ByteWriter) {
    writer.write(name)
    writer.write(UInt8(isGranted ? 1 : 0))
    writer.write(UInt8(isPrimary ? 1 : 0))
    writer.write(counted: identity.encoded())
    writer.write(end)
    writer.write(fence)
    writer.write(text)
    writer.write(nodeID)
    writer.write(promised)
  }

  init(from reader: inout ByteReader) throws {
    name = try reader.readString(maximum: 255, "name")
    isGranted = try reader.read(UInt8.self, "grant") == 1
    isPrimary = try reader.read(UInt8.self, "whether it was primary") == 1
    identity = try reader.readIdentity()
    end = try reader.readPosition("end")
    fence = try reader.readEpochName()
    text = try reader.readString(maximum: 4_096, "text")
    nodeID = try reader.readLateID("node id")
    promised = try reader.readLateEpochNames()
  }
}

extension ByteWriter {
  mutating func write(_ epochs: [EpochName]) {
    write(UInt32(epochs.count))
    for epoch in epochs { write(epoch) }
  }

  mutating func write(_ epoch: EpochName) {
    write(epoch.counter)
    write(epoch.id)
  }

  mutating func write(_ frames: [LogFrame]) {
    write(UInt32(frames.count))
    for frame in frames { write(counted: frame.encoded()) }
  }
}

extension ByteReader {
  mutating func readEpochName() throws -> EpochName {
    EpochName(counter: try read("epoch counter"), id: try readUniqueID("epoch id"))
  }

  /// A field that came later.
  mutating func readLateID(_ what: String) throws -> UniqueID {
    remaining == 0 ? .zero : try readUniqueID(what)
  }

  mutating func readLateEpochNames() throws -> [EpochName] {
    guard remaining > 0 else { return [] }
    let count = Int(try read(UInt32.self, "promises"))
    guard count <= Fence.promisesMaximum + 1 else { throw failure("promises") }
    return try (0..<count).map { _ in try readEpochName() }
  }

  mutating func readIdentity() throws -> LogIdentity {
    try LogIdentity(decoding: try readCounted(maximum: 8 << 20, "identity"), at: "a message")
  }

  mutating func readFrames(maximum: Int) throws -> [LogFrame] {
    let count = Int(try read(UInt32.self, "frames"))
    guard count <= maximum, count <= remaining / 72 else { throw failure("frames") }
    var frames: [LogFrame] = []
    frames.reserveCapacity(count)
    for _ in 0..<count {
      frames.append(try LogFrame(decoding: try readCounted("frame"), at: "a message"))
    }
    return frames
  }
}
