import Bytes
import LogStore
import ReplicationProtocol

/// What a node keeps on its disk: a light model of the database, whose state is a running hash.
struct ModelStore: HistoryReading {
  private(set) var identity: LogIdentity
  /// Everything through here is trimmed away; the state is kept.
  private(set) var start: LogPosition
  private var startDigest: Digest
  private(set) var frames: [LogFrame] = []
  /// The digest of the state after each frame.
  private var digests: [Digest] = []
  var fence = Fence()
  var isWriter: Bool
  private(set) var savedTails: [[LogFrame]] = []

  init(identity: LogIdentity, isWriter: Bool) {
    self.identity = identity
    self.isWriter = isWriter
    start = .zero
    startDigest = .zero
  }

  var end: LogPosition { frames.last?.position ?? start }
  var digest: Digest { digests.last ?? startDigest }

  func position(at lsn: UInt64) -> LogPosition? {
    if lsn == start.lsn { return start }
    guard lsn > start.lsn, lsn <= end.lsn else { return nil }
    return frames[Int(lsn - start.lsn) - 1].position
  }

  func digest(at lsn: UInt64) -> Digest? {
    if lsn == start.lsn { return startDigest }
    guard lsn > start.lsn, lsn <= end.lsn else { return nil }
    return digests[Int(lsn - start.lsn) - 1]
  }

  func frames(after lsn: UInt64, count: Int) -> [LogFrame] {
    guard lsn >= start.lsn, lsn < end.lsn else { return [] }
    return Array(frames[Int(lsn - start.lsn)...].prefix(count))
  }

  mutating func write(_ payload: [UInt8], timeMilliseconds: Int64) -> LogFrame {
    let frame = LogFrame(
      after: end, epochCounter: identity.currentEpoch.counter, timeMilliseconds: timeMilliseconds,
      payload: payload)
    apply(frame)
    return frame
  }

  /// Appends a frame of another node; false if it does not continue this log.
  mutating func append(_ frame: LogFrame) -> Bool {
    do { try frame.checkFollows(end, at: "the model") } catch { return false }
    apply(frame)
    return true
  }

  private mutating func apply(_ frame: LogFrame) {
    var hash = SHA256()
    hash.update(digest)
    hash.update(frame.payload)
    frames.append(frame)
    digests.append(hash.finalize())
  }

  /// Takes up the epochs of a history that this one is a prefix of, as far as they have begun.
  mutating func adopt(_ new: LogIdentity) -> Bool {
    let reached = new.through(end)
    guard reached != identity else { return true }
    guard identity.isAncestor(of: reached),
      reached.currentEpoch.beganAtLSN != end.lsn || reached.currentEpoch.beganAtChain == end.chain
    else { return false }
    identity = reached
    return true
  }

  mutating func open(_ epoch: Epoch) { identity.epochs.append(epoch) }

  mutating func trim(through lsn: UInt64) {
    guard let position = position(at: lsn), let digest = digest(at: lsn) else { return }
    frames.removeFirst(Int(lsn - start.lsn))
    digests.removeFirst(Int(lsn - start.lsn))
    start = position
    startDigest = digest
  }

  /// Back to an earlier position of the history that `new` is, keeping what is taken away. False
  /// if that is trimmed away.
  mutating func rewind(to position: LogPosition, in new: LogIdentity) -> Bool {
    let tail = frames.filter { $0.lsn > position.lsn }
    if !tail.isEmpty { savedTails.append(tail) }
    guard self.position(at: position.lsn) == position else { return false }
    frames.removeLast(tail.count)
    digests.removeLast(tail.count)
    let common = zip(identity.epochs, new.epochs).prefix { $0 == $1 }.map(\.0)
    guard let first = common.first else { return false }
    let kept = common.filter { $0.beganAtLSN <= position.lsn }
    identity = LogIdentity(
      databaseID: identity.databaseID, epochs: kept.isEmpty ? [first] : kept)
    return true
  }

  /// A snapshot in place of everything.
  mutating func restore(_ snapshot: ModelStore) {
    let (fence, tails) = (fence, savedTails)
    self = snapshot
    self.fence = fence
    savedTails = tails
    isWriter = false
    frames = []
    digests = []
    start = snapshot.end
    startDigest = snapshot.digest
  }
}
