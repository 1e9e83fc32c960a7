/// How fast the number of neighbours grows with their distance, learnt while the graph is built.
///
/// Around most records rank grows as a power of the squared distance; twice the exponent is the
/// local intrinsic dimension (Levina and Bickel, NIPS 2004). It tells how much farther than the
/// k-th nearest a walk has to look so that it meets `ef` candidates on average.
///
/// All in integers, so that equal graphs search alike on every machine.
package struct NeighbourGrowth: Sendable, Hashable {
  /// Σ log2(rank / `nearRank`) and Σ log2(distance / distance at `nearRank`), 16 fraction bits.
  package private(set) var rankLogs: UInt64 = 0
  package private(set) var distanceLogs: UInt64 = 0

  /// The nearer of the two ranks that a sample compares.
  private static let nearRank = 10
  /// Fewer candidates say too little.
  private static let leastCount = 32

  init() {}

  package init(rankLogs: UInt64, distanceLogs: UInt64) {
    self.rankLogs = rankLogs
    self.distanceLogs = distanceLogs
  }

  /// The sample that a node's candidates give: words in ascending order.
  init(_ words: UnsafePointer<UInt64>, count: Int) {
    guard count >= Self.leastCount else { return }
    let near = CandidatePool.distance(words[Self.nearRank - 1])
    let far = CandidatePool.distance(words[count - 1])
    guard near > 0 else { return }
    rankLogs = UInt64(Self.log2(UInt64(count)) - Self.log2(UInt64(Self.nearRank)))
    distanceLogs = UInt64(Self.log2(UInt64(far)) - Self.log2(UInt64(near)))
  }

  mutating func add(_ sample: NeighbourGrowth) {
    rankLogs &+= sample.rankLogs
    distanceLogs &+= sample.distanceLogs
  }

  /// Gives what was learnt so far half of its weight.
  mutating func halve() {
    rankLogs /= 2
    distanceLogs /= 2
  }

  /// The exponent, 16 fraction bits; 0 while it is not known.
  package var exponent: UInt64 {
    guard rankLogs > 0, distanceLogs > 0 else { return 0 }
    return min(max((rankLogs << 16) / distanceLogs, 1 << 13), 1 << 26)
  }

  /// By how much squared distances grow while ranks grow from `from` to `to`, 16 fraction bits.
  package static func distanceFactor(from: Int, to: Int, exponent: UInt64) -> UInt64 {
    guard to > from, from > 0 else { return 1 << 16 }
    let ranks = UInt64(log2(UInt64(to)) - log2(UInt64(from)))
    return exp2((ranks << 16) / exponent)
  }

  /// log2 of a value above 0, 16 fraction bits, rounded down.
  package static func log2(_ value: UInt64) -> UInt32 {
    let whole = 63 - value.leadingZeroBitCount
    // The mantissa with 31 fraction bits; squaring it yields the logarithm's bits, one by one.
    var mantissa = whole > 31 ? value >> UInt64(whole - 31) : value << UInt64(31 - whole)
    var result = UInt32(whole)
    for _ in 0..<16 {
      mantissa = (mantissa &* mantissa) &>> 31
      let bit = mantissa &>> 32
      mantissa &>>= bit
      result = result << 1 | UInt32(bit)
    }
    return result
  }

  /// 2^(2^-1), 2^(2^-2) … with 32 fraction bits.
  private static let roots: [UInt64] = [
    6_074_000_999, 5_107_605_667, 4_683_695_047, 4_485_121_743, 4_389_014_833, 4_341_736_423,
    4_318_288_543, 4_306_612_133, 4_300_785_773, 4_297_875_550, 4_296_421_177, 4_295_694_174,
    4_295_330_720, 4_295_149_004, 4_295_058_149, 4_295_012_722,
  ]

  /// 2 to a power of 16 fraction bits, with as many; `UInt64.max` from 2^32 on.
  package static func exp2(_ power: UInt64) -> UInt64 {
    guard power >> 16 < 32 else { return .max }
    // Below 2 with 30 fraction bits, so that products with the roots fit.
    var mantissa: UInt64 = 1 << 30
    for (index, root) in roots.enumerated() where power >> UInt64(15 - index) & 1 == 1 {
      mantissa = (mantissa &* root) &>> 32
    }
    return (mantissa << (power >> 16)) >> 14
  }
}
