import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// What goes wrong between nodes, as chances for each frame.
struct NetworkFaults {
  var lost = 0.0
  var duplicated = 0.0
  var truncated = 0.0
  var damaged = 0.0
  var delayMilliseconds: ClosedRange<UInt64> = 0...2
}

/// Connections between nodes that carry the bytes of frames. Each direction keeps its order, as a
/// stream does; connections overtake each other. A cut link swallows what is sent over it.
struct SimulatedNetwork {
  struct Connection {
    var client: Int
    var server: Int
    var isOpen = true
    /// By direction: from the client, from the server.
    var sequence: [UInt64] = [0, 0]
    var lastArrival: [UInt64] = [0, 0]
    var readers: [WireFrameReader]
  }

  enum Delivery {
    case bytes([UInt8])
    case closed
  }

  private(set) var connections: [Int: Connection] = [:]
  /// Directed links that swallow everything.
  var cut: Set<[Int]> = []
  var faults = NetworkFaults()
  private var nextID = 0

  mutating func open(from client: Int, to server: Int) -> Int {
    nextID += 1
    let reader = WireFrameReader(payloadBytesMaximum: Message.payloadBytesMaximum)
    connections[nextID] = Connection(client: client, server: server, readers: [reader, reader])
    return nextID
  }

  mutating func close(_ id: Int) { connections[id] = nil }

  /// When the last of what a node has sent is there: the end of a stream does not overtake it.
  func lastArrival(on id: Int, from node: Int) -> UInt64 {
    guard let connection = connections[id] else { return 0 }
    return connection.lastArrival[node == connection.client ? 0 : 1]
  }

  /// Connections of a node that has crashed.
  func connections(of node: Int) -> [Int] {
    connections.filter { $1.client == node || $1.server == node }.keys.sorted()
  }

  /// The deliveries that a message causes, with their times.
  mutating func send(
    _ message: Message, on id: Int, from sender: Int, now: UInt64,
    using generator: inout SplitMix64
  ) -> [(time: UInt64, delivery: Delivery)] {
    guard var connection = connections[id] else { return [] }
    defer { connections[id] = connection }
    let direction = sender == connection.client ? 0 : 1
    let receiver = direction == 0 ? connection.server : connection.client
    var bytes = message.encoded(sequence: connection.sequence[direction])
    connection.sequence[direction] += 1
    guard !cut.contains([sender, receiver]) else { return [] }
    let delay = UInt64.random(in: faults.delayMilliseconds, using: &generator)
    let time = max(now + delay, connection.lastArrival[direction])
    connection.lastArrival[direction] = time
    let chance = Double.random(in: 0..<1, using: &generator)
    var limit = faults.lost
    if chance < limit { return [] }
    limit += faults.duplicated
    if chance < limit { return [(time, .bytes(bytes)), (time, .bytes(bytes))] }
    limit += faults.truncated
    if chance < limit {
      bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator))
      return [(time, .bytes(bytes)), (time, .closed)]
    }
    limit += faults.damaged
    if chance < limit {
      bytes[Int.random(in: bytes.indices, using: &generator)] ^=
        1 << UInt8.random(in: 0..<8, using: &generator)
    }
    return [(time, .bytes(bytes))]
  }

  /// The messages in bytes that arrive. Throws what ends the connection.
  mutating func receive(_ bytes: [UInt8], on id: Int, at node: Int) throws -> [Message] {
    guard var connection = connections[id] else { return [] }
    let direction = node == connection.server ? 0 : 1
    defer { connections[id] = connection }
    connection.readers[direction].feed(bytes)
    var messages: [Message] = []
    while let frame = try connection.readers[direction].next() {
      if let message = try Message(frame) { messages.append(message) }
    }
    return messages
  }
}

/// Steele, Lea and Flood's generator: small, fast, and the same everywhere.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678 }

  mutating func next() -> UInt64 {
    return splitMix64(&state)
  }

  mutating func chance(_ probability: Double) -> Bool {
    Double.random(in: 0..<1, using: &self) < probability
  }
}
