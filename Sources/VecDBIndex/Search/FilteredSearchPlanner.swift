/// Chooses how a filtered search goes about it, by estimated cost: a pure function of the index's
/// sizes, the number of matching slots and the search's width.
///
/// Costs are in nanoseconds, from measurements with 384 and 784 dimensions on one machine with
/// AVX-512; on others they are off by a common factor, which does not change the choice.
struct FilteredSearchPlanner {
  /// Nodes near the query whose links are looked at for the choice.
  static let nearbyNodes = 4

  /// Slots in the filter, dead ones included.
  let matching: Int
  /// All slots.
  let slots: Int
  /// Candidates that the walk keeps.
  var ef: Int
  /// Of the links of nodes near the query: how many there are, and how many lead to what matches.
  /// Filters are seldom independent of the query.
  var nearby = (links: 0, matching: 0)
  /// Links of a node on layer 0.
  let baseDegree: Int
  /// Bytes of a row of codes.
  let strideBytes: Int

  // MARK: Measured

  /// A row that a scan compares, beside its bytes.
  private static let scanRow = 5.0
  /// A byte of it.
  private static let scanByte = 0.045
  /// 64 slots of a filter that a scan looks at.
  private static let scanWord = 1.0
  /// A row that a walk compares, beside its bytes: its share of gathering, sorting and waiting.
  static let walkRow = 40.0
  /// A byte of it, mostly a wait for memory.
  static let walkByte = 0.06
  /// A neighbour that does not match whose links a two-hop walk goes through.
  static let bridge = 40.0
  /// Nodes that a walk expands on its way to the query.
  private static let approach = 8.0
  /// New nodes that a hop of a plain and of a two-hop walk finds.
  private static let plainRowsPerHop = 16.0
  private static let twoHopRowsPerHop = 22.0

  // MARK: Limits

  /// Where more than this part of what is near matches, walking through every node finds more for the
  /// same time than hopping over those that do not match.
  private static let plainSelectivity = 0.15
  /// Matching nodes within two hops of a node below which walking from one to the next does not
  /// lead everywhere any more.
  private static let twoHopNeighbours = 32.0
  /// The part of a scan's cost at which a plain walk gives up: the matching records are not where
  /// the query is.
  private static let plainPatience = 1.0
  /// A node that a plain walk expands, beside the rows that it compares.
  private static let plainHop = 100.0
  /// A scan's answer is exact: a walk must be so much cheaper in order to be chosen.
  private static let scanPreference = 1.25
  /// Where no more than this many match, their reported distances are computed at
  /// once.
  static func directScanLimit(k: Int) -> Int { max(2 * k, 64) }

  /// The part of the overall selectivity below which that of the links near the query counts as
  /// far.
  private static let farShare = 0.5

  // MARK: Parameters of the two-hop walk

  /// New matching nodes at which a hop stops looking through further bridges.
  static let twoHopLimit = 24
  /// Nodes near the query that are expanded although they do not match.
  static let entryBridges = 2
  /// Matching slots, spread evenly, where a two-hop walk enters besides.
  static let sampledSeeds = 32

  private var selectivity: Double { Double(max(matching, 1)) / Double(max(slots, 1)) }

  /// Near the query. Where little was seen the selectivity overall counts.
  private var nearbySelectivity: Double {
    let weight = 8.0
    return (Double(nearby.matching) + weight * selectivity) / (Double(nearby.links) + weight)
  }

  /// Whether what matches lies away from the query, as far as its surroundings tell.
  var isMatchingFar: Bool { nearbySelectivity < Self.farShare * selectivity }

  /// Of a row that a walk compares.
  var walkRowCost: Double { Self.walkRow + Self.walkByte * Double(strideBytes) }

  /// Of comparing everything that matches.
  var scanCost: Double {
    Double(matching) * (Self.scanRow + Self.scanByte * Double(strideBytes))
      + Double(slots) / 64 * Self.scanWord
  }

  private var plainCost: Double {
    (Double(ef) / nearbySelectivity + Self.approach) * Self.plainRowsPerHop * walkRowCost
  }

  private var twoHopCost: Double {
    let perBridge = Double(baseDegree) * selectivity
    let bridges = min(Double(baseDegree), Double(Self.twoHopLimit) / perBridge)
    return (Double(ef) + Self.approach)
      * (Self.twoHopRowsPerHop * walkRowCost + bridges * Self.bridge)
  }

  private var isTwoHopConnected: Bool {
    Double(baseDegree * baseDegree) * selectivity >= Self.twoHopNeighbours
  }

  /// Whether no walk, even where everything near the query matches, costs less than the scan.
  var isScanCheapest: Bool {
    let least = (Double(ef) + Self.approach) * Self.plainRowsPerHop * walkRowCost
    return least * Self.scanPreference >= scanCost
  }

  /// The plan to begin with.
  var plan: SearchOutcome.Plan {
    if max(selectivity, nearbySelectivity) < Self.plainSelectivity, isTwoHopConnected {
      return twoHopCost * Self.scanPreference < scanCost ? .twoHop : .scan
    }
    // Where much matches, but little of it near the query, nothing is cheap; the walk has a try.
    return selectivity >= Self.plainSelectivity || plainCost * Self.scanPreference < scanCost
      ? .filteredGraph : .scan
  }

  /// Matching nodes within two hops of a node below which those that match must lie elsewhere: a
  /// third of what a filter independent of the query lets expect, where half are met twice.
  var fewNeighbours: Int {
    min(Self.twoHopLimit / 3, Int(Double(baseDegree * baseDegree) * selectivity) / 6)
  }

  /// Whether a plain walk that has computed and expanded so many should give up.
  func isPlainWalkTooLong(distances: Int, hops: Int) -> Bool {
    Double(distances) * walkRowCost + Double(hops) * Self.plainHop
      > Self.plainPatience * scanCost
  }
}
