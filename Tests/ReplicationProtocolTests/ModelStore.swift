import VecDBBytes
import VecDBLogStore
import VecDBReplicationProtocol

/// What a node keeps on its disk: a light model of the database, whose state is a running hash.
struct ModelStore: HistoryReading {
  private(set) var identity: LogIdentity
  /// Everything through here is trimmed away; the state is kept.
  private(set) var start: LogPosition
  private var startDigest: Digest
  private(set) var frames: [LogFrame] = []
  /// The digest of the state after each frame.
  private var digests: [Digest] = []
  /// What the node works with; `record` is what its disk has of that.
  var fence = Fence()
  var isWriter: Bool
  /// It wrote when it promised itself to a candidate, and goes on if that gives up.
  var resumes = false
  private(set) var record: Record
  /// The acknowledgement policy at the beginning, and each one that the log has.
  private var policies: [(lsn: UInt64, terms: AcknowledgementTerms)]
  private(set) var savedTails: [[LogFrame]] = []

  /// The node's own file.
  struct Record {
    var fence = Fence()
    var isWriter: Bool
    var resumes = false
  }

  init(
    identity: LogIdentity, isWriter: Bool, terms: AcknowledgementTerms = .asynchronous
  ) {
    self.identity = identity
    self.isWriter = isWriter
    record = Record(isWriter: isWriter)
    policies = [(0, terms)]
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

  /// The acknowledgement policy that the log has at its end.
  var terms: AcknowledgementTerms { policies.last?.terms ?? .asynchronous }

  /// Writes the node's file; false if that fails, after which the disk has the old one or the new.
  mutating func persist(failing: Bool, reachesDisk: Bool) -> Bool {
    if !failing || reachesDisk {
      record = Record(fence: fence, isWriter: isWriter, resumes: resumes)
    }
    return !failing
  }

  /// What a node that starts finds.
  mutating func reload() {
    fence = record.fence
    isWriter = record.isWriter
    resumes = record.resumes
  }

  private static let policyMark = [UInt8](repeating: 0xff, count: 8)

  static func policyPayload(_ terms: AcknowledgementTerms) -> [UInt8] {
    policyMark + terms.encoded()
  }

  private mutating func apply(_ frame: LogFrame) {
    if frame.payload.starts(with: Self.policyMark) {
      do {
        let terms = try AcknowledgementTerms(decoding: Array(frame.payload.dropFirst(8)))
        policies.append((frame.lsn, terms))
      } catch { preconditionFailure("the model wrote a policy that it cannot read: \(error)") }
    }
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
    policies.removeAll { $0.lsn > position.lsn }
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
    resumes = false
    record = Record(fence: fence, isWriter: false)
    frames = []
    digests = []
    start = snapshot.end
    startDigest = snapshot.digest
  }
}
