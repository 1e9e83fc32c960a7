/// When a walk of layer 0 ends before it has expanded all of its candidates: once its nearest ones
/// have not come nearer for many nodes in a row. (After Teofili and Lin, "Patience in Proximity",
/// ECIR 2025.)
///
/// How many nodes are many, and where, was measured on the shapes of `scripts/bench --shapes`: in few
/// dimensions a walk has its answers after a handful of nodes. In more dimensions late nodes
/// still bring some, and a walk goes on to its end.
package struct Patience {
  /// Walks in so many dimensions, or more, go on to their end.
  static let dimensionsLimit = 8

  /// How many of the nearest candidates must stay as they are.
  private let places: Int
  /// Nodes in a row, at least.
  private let least: Int
  /// And at least so many hundredths of those expanded until the last change.
  private let share: Int
  /// Whether distances are squares or angles: never below zero, and all much alike seen from afar.
  private let isMetric: Bool
  /// Whether their bits are those of floats.
  private let isFloat: Bool
  /// The last of the `places`.
  private var last = UInt64.max
  /// Nodes expanded when it changed.
  private var changed = 0

  /// Of a walk that goes on to its end.
  static let endless = Patience(
    places: 0, least: .max, share: 0, isMetric: false, isFloat: false)

  private init(places: Int, least: Int, share: Int, isMetric: Bool, isFloat: Bool) {
    self.places = places
    self.least = least
    self.share = share
    self.isMetric = isMetric
    self.isFloat = isFloat
  }

  /// Of a search that keeps `ef` candidates, about `k` of which it shows. More candidates are more
  /// patience: a larger `ef` finds more.
  init(k: Int, ef: Int, _ parameters: IndexParameters, _ query: CodedQuery) {
    let isWide = query.rows?.isWide ?? false
    guard parameters.dimensions < Self.dimensionsLimit, !isWide else {
      self = .endless
      return
    }
    // A single nearest one is too little to tell by.
    let places = max(k, 10)
    let isFloat = query.rows != nil
    switch parameters.metric {
    case .l2, .cosine:
      self.init(
        places: places, least: max(12, ef * 3 / 16, places), share: 50, isMetric: true,
        isFloat: isFloat)
    case .dot:
      self.init(
        places: places, least: max(16, ef / 4, places), share: 100, isMetric: false,
        isFloat: isFloat)
    case .hamming:
      self = .endless
    }
  }

  /// Whether a walk that has expanded `hops` nodes ends. Asked before each.
  @inline(__always)
  mutating func isOver(hops: Int, _ pool: CandidatePool) -> Bool {
    guard least < .max else { return false }
    guard pool.count >= places else {
      changed = hops
      return false
    }
    // Whatever comes in before it moves another candidate to its place.
    let now = pool.words[places &- 1] | 1
    guard now == last else {
      last = now
      changed = hops
      return false
    }
    guard hops &- changed >= max(least, changed &* share / 100) else { return false }
    guard surroundsQuery(pool) else {
      changed = hops
      return false
    }
    return true
  }

  private func surroundsQuery(_ pool: CandidatePool) -> Bool {
    // The sign of a float that is not negative is set in what orders it.
    func value(_ word: UInt64) -> Double {
      let bits = CandidatePool.distance(word)
      return isFloat && isMetric
        ? Double(Float(bitPattern: bits & 0x7fff_ffff)) : Double(bits)
    }
    return Self.liesAround(
      beforeLast: value(pool.words[places &- 2]), last: value(last),
      farthest: value(pool.words[pool.count &- 1]), isMetric: isMetric)
  }

  /// Whether candidates with these distances lie around the query: the last of the `places` is no copy
  /// of another, and the farthest candidate is clearly farther, unless those places are all at the
  /// query. A walk in the wrong group of records, or among copies of one, sees all of them about
  /// equally far.
  package static func liesAround(
    beforeLast: Double, last: Double, farthest: Double, isMetric: Bool
  ) -> Bool {
    guard isMetric else { return beforeLast != last }
    return last == 0 || (beforeLast != last && farthest >= last * 1.25)
  }
}
