import VecDBBytes
import VecDBLogStore

/// What a node knows of its own history. Positions that are trimmed away are nil.
package protocol HistoryReading {
  var identity: LogIdentity { get }
  var end: LogPosition { get }
  func position(at lsn: UInt64) -> LogPosition?
}

extension HistoryReading {
  /// Positions at 1, 2, 4, 8 … batches before the end, as far as they are there.
  package func samples() -> [LogPosition] {
    var samples: [LogPosition] = []
    var distance: UInt64 = 1
    while distance <= end.lsn, samples.count < 62, let found = position(at: end.lsn - distance) {
      samples.append(found)
      distance *= 2
    }
    return samples
  }
}

/// How the history of a node that wants to follow relates to the one it wants to follow.
package enum Relation: Sendable, Hashable {
  /// A prefix: what follows its end can be streamed.
  case behind
  /// A prefix, but what follows its end is trimmed away.
  case trimmed
  /// The same epoch, and the follower has more.
  case ahead
  /// Parted after this position: the follower's rest must go.
  case diverged(LogPosition)
  case foreign

  /// - Parameters:
  ///   - hello: the follower.
  ///   - history: of the node that is to be followed.
  package init(of hello: Message.Hello, to history: some HistoryReading) {
    guard let theirs = hello.identity else {
      self = .trimmed
      return
    }
    let ours = history.identity
    let common = zip(theirs.epochs, ours.epochs).prefix { $0 == $1 }.count
    guard theirs.databaseID == ours.databaseID, common > 0 else {
      self = .foreign
      return
    }
    let ourNext = common < ours.epochs.count ? ours.epochs[common] : nil
    let ourLimit = ourNext?.beganAtLSN ?? history.end.lsn
    if common < theirs.epochs.count {
      // They opened an epoch that is not ours; the fork is where the first of the two began.
      let theirNext = theirs.epochs[common]
      let isOurs = ourNext != nil && ourLimit <= theirNext.beganAtLSN
      let (lsn, chain) =
        isOurs
        ? (ourLimit, ourNext?.beganAtChain ?? .zero)
        : (theirNext.beganAtLSN, theirNext.beganAtChain)
      if lsn > history.end.lsn {
        // Their epoch began beyond our end: what we have is a prefix of what they have.
        self = .ahead
        return
      }
      self = Self.parted(LogPosition(lsn: lsn, chain: chain), hello, history, theirs.epochs, common)
      return
    }
    if hello.end.lsn > ourLimit {
      guard let ourNext else {
        self = .ahead
        return
      }
      self = .diverged(LogPosition(lsn: ourNext.beganAtLSN, chain: ourNext.beganAtChain))
      return
    }
    guard let here = history.position(at: hello.end.lsn) else {
      self = .trimmed
      return
    }
    if here == hello.end {
      self = .behind
      return
    }
    self = Self.parted(hello.end, hello, history, theirs.epochs, common)
  }

  /// The newest position that is surely in both histories, at or before `candidate`.
  private static func parted(
    _ candidate: LogPosition, _ hello: Message.Hello, _ history: some HistoryReading,
    _ epochs: [Epoch], _ common: Int
  ) -> Relation {
    if history.position(at: candidate.lsn) == candidate { return .diverged(candidate) }
    for sample in hello.samples where sample.lsn < candidate.lsn {
      if history.position(at: sample.lsn) == sample { return .diverged(sample) }
    }
    let epoch = epochs[common - 1]
    return .diverged(LogPosition(lsn: epoch.beganAtLSN, chain: epoch.beganAtChain))
  }
}
