import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// A node of the cluster: the model of a database, and the sessions that the real one would run.
/// Its driver does what the state machines say, like the one that stands on sockets.
struct SimulatedNode {
  let id: Int
  let name: String
  var store: ModelStore
  var isUp = true
  /// Counts restarts, so that what an earlier life began does not reach a later one.
  var life = 0
  /// Sessions that this node serves, by connection.
  var served: [Int: PrimarySession] = [:]
  var acknowledgement: Acknowledgement
  var waiting: [UInt64: UInt64] = [:]
  /// The session in which this node follows another.
  var following: (connection: Int, peer: Int, session: ReplicaSession)?
  var fetching: (connection: Int, peer: Int)?
  var followed: LogIdentity?
  var backoff = Backoff(firstMilliseconds: 20, maximumMilliseconds: 400)
  var nextAttempt: UInt64 = 0
  var nextPeer: Int
  /// When it looks again whether the primary can be had instead of who is followed.
  var nextLook: UInt64 = 0
  /// It tries to write its file again then.
  var unsaved = false
  /// A change of the policy that is under way: its ticket, and what comes in the end.
  var change: (ticket: UInt64, target: AcknowledgementPolicy)?
  let nodeID: UniqueID
  var lag = Lag(silenceMilliseconds: 400)
  var promotion: Candidacy?
  /// It was a primary, was started as a follower, and follows as soon as it has found whom.
  var isUnproven = false
  /// How many peers it has asked since, and whether one of them said that it hears no primary.
  var attempts = 0
  var heardNobody = false
  /// It has raised an alarm that says to promote it.
  var isStranded = false
  var coordination: SimulatedCoordination?

  struct Candidacy {
    var machine: Promotion
    var connections: [Int: Int]
    var deadline: UInt64
    var isForced: Bool
    var isProbing = true
  }

  init(id: Int, store: ModelStore) {
    self.id = id
    name = "n\(id)"
    nodeID = UniqueID(high: 77, low: UInt64(id) + 1)
    self.store = store
    acknowledgement = Acknowledgement(terms: store.terms)
    nextPeer = (id + 1) % 3
  }

  /// Whether it is the primary as far as it knows.
  var isPrimary: Bool { isUp && store.isWriter && store.fence.admits(store.identity.name) }

  /// Whether writes are accepted.
  var isWritable: Bool { isPrimary && acknowledgement.isReadyToWrite }

  mutating func crash() {
    isUp = false
    life += 1
    served = [:]
    following = nil
    fetching = nil
    followed = nil
    promotion = nil
    waiting = [:]
    change = nil
    unsaved = false
    isUnproven = false
    lag = Lag(silenceMilliseconds: 400)
  }
}
