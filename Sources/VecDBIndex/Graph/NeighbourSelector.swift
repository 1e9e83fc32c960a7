import Glibc
import VecDBKernels

/// Chooses a node's neighbours among candidates: nearest first, leaving out each that a chosen one
/// occludes (the heuristic of the HNSW paper with the slack alpha of DiskANN).
///
/// Candidate c of x is occluded by y when alpha * d(y, c) <= d(x, c), compared as integers; since
/// equal distances occlude, thousands of equal vectors do not fill each other's rows.
///
/// Under the inner product c is occluded by y when <y, c> >= alpha * <x, c>: a node leads to the
/// longest vectors of each direction, where the answers are (ip-NSW, Morozov and Babenko, NeurIPS
/// 2018). Equal products do not occlude: a vector's copies are no longer than it, so nothing but
/// their links to each other leads to them; half of a row at most goes to copies of its node, which
/// may have more of them than a row has places. A row is chosen without slack first, for what leads into
/// most directions; what only the slack lets in takes the places left. An eighth of the places goes
/// to those that lie nearest by l2 (`addNear`). Version 0.1 had equal products occlude, slack for all,
/// and no such places; its indexes go on so.
final class NeighbourSelector {
  /// Candidates that are compared with the chosen ones in one go.
  private static let chunkLength = 32

  /// How much nearer than the node a chosen neighbour must be to occlude a candidate.
  private struct Slack {
    var numerator: UInt64
    var denominator: UInt64
    static var none: Slack { Slack(numerator: 1, denominator: 1) }
  }

  private let strideBytes: Int
  private let alpha: Slack
  private let isStrictFirst: Bool
  private let equalProductsOcclude: Bool
  private let hasNearPlaces: Bool
  /// Per chosen neighbour: its codes as a query, and the base of its distances.
  private let chosenQueries: UnsafeMutablePointer<Int8>
  private let chosen: UnsafeMutablePointer<CodedQuery>
  private let ids: UnsafeMutablePointer<UInt32>
  private let words: UnsafeMutablePointer<UInt64>
  private let keeps: UnsafeMutablePointer<Bool>
  private let dots: UnsafeMutablePointer<Int32>
  private var near: [NearCandidate] = []
  private let buffers = RowBuffers()
  /// Whether the candidates' distances are wide ones (see `WideDistance.swift`).
  private var isWide = false
  /// The neighbours chosen by the last call, nearest first.
  let result: UnsafeMutablePointer<UInt32>

  init(parameters: IndexParameters) {
    strideBytes = parameters.codeStrideBytes
    alpha = Slack(
      numerator: UInt64(parameters.alphaNumerator),
      denominator: UInt64(parameters.alphaDenominator))
    isStrictFirst = parameters.metric == .dot && parameters.codes != .bytes
    equalProductsOcclude = parameters.codes == .bytes
    hasNearPlaces = parameters.metric == .dot && parameters.codes != .bytes
    let limit = parameters.baseDegree
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: limit * strideBytes, alignment: 64)
    chosenQueries = bytes.bindMemory(to: Int8.self, capacity: limit * strideBytes)
    chosen = .allocate(capacity: limit)
    ids = .allocate(capacity: Self.chunkLength + 1)
    words = .allocate(capacity: Self.chunkLength)
    keeps = .allocate(capacity: Self.chunkLength)
    dots = .allocate(capacity: Self.chunkLength + 1)
    result = .allocate(capacity: limit)
  }

  deinit {
    chosenQueries.deallocate()
    chosen.deallocate()
    ids.deallocate()
    words.deallocate()
    keeps.deallocate()
    dots.deallocate()
    buffers.deallocate()
    result.deallocate()
  }

  /// Chooses neighbours of `slot`: up to `limit` of `count` candidates (words in ascending order of
  /// distance from its stored query). Those that `isKept`
  /// marks, by position, are chosen whatever happens; there must not be more of them than `limit`.
  /// Returns how many were chosen.
  func select(
    of slot: Int, _ candidates: UnsafePointer<UInt64>, count: Int, limit: Int,
    isKept: UnsafePointer<Bool>? = nil, generation: IndexGeneration
  ) -> Int {
    var kept = 0
    if let isKept { for index in 0..<count where isKept[index] { kept += 1 } }
    let places = hasNearPlaces ? min(limit / 8, limit - kept) : 0
    let chosen = selectByMetric(
      of: slot, candidates, count: count, limit: limit - places, kept: kept, isKept: isKept,
      generation: generation)
    guard places > 0 else { return chosen }
    return addNear(
      of: slot, candidates, count: count, after: chosen, places: places, generation: generation)
  }

  /// Those that the metric's own rule chooses.
  private func selectByMetric(
    of slot: Int, _ candidates: UnsafePointer<UInt64>, count: Int, limit: Int, kept: Int,
    isKept: UnsafePointer<Bool>?, generation: IndexGeneration
  ) -> Int {
    // The weight of the slot whose neighbours are chosen, where the metric has weights.
    let ownWeight = generation.arrays.weights?.row(slot).load(as: UInt32.self)
    isWide = generation.usesRows && (generation.exactVector(slot).map(generation.isWide) ?? false)
    var taken = Taken()
    guard isStrictFirst else {
      take(
        of: slot, candidates, count: count, limit: limit, kept: kept, isKept: isKept, ownWeight,
        alpha, generation, &taken)
      return taken.count
    }
    take(
      of: slot, candidates, count: count, limit: limit, kept: kept, isKept: isKept, ownWeight,
      .none, generation, &taken)
    if taken.count < limit {
      take(
        of: slot, candidates, count: count, limit: limit, kept: 0, isKept: nil, ownWeight, alpha,
        generation, &taken)
    }
    return taken.count
  }

  /// How many are chosen, for how many of these there is a query, and how many of them are copies of
  /// the node whose row it is.
  private struct Taken {
    var count = 0
    var queries = 0
    var copies = 0
  }

  /// Takes those that nothing taken so far occludes.
  @inline(__always)
  private func take(
    of owner: Int, _ candidates: UnsafePointer<UInt64>, count: Int, limit: Int, kept: Int,
    isKept: UnsafePointer<Bool>?, _ ownWeight: UInt32?, _ alpha: Slack,
    _ generation: IndexGeneration, _ taken: inout Taken
  ) {
    let (words, keeps, result) = (words, keeps, result)
    let before = taken.count
    var (resultCount, queryCount) = (taken.count, taken.queries)
    var copies = taken.copies
    defer { taken = Taken(count: resultCount, queries: queryCount, copies: copies) }
    var keptLeft = kept
    var start = 0
    while start < count, resultCount < limit {
      var length = 0
      var place = start
      while place < count, length < Self.chunkLength {
        if before == 0 || !isTaken(candidates[place], among: before) {
          words[length] = candidates[place]
          keeps[length] = isKept?[place] ?? false
          length += 1
        }
        place += 1
      }
      start = place
      var left = length
      var number = 0
      while number < queryCount, left > 0 {
        left = dropOccluded(by: chosen + number, from: 0, to: left, ownWeight, alpha)
        number += 1
      }
      var index = 0
      while index < left, resultCount < limit {
        if !keeps[index], resultCount + keptLeft >= limit {
          index += 1
          continue
        }
        let slot = CandidatePool.slot(words[index])
        if isStrictFirst, isCopy(Int(slot), of: owner, generation) {
          guard copies < limit / 2 || keeps[index] else {
            index += 1
            continue
          }
          copies += 1
        }
        if keeps[index] { keptLeft -= 1 }
        result[resultCount] = slot
        let isLast = resultCount + 1 == limit
        resultCount += 1
        index += 1
        guard !isLast else { break }
        let query = chosen + queryCount
        query.initialize(
          to: generation.storedQuery(
            Int(slot), into: chosenQueries + queryCount * strideBytes, scratch: dots,
            buffers: buffers))
        queryCount += 1
        left = dropOccluded(by: query, from: index, to: left, ownWeight, alpha)
      }
    }
  }

  /// Whether two slots have the same vector.
  private func isCopy(_ other: Int, of slot: Int, _ generation: IndexGeneration) -> Bool {
    if !generation.usesRows,
      memcmp(generation.codes(slot), generation.codes(other), strideBytes) != 0
    {
      return false
    }
    switch (generation.exactVector(slot), generation.exactVector(other)) {
    case (nil, nil): return true
    case (let own?, let others?):
      return memcmp(own, others, generation.parameters.dimensions * 4) == 0
    default: return false
    }
  }

  private func isTaken(_ word: UInt64, among count: Int) -> Bool {
    let slot = CandidatePool.slot(word)
    for place in 0..<count where result[place] == slot { return true }
    return false
  }

  /// A candidate that may get a place for what lies near.
  private struct NearCandidate {
    var slot: UInt32
    /// The square of its l2 distance from the node.
    var distance: Double
    /// Its product with itself; 0 where distances are taken on rows.
    var square: Double
  }

  /// Gives up to `places` more to candidates that are nearest by l2, each not occluded by one
  /// before it. A node's products lead to long vectors only: without these links nothing would lead
  /// from a long vector to the short ones around it. Returns how many there are now.
  private func addNear(
    of slot: Int, _ candidates: UnsafePointer<UInt64>, count: Int, after chosen: Int, places: Int,
    generation: IndexGeneration
  ) -> Int {
    // Values of such sizes have products whose differences say nothing.
    guard !isWide else { return chosen }
    near.removeAll(keepingCapacity: true)
    for index in 0..<count {
      let other = CandidatePool.slot(candidates[index])
      var isChosen = other == UInt32(slot)
      for place in 0..<chosen where result[place] == other { isChosen = true }
      if !isChosen { near.append(NearCandidate(slot: other, distance: 0, square: 0)) }
    }
    if !generation.usesRows {
      for index in near.indices {
        near[index].square = square(Int(near[index].slot), generation)
      }
    }
    measure(from: slot, generation) { $0.distance = $1 }
    var total = chosen
    while !near.isEmpty {
      var least = 0
      for index in near.indices {
        let (one, other) = (near[index], near[least])
        if one.distance < other.distance
          || (one.distance == other.distance && one.slot < other.slot)
        {
          least = index
        }
      }
      let next = near[least].slot
      result[total] = next
      total += 1
      guard total < chosen + places else { break }
      // By codes a distance may come out below zero, so that it need not occlude itself.
      near.remove(at: least)
      measure(from: Int(next), generation) { if $1 <= $0.distance { $0.distance = .infinity } }
      near.removeAll { $0.distance == .infinity }
    }
    return total
  }

  /// Hands out the squared l2 distance of each of `near` from a node.
  private func measure(
    from slot: Int, _ generation: IndexGeneration, _ body: (inout NearCandidate, Double) -> Void
  ) {
    let query = generation.storedQuery(
      slot, into: chosenQueries, scratch: dots, buffers: buffers)
    let rows = query.rows?.squaring(generation.kernels)
    let own = rows == nil ? square(slot, generation) : 0
    var start = 0
    while start < near.count {
      let length = min(Self.chunkLength, near.count - start)
      for index in 0..<length { ids[index] = near[start + index].slot }
      if let rows {
        rows.distances(ids, count: length, dots)
      } else {
        query.distances(ids, count: length, dots)
      }
      for index in 0..<length {
        let bits = UInt32(bitPattern: dots[index])
        let distance =
          rows == nil
          ? own + near[start + index].square
            - 2 * Double(CodedQuery.product(bits, weight: query.weight))
          : RowQuery.distance(ofKey: bits, isWide: false, .l2)
        body(&near[start + index], distance)
      }
      start += length
    }
  }

  /// A node's product with itself by codes.
  private func square(_ slot: Int, _ generation: IndexGeneration) -> Double {
    let query = generation.storedQuery(
      slot, into: chosenQueries + strideBytes, scratch: dots, buffers: buffers)
    ids[0] = UInt32(slot)
    query.distances(ids, count: 1, dots)
    return Double(CodedQuery.product(UInt32(bitPattern: dots[0]), weight: query.weight))
  }

  /// The same rule for distances on rows.
  @inline(__always)
  private func isRowApart(
    _ between: Double, _ distance: Double, _ metric: IndexParameters.Metric, _ alpha: Slack
  ) -> Bool {
    let alpha = Double(alpha.numerator) / Double(alpha.denominator)
    guard metric == .dot else { return between * alpha > distance }
    // Distances are negated products.
    return between == distance || -between < -distance * alpha
  }

  /// Drops what `query` occludes among the words at `from..<to`; returns where the rest ends.
  @inline(__always)
  private func dropOccluded(
    by query: UnsafePointer<CodedQuery>, from: Int, to: Int, _ ownWeight: UInt32?,
    _ alpha: Slack
  ) -> Int {
    let length = to &- from
    guard length > 0 else { return to }
    let (words, keeps, ids, dots) = (words, keeps, ids, dots)
    var i = 0
    while i < length {
      ids[i] = CandidatePool.slot(words[from &+ i])
      i &+= 1
    }
    query.pointee.distances(ids, count: length, dots)
    var end = from
    i = 0
    while i < length {
      let word = words[from &+ i]
      let keep = keeps[from &+ i]
      let distance = CandidatePool.distance(word)
      let between = UInt32(bitPattern: dots[i])
      let isApart: Bool
      if let rows = query.pointee.rows {
        isApart = isRowApart(
          RowQuery.distance(ofKey: between, isWide: rows.isWide, rows.metric),
          RowQuery.distance(ofKey: distance, isWide: isWide, rows.metric), rows.metric,
          alpha)
      } else if let ownWeight {
        let between = CodedQuery.product(between, weight: query.pointee.weight)
        let own = CodedQuery.product(distance, weight: ownWeight)
        isApart =
          between == own
          ? !equalProductsOcclude
          : Int128(between) * Int128(alpha.denominator) < Int128(own) * Int128(alpha.numerator)
      } else {
        isApart = UInt64(between) &* alpha.numerator > UInt64(distance) &* alpha.denominator
      }
      if keep || isApart {
        words[end] = word
        keeps[end] = keep
        end &+= 1
      }
      i &+= 1
    }
    return end
  }
}
