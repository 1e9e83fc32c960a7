import VecDB

/// The situations that can be rehearsed.
enum DrillScenario: String, CaseIterable, Codable, Sendable {
  case primaryKilled = "primary-killed"
  case primaryReturnsStale = "primary-returns-stale"
  case replicaKilled = "replica-killed"
  case networkCut = "network-cut"
  case restoreOnly = "restore-only"
  case pointInTime = "point-in-time"
  case damagedBlock = "damaged-block"

  var title: String {
    switch self {
    case .primaryKilled: "The primary is killed under load; the replica takes over"
    case .primaryReturnsStale: "The old primary returns with writes that nobody else has"
    case .replicaKilled: "The replica is killed under load and comes back"
    case .networkCut: "The connection is cut, writes go on, and it comes back"
    case .restoreOnly: "Every host is lost; the last backup is restored"
    case .pointInTime: "The state before a mistake is restored"
    case .damagedBlock: "A block of a copy is damaged on disk"
    }
  }
}

/// What a rehearsal has to reach.
struct DrillTargets: Codable, Sendable {
  /// Acknowledged records that may be lost.
  var lostRecords = 0
  /// From the failure to the first answer that is proven right.
  var recoverySeconds = 5.0
  /// Recall@10 afterwards, whatever it was before.
  var recall = CollectionHealth.floor
  /// Recall afterwards, as a share of that before.
  var recallShare = 0.98
}

/// One rehearsal and what it measured.
struct DrillReport: Encodable, Sendable {
  struct Phase: Codable, Sendable {
    var name: String
    var beganSeconds: Double
    var seconds: Double
  }

  var scenario: DrillScenario
  var title: String
  var phases: [Phase] = []
  /// When the failure happened; phases after it that end within `recoverySeconds` add up to that.
  var failureSeconds: Double?
  /// Records acknowledged before the failure, and how many of them are missing after it.
  var acknowledgedRecords = 0
  var lostRecords = 0
  /// From the last acknowledged write that survived to the failure.
  var lostSeconds = 0.0
  /// From the failure to the first proven answer; nil where nothing had to recover. What is measured
  /// afterwards, such as recall, does not count: it says how fast the machine measures.
  var recoverySeconds: Double?
  var recallBefore: Double?
  var recallAfter: Double?
  /// What the promotion certified, where there was one.
  var certificate: String?
  var problems: [String] = []
  var passed: Bool { problems.isEmpty }

  init(_ scenario: DrillScenario) {
    self.scenario = scenario
    title = scenario.title
  }

  mutating func take(_ clock: DrillClock) {
    phases = clock.phases
    failureSeconds = clock.failureSeconds
  }

  /// Holds what was measured against the targets.
  mutating func judge(_ targets: DrillTargets) {
    if lostRecords > targets.lostRecords {
      problems.append(
        "\(lostRecords) acknowledged records are lost; \(targets.lostRecords) may be")
    }
    if let recoverySeconds, recoverySeconds > targets.recoverySeconds {
      problems.append(
        "recovery took \(Format.seconds(recoverySeconds)); "
          + "\(Format.seconds(targets.recoverySeconds)) is the target")
    }
    if let recallAfter, recallAfter < targets.recall {
      problems.append("recall is \(recallAfter); \(targets.recall) is the target")
    }
    if let recallBefore, let recallAfter, recallAfter < recallBefore * targets.recallShare {
      problems.append("recall fell from \(recallBefore) to \(recallAfter)")
    }
  }

  private enum CodingKeys: String, CodingKey {
    case scenario, title, phases, failureSeconds, acknowledgedRecords, lostRecords, lostSeconds,
      recoverySeconds
    case recallBefore, recallAfter, certificate, problems, passed
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(scenario, forKey: .scenario)
    try container.encode(title, forKey: .title)
    try container.encode(phases, forKey: .phases)
    try container.encodeIfPresent(failureSeconds, forKey: .failureSeconds)
    try container.encode(acknowledgedRecords, forKey: .acknowledgedRecords)
    try container.encode(lostRecords, forKey: .lostRecords)
    try container.encode(lostSeconds, forKey: .lostSeconds)
    try container.encodeIfPresent(recoverySeconds, forKey: .recoverySeconds)
    try container.encodeIfPresent(recallBefore, forKey: .recallBefore)
    try container.encodeIfPresent(recallAfter, forKey: .recallAfter)
    try container.encodeIfPresent(certificate, forKey: .certificate)
    try container.encode(problems, forKey: .problems)
    try container.encode(passed, forKey: .passed)
  }
}
