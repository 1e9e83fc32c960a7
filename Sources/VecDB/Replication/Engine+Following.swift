import VecDBBytes
import VecDBLogStore

extension Engine {
  /// Calls `body` when what is written through `lsn` may be acknowledged: at once, unless replicas
  /// have a say.
  func whenAcknowledged(_ lsn: UInt64, _ body: @escaping @Sendable (VecDBError?) -> Void) {
    if let replication { replication.whenAcknowledged(lsn, body) } else { body(nil) }
  }

  /// Commits and applies frames of the copy that this one follows, with their own LSN, epoch and
  /// chain. New epochs of `identity` are taken up where they begin. What maintenance frees, searches
  /// must see as dead before: such a batch begins a group of its own, as it did on the primary. On
  /// return the frames are durable and searchable.
  ///
  /// - Throws: `.corrupt` if they do not continue this history, and nothing was changed.
  func append(received frames: [LogFrame], of identity: LogIdentity) throws {
    var previous = state.position
    for frame in frames {
      try frame.checkFollows(previous, at: "what the primary sent")
      previous = frame.position
    }
    var rest = frames[...]
    while let first = rest.first {
      try adopt(identity)
      let part = rest.prefix {
        $0.epochCounter == first.epochCounter
          && ($0.lsn == first.lsn || !BatchPayload.frees($0.payload))
      }
      let received = Array(part)
      _ = try write(received.map(\.payload)) { [log] in
        try log.write(received: received)
        for frame in received { clock.saw(frame.timeMilliseconds) }
        return received
      }
      rest = rest.dropFirst(part.count)
    }
    try adopt(identity)
  }

  /// Takes up the epochs of a history that this one is a prefix of, as far as they have begun.
  func adopt(_ identity: LogIdentity) throws {
    try requireHealthy()
    let kept = identity.epochs.prefix { $0.beganAtLSN <= state.lsn }
    guard !kept.isEmpty else { return }
    try log.adopt(LogIdentity(databaseID: identity.databaseID, epochs: Array(kept)))
  }
}
