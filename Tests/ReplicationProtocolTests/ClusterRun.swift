import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

struct ClusterFailure: Error, CustomStringConvertible {
  var description: String
}

/// One seed of the cluster simulator: a primary and two replicas, a network, disks and a clock that
/// all misbehave for a while; then the faults stop and the cluster has to become whole.
///
/// Deterministic: the seed decides everything.
struct ClusterRun {
  enum Event {
    case tick(node: Int)
    case deliver(connection: Int, to: Int, SimulatedNetwork.Delivery)
    case committed(node: Int, life: Int, frames: [LogFrame], connection: Int)
    case ship(node: Int, life: Int, connection: Int, after: UInt64)
    case write
    case fault
    case mend(SimulatedFault)
    case coordination(CoordinationEvent)
  }

  enum SimulatedFault {
    case restart(Int)
    case link([Int])
  }

  struct Write {
    var epoch: EpochName
    var lsn: UInt64
    var isAcknowledged = false
  }

  /// A promotion, and what its certificate claims about writes of the epochs from the old one up to
  /// the new one.
  struct Certified {
    var node: Int
    var oldEpoch: EpochName
    var newEpoch: EpochName
    /// So many acknowledged writes may be missing.
    var bound: UInt64
    /// What the new primary had then.
    var store: ModelStore
    var isForced: Bool
    var missing: Set<UInt64> = []
    /// Of these, what the certificate speaks for.
    var counted: Set<UInt64> = []
  }

  let seed: UInt64
  let scenario: ClusterScenario
  var generator: SplitMix64
  var now: UInt64 = 0
  var network = SimulatedNetwork()
  var nodes: [SimulatedNode] = []
  var events = EventQueue()
  var history: [String] = []
  var writes: [UInt64: Write] = [:]
  var writers: [EpochName: Int] = [:]
  var nextWrite: UInt64 = 1
  var isMending = false
  var limits = SessionLimits()
  var alarms: [String] = []
  var backupOfPrimary: ModelStore?
  var snapshots: [LogPosition: ModelStore] = [:]
  var expected: [(node: Int, lsn: UInt64, digest: Digest, connection: Int)] = []
  /// When each disk is done with what it was given.
  var diskFree: [UInt64] = [0, 0, 0, 0]
  var fetchDeadline: [UInt64] = [0, 0, 0, 0]
  /// The nodes of the database; one more is of another.
  let members = 0..<3
  /// Epochs that began, and whether it was by force.
  var began: [EpochName: (parent: EpochName, isForced: Bool)] = [:]
  var nextTicket: UInt64 = 1 << 60
  var mendedAt: UInt64 = 0
  /// The first write after the faults stopped that was acknowledged.
  var writesAgainAt: UInt64?
  var lastOperation: UInt64 = 0
  var certified: [Certified] = []
  var leaseStore = SimulatedLeaseStore()
  /// Nodes that do not reach it.
  var storeCuts: Set<Int> = []
  var latestAcknowledgement: (epoch: EpochName, node: Int)?
  /// How often somebody with the lease set out to be the primary.
  var leaderships = 0
  var questions: UInt64 = 0

  init(seed: UInt64, scenario: ClusterScenario? = nil) {
    self.seed = seed
    generator = SplitMix64(seed: seed)
    self.scenario = scenario ?? ClusterScenario(seed: seed, using: &generator)
    limits.heartbeatMilliseconds = 50
    limits.silenceMilliseconds = 250
    limits.helloMilliseconds = 250
    limits.creditBytes = 2_000
    limits.messageBytes = 400
    let first = Epoch(
      counter: 1, id: UniqueID(high: 1, low: seed), parentID: .zero, beganAtLSN: 0,
      beganAtChain: .zero)
    let identity = LogIdentity(databaseID: UniqueID(high: 7, low: seed), epochs: [first])
    began[EpochName(first)] = (.none, false)
    let terms = AcknowledgementTerms(self.scenario.policy(of: 0))
    nodes = members.map {
      SimulatedNode(
        id: $0, store: ModelStore(identity: identity, isWriter: $0 == 0, terms: terms))
    }
    if self.scenario.foreigners { nodes.append(Self.foreigner(seed)) }
    for node in members { beginCoordination(node) }
    for node in nodes.indices { events.add(.tick(node: node), at: UInt64(node)) }
    events.add(.write, at: 30)
    events.add(.fault, at: 100)
    network.faults = self.scenario.network
  }

  /// A node of another database, in which much has happened.
  private static func foreigner(_ seed: UInt64) -> SimulatedNode {
    let epoch = Epoch(
      counter: 60, id: UniqueID(high: 999, low: seed), parentID: .zero, beganAtLSN: 0,
      beganAtChain: .zero)
    let identity = LogIdentity(databaseID: UniqueID(high: 8, low: seed), epochs: [epoch])
    var store = ModelStore(identity: identity, isWriter: seed % 2 == 0)
    // One that follows nobody now, and has promised itself to somebody.
    _ = store.fence.raise(to: EpochName(counter: 70, id: UniqueID(high: 999, low: seed)))
    if seed % 3 == 0 {
      _ = store.fence.promise(EpochName(counter: 80, id: UniqueID(high: 999, low: 1)))
    }
    if store.isWriter { store.fence = Fence() }
    _ = store.write([0, 0, 0, 0, 0, 0, 0, 0], timeMilliseconds: 0)
    _ = store.persist(failing: false, reachesDisk: true)
    return SimulatedNode(id: 3, store: store)
  }

  /// Runs the seed; throws what does not hold.
  mutating func run() throws {
    while now < scenario.faultMilliseconds { try step() }
    mend()
    let deadline = now + 20_000
    while now < deadline {
      try step()
      if now % 64 == 0, isWhole() { break }
    }
    try prove()
  }

  mutating func step() throws {
    guard let (time, event) = events.next() else { return }
    now = max(now, time)
    if waitsForSuspended(event) { return }
    switch event {
    case .tick(let node):
      events.add(.tick(node: node), at: now + 10)
      try tick(node)
    case .deliver(let connection, let node, let delivery):
      try deliver(delivery, on: connection, to: node)
    case .committed(let node, let life, let frames, let connection):
      try committed(frames, node, life, connection)
    case .ship(let node, let life, let connection, let after):
      try ship(node, life, connection, after)
    case .write:
      events.add(.write, at: now + UInt64.random(in: 1...16, using: &generator))
      if !isMending || writesAgainAt == nil { try write() }
      let bound: UInt64 = scenario.coordination == nil ? 10_000 : 5_000
      if isMending, writesAgainAt == nil, now > mendedAt + bound {
        throw failure(
          "no write was acknowledged within \(bound) ms after the faults stopped: \(states)")
      }
    case .fault:
      if !isMending {
        events.add(.fault, at: now + UInt64.random(in: 20...400, using: &generator))
        try strike()
      }
    case .mend(.restart(let node)): restart(node)
    case .mend(.link(let link)): network.cut.remove(link)
    case .coordination(let event): try happened(event)
    }
  }

  mutating func note(_ text: String) {
    if history.count < 4_000 { history.append("\(now): \(text)") }
  }

  func failure(_ text: String) -> ClusterFailure {
    ClusterFailure(
      description: "seed \(seed) (\(scenario)): \(text)\n  "
        + history.suffix(60).joined(separator: "\n  "))
  }
}

/// Events by time, those of one time in the order in which they were added.
struct EventQueue {
  private var heap: [(time: UInt64, order: UInt64, event: ClusterRun.Event)] = []
  private var order: UInt64 = 0

  mutating func add(_ event: ClusterRun.Event, at time: UInt64) {
    order += 1
    heap.append((time, order, event))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> (time: UInt64, event: ClusterRun.Event)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = parent
        for child in [2 * parent + 1, 2 * parent + 2]
        where child < heap.count && isBefore(child, least) { least = child }
        if least == parent { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    return (first.time, first.event)
  }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
