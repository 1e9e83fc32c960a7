import Bytes
import LogStore
import ReplicationProtocol

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
  var lag = Lag(silenceMilliseconds: 400)
  var promotion: Candidacy?
  /// It has raised an alarm that says to promote it.
  var isStranded = false

  struct Candidacy {
    var machine: Promotion
    var connections: [Int: Int]
    var deadline: UInt64
    var isForced: Bool
  }

  init(id: Int, store: ModelStore, policy: AcknowledgementPolicy) {
    self.id = id
    name = "n\(id)"
    self.store = store
    acknowledgement = Acknowledgement(policy: policy)
    nextPeer = (id + 1) % 3
  }

  /// Whether writes are accepted.
  var isWritable: Bool {
    isUp && store.isWriter && store.fence.admits(store.identity.name)
      && acknowledgement.isReadyToWrite
  }

  mutating func crash() {
    isUp = false
    life += 1
    served = [:]
    following = nil
    fetching = nil
    followed = nil
    promotion = nil
    waiting = [:]
    acknowledgement = Acknowledgement(policy: acknowledgement.policy)
    lag = Lag(silenceMilliseconds: 400)
  }
}
