import VecDBBytes
import VecDBLogStore

/// What a node is bound to within its database: the highest epoch that it knows to have begun, and
/// the epochs that it has promised itself to, which may begin yet. It accepts nothing of an epoch
/// below these, and acknowledges nothing to a primary of one.
///
/// What is known never goes down. A promise ends when its epoch, or a higher one, has begun, or
/// when the candidate that asked for it says that it will never begin. Both are kept durably.
package struct Fence: Sendable, Hashable {
  /// More promises than this are not given at a time.
  package static let promisesMaximum = 16

  /// The highest epoch that is known to have begun.
  package private(set) var known: EpochName
  /// Epochs above it that candidates may begin.
  package private(set) var promised: [EpochName]
  /// Epochs that this node wanted to begin, and never will: the newest few. Who promised itself to
  /// one of them is told so when it asks.
  package private(set) var givenUp: [EpochName]

  package init(
    _ known: EpochName = .none, promised: [EpochName] = [], givenUp: [EpochName] = []
  ) {
    self.known = known
    self.promised = promised.filter { $0 > known }
    self.givenUp = givenUp
  }

  /// The lowest epoch that is accepted.
  package var epoch: EpochName { promised.reduce(known, max) }

  package func admits(_ other: EpochName) -> Bool { other >= epoch }

  /// An epoch has begun. Returns whether the fence changed, and so has to be made durable.
  package mutating func raise(to other: EpochName) -> Bool {
    guard other > known else { return false }
    known = other
    promised.removeAll { $0 <= other }
    return true
  }

  /// Binds to an epoch that a candidate wants to begin; false if that is not above everything else.
  /// To be asked the same once more changes nothing.
  package mutating func promise(_ other: EpochName) -> Bool {
    if promised.contains(other) { return other == epoch }
    guard other > epoch, promised.count < Self.promisesMaximum else { return false }
    promised.append(other)
    return true
  }

  /// The candidate gave this epoch up. Returns whether the fence changed.
  package mutating func withdraw(_ other: EpochName) -> Bool {
    guard let index = promised.firstIndex(of: other) else { return false }
    promised.remove(at: index)
    return true
  }

  /// This node will never begin an epoch that it wanted to begin.
  package mutating func giveUp(_ own: EpochName) {
    _ = withdraw(own)
    guard !givenUp.contains(own) else { return }
    givenUp.append(own)
    if givenUp.count > Self.promisesMaximum { givenUp.removeFirst() }
  }

  /// A node that starts begins none of the epochs that it was about to begin when it ended. Returns
  /// whether there were any.
  package mutating func giveUpUnbegun(of node: UniqueID, identity: LogIdentity) -> Bool {
    let own = promised.filter { epoch in
      epoch.isOf(node) && !identity.epochs.contains { EpochName($0) == epoch }
    }
    for epoch in own { giveUp(epoch) }
    return !own.isEmpty
  }

  /// Of the epochs that a peer is bound to, those that this node gave up.
  package func withdrawn(of promised: [EpochName]) -> [EpochName] {
    promised.filter { givenUp.contains($0) }
  }

  /// Answers a candidate. The caller makes the fence durable before it sends the answer, and stops
  /// writing or following; if it cannot be made durable, nothing is granted.
  package mutating func judge(
    _ request: Message.PromiseRequest, name: String, nodeID: UniqueID, isPrimary: Bool,
    history: some HistoryReading
  ) -> Message.Promise {
    let earlier = promised + [known]
    let isGranted =
      request.databaseID == history.identity.databaseID && request.epoch > history.identity.name
      && promise(request.epoch)
    return Message.Promise(
      name: name, isGranted: isGranted, identity: history.identity, end: history.end, fence: epoch,
      isPrimary: isPrimary,
      text: isGranted ? "" : "this node is bound to \(max(epoch, history.identity.name))",
      nodeID: nodeID, promised: earlier)
  }
}

/// Epochs are named by those who want to begin them.
extension EpochName {
  /// An epoch that this node wants to begin. Whose it is shows in its id.
  package init(counter: UInt64, candidate: UniqueID, random: UInt64) {
    self.init(counter: counter, id: UniqueID(high: random, low: candidate.low))
  }

  package func isOf(_ node: UniqueID) -> Bool { node != .zero && id.low == node.low }
}
