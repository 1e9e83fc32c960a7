/// Which candidates a walk expands: the nearest `settled` in any case, and beyond them those that
/// are not much farther than the candidate at `rank`: within its distance times `factor`. So easy
/// queries end early and hard ones go on, where a fixed number of candidates treats all alike.
/// (The rule of Al-Jazzazi et al., "Distance adaptive beam search", NeurIPS 2025.)
struct WalkLimit {
  /// Position of the candidate whose distance counts.
  var rank = 0
  var settled = 0
  /// Candidates that are kept however far they are.
  var kept = 0
  /// 16 fraction bits; 0: whatever the pool holds is expanded.
  var factor: UInt64 = 0

  /// Expands all that the pool keeps.
  static let none = WalkLimit()
  /// The pool holds so many times `ef` candidates at most, for the hardest queries.
  static let capacityFactor = 3

  /// For `k` results with the work that `ef` candidates mean on average.
  init(k: Int, ef: Int, exponent: UInt64) {
    rank = k - 1
    settled = ef / 2
    kept = ef
    factor = NeighbourGrowth.distanceFactor(from: k, to: ef, exponent: exponent)
  }

  private init() {}

  /// A candidate above it is not expanded beyond the settled ones.
  @inline(__always)
  func farthest(_ pool: CandidatePool) -> UInt64 {
    guard factor > 0, pool.count > rank else { return .max }
    let (high, low) = UInt64(CandidatePool.distance(pool.words[rank]))
      .multipliedFullWidth(by: factor)
    let distance = low &>> 16
    guard high == 0, distance < 0xffff_ffff else { return .max }
    return distance << 32 | 0xffff_ffff
  }

  /// A candidate at or above it is not worth keeping.
  @inline(__always)
  func bound(_ pool: CandidatePool) -> UInt64 {
    guard factor > 0 else { return pool.bound }
    guard pool.count >= kept else { return .max }
    return min(pool.bound, max(farthest(pool), pool.words[kept &- 1]))
  }
}
