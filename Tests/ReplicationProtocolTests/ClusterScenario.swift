import VecDBReplicationProtocol

/// What a seed tries: the acknowledgement policy, the faults, and how often they come.
struct ClusterScenario: CustomStringConvertible {
  var name = "mixed"
  var policy: AcknowledgementPolicy
  var network = NetworkFaults()
  var faultMilliseconds: UInt64 = 2_500
  var crashes = true
  var cuts = true
  var promotions = true
  var forcedPromotions = false
  /// The primary's disk is set back to an earlier state.
  var restoresPrimary = false
  var trims = true
  /// Replicas serve those with higher numbers.
  var isChained = false
  /// Nodes of another database ask, and are asked, and know high epochs.
  var foreigners = false
  /// A node's own file cannot be written now and then.
  var recordFaults = false
  var policyChanges = false
  /// Somebody writes to the files of a primary that is down.
  var directWrites = false
  /// A primary that starts again may be started as a follower.
  var startsAsFollower = false
  /// New primaries have been told nothing about replicas.
  var forgetsPolicy = false
  /// A coordinator decides who tries to be the primary.
  var coordination: CoordinationScenario?

  var description: String {
    "\(name), \(policy.isAsynchronous ? "async" : policy.degrades ? "degrade" : "block"), "
      + "lag \(policy.maximumLag.map(String.init) ?? "any")"
  }

  /// The policy that a node is told to have when it is the primary: it waits for the others.
  func policy(of node: Int) -> AcknowledgementPolicy {
    if node != 0, forgetsPolicy { return .asynchronous }
    var own = policy
    own.members = (0..<3).filter { $0 != node }.map { "n\($0)" }
    return policy.needed == 0 ? policy : own
  }

  static func policy(
    lag: UInt64? = 0, degrades: Bool = false, timeout: Int = 150
  ) -> AcknowledgementPolicy {
    AcknowledgementPolicy(
      members: ["n1", "n2"], needed: 1, maximumLag: lag, timeoutMilliseconds: timeout,
      degrades: degrades)
  }

  init(name: String, policy: AcknowledgementPolicy) {
    self.name = name
    self.policy = policy
  }

  init(seed: UInt64, using generator: inout SplitMix64) {
    switch generator.next() % 8 {
    case 0: policy = .asynchronous
    case 1: policy = Self.policy(lag: 5)
    case 2: policy = Self.policy(degrades: true)
    case 3:
      policy = Self.policy()
      policy.needed = 2
    default: policy = Self.policy()
    }
    if generator.chance(0.7) {
      network.lost = 0.004
      network.duplicated = 0.004
      network.truncated = 0.004
      network.damaged = 0.004
    }
    network.delayMilliseconds = 0...(generator.chance(0.2) ? 60 : 3)
    crashes = generator.chance(0.8)
    cuts = generator.chance(0.8)
    promotions = generator.chance(0.8)
    forcedPromotions = generator.chance(0.25)
    // Who is not semi-synchronous counts on the primary's disk, as a member's disk is counted on.
    restoresPrimary =
      generator.chance(0.3) && policy.maximumLag == 0 && !policy.isAsynchronous && !policy.degrades
    isChained = generator.chance(0.2)
    trims = generator.chance(0.7)
    foreigners = generator.chance(0.4)
    recordFaults = generator.chance(0.4)
    policyChanges = generator.chance(0.4)
    directWrites = generator.chance(0.4)
    forgetsPolicy = generator.chance(0.2)
    // Not from the generator, so that seeds that failed once stay what they were. In a chain here,
    // nodes serve that hear no primary.
    startsAsFollower = seed % 3 == 0 && !isChained
    // A disk that was set back is found out where every write waited for a replica.
    if restoresPrimary { (directWrites, policyChanges, forgetsPolicy) = (false, false, false) }
  }
}
