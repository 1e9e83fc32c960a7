import VecDBBytes
import VecDBLogStore

/// What two nodes say to each other. Fields are only ever added at the end of a message, and a
/// receiver ignores what it does not know there: that is how minor versions understand each other.
package enum Message: Sendable, Hashable {
  case hello(Hello)
  case welcome(Welcome)
  /// The log that the replica needs is trimmed away: it must fetch a snapshot.
  case snapshotNeeded(LogIdentity)
  /// The replica's history left the primary's after this position.
  case diverged(LogPosition, LogIdentity)
  case refuse(Refusal)
  case data(Data)
  /// The primary may send until it has sent this many bytes of data on this connection.
  case credit(UInt64)
  case progress(Progress)
  case heartbeat(Heartbeat)
  /// The data digest of the primary right after this LSN, sent between data.
  case digest(lsn: UInt64, Digest)
  /// New epochs of the history that is being streamed.
  case epochs(LogIdentity)
  /// The primary ends here and the replica further on, in the same epoch: send the rest back.
  case pull(LogPosition)
  case pulled([LogFrame], isLast: Bool)
  case pullRefused(String)
  case requestPromise(PromiseRequest)
  case promise(Promise)
  /// As a request for a promise, but nothing is promised: how would it be answered?
  case probe(PromiseRequest)
  /// This epoch, which the sender wanted to begin, will never begin.
  case withdraw(EpochName)
  case openSnapshot(Hello)
  case snapshot(Snapshot)
  case requestBlocks([Digest])
  /// Nil if the block is not there any more.
  case block(Digest, [UInt8]?)

  package struct Hello: Sendable, Hashable {
    package var name: String
    /// Nil if there is no database yet.
    package var identity: LogIdentity?
    package var end: LogPosition
    package var fence: EpochName
    /// Earlier positions of this history, newest first, at growing distances: they let the primary
    /// say where two histories parted without asking.
    package var samples: [LogPosition]
    package var creditBytes: UInt64
    /// Who it is; zero if it does not say.
    package var nodeID: UniqueID
    /// Epochs that it has promised itself to, and that have not begun as far as it knows.
    package var promised: [EpochName]

    package init(
      name: String, identity: LogIdentity?, end: LogPosition, fence: EpochName,
      samples: [LogPosition] = [], creditBytes: UInt64 = 16 << 20, nodeID: UniqueID = .zero,
      promised: [EpochName] = []
    ) {
      self.nodeID = nodeID
      self.promised = promised
      self.name = name
      self.identity = identity
      self.end = end
      self.fence = fence
      self.samples = samples
      self.creditBytes = creditBytes
    }
  }

  package struct Welcome: Sendable, Hashable {
    package var identity: LogIdentity
    package var primaryEnd: UInt64
    package var heartbeatMilliseconds: UInt32
    /// Whether this is the primary, and not a follower that is followed.
    package var isPrimary: Bool

    package init(
      identity: LogIdentity, primaryEnd: UInt64, heartbeatMilliseconds: UInt32,
      isPrimary: Bool = true
    ) {
      self.isPrimary = isPrimary
      self.identity = identity
      self.primaryEnd = primaryEnd
      self.heartbeatMilliseconds = heartbeatMilliseconds
    }
  }

  package struct Refusal: Sendable, Hashable {
    package enum Reason: UInt8, Sendable {
      case foreignDatabase = 1
      case staleEpoch = 2
      case notServing = 3
      case protocolViolation = 4
      case overloaded = 5
      case notAllowed = 6
    }
    package var reason: Reason
    package var text: String
    /// The highest epoch that the refusing side knows to have begun.
    package var fence: EpochName
    /// The database that the fence is of; zero if that is not said.
    package var databaseID: UniqueID

    /// What a node says that neither writes nor hears one that does.
    package static let hearsNobody = "this node hears no primary"
    package static let hasNothing = "this node has no database yet"

    package init(
      _ reason: Reason, _ text: String, fence: EpochName = .none, databaseID: UniqueID = .zero
    ) {
      self.databaseID = databaseID
      self.reason = reason
      self.text = text
      self.fence = fence
    }
  }

  package struct Data: Sendable, Hashable {
    package var frames: [LogFrame]
    package var primaryEnd: UInt64
    /// Bytes of log that the primary has beyond these frames.
    package var bytesBehind: UInt64

    package init(frames: [LogFrame], primaryEnd: UInt64, bytesBehind: UInt64) {
      self.frames = frames
      self.primaryEnd = primaryEnd
      self.bytesBehind = bytesBehind
    }
  }

  package struct Progress: Sendable, Hashable {
    package var received: UInt64
    package var durable: UInt64
    package var applied: UInt64
    package var searchable: UInt64

    package init(received: UInt64, durable: UInt64, applied: UInt64, searchable: UInt64) {
      self.received = received
      self.durable = durable
      self.applied = applied
      self.searchable = searchable
    }
  }

  package struct Heartbeat: Sendable, Hashable {
    package var end: UInt64
    package var bytesBehind: UInt64
    package var epoch: EpochName

    package init(end: UInt64, bytesBehind: UInt64, epoch: EpochName) {
      self.end = end
      self.bytesBehind = bytesBehind
      self.epoch = epoch
    }
  }

  package struct PromiseRequest: Sendable, Hashable {
    package var candidate: String
    package var databaseID: UniqueID
    package var epoch: EpochName
    package var end: LogPosition
    /// Asks a living primary to hand over: it stops writing and promises only at this end.
    package var isPlanned: Bool

    package init(
      candidate: String, databaseID: UniqueID, epoch: EpochName, end: LogPosition, isPlanned: Bool
    ) {
      self.candidate = candidate
      self.databaseID = databaseID
      self.epoch = epoch
      self.end = end
      self.isPlanned = isPlanned
    }
  }

  package struct Promise: Sendable, Hashable {
    package var name: String
    package var isGranted: Bool
    package var identity: LogIdentity
    package var end: LogPosition
    package var fence: EpochName
    /// The node was the primary until now.
    package var isPrimary: Bool
    package var text: String
    /// Who it is; zero if it does not say.
    package var nodeID: UniqueID
    /// Epochs that it knew or had promised itself to before this.
    package var promised: [EpochName]

    package init(
      name: String, isGranted: Bool, identity: LogIdentity, end: LogPosition, fence: EpochName,
      isPrimary: Bool, text: String, nodeID: UniqueID = .zero, promised: [EpochName] = []
    ) {
      self.nodeID = nodeID
      self.promised = promised
      self.name = name
      self.isGranted = isGranted
      self.identity = identity
      self.end = end
      self.fence = fence
      self.isPrimary = isPrimary
      self.text = text
    }
  }

  package struct Snapshot: Sendable, Hashable {
    package var manifest: [UInt8]
    package var identity: LogIdentity

    package init(manifest: [UInt8], identity: LogIdentity) {
      self.manifest = manifest
      self.identity = identity
    }
  }
}
